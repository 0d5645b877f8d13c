"""Some tests of the shell begin with a real node, as the node's own do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "node"))
