"""The worlds that are attacked here are those of the unit tests."""

import sys
from pathlib import Path

UNIT = Path(__file__).parents[1] / "unit"
ROOMS = ("loop", "node", "contract", "hosting", "requesting", "relay", "api")
sys.path += [str(UNIT / room) for room in ROOMS]
