"""The overlay's thresholds (issue 3, "Reach") at sizes that take seconds.

Full sizes: 10,000 peers for broadcast and the death of half, 200 for halves apart and for the lossy hour, 20
for the liar. `scripts/bench sim` runs them, at those or any sizes, and prints what it measures.
"""

from dataclasses import replace

import pytest

from protocol.sim.reach import THRESHOLDS
from protocol.sim.report import distance_errors, quantile
from protocol.sim.run import play
from protocol.sim.scenario import Scenario

SEED = 1
SMALL = {
    "broadcast, warm, 8 sites 10-75 ms apart": (40, 40.0),
    "half of all peers die at once": (40, 40.0),
    "two halves apart for ten minutes": (12, 800.0),
    "5 % loss everywhere for an hour": (16, 300.0),
    "one liar": (12, 15.0),
}


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda threshold: threshold.name)
def test_threshold(threshold) -> None:  # type: ignore[no-untyped-def]  # pytest's parameter
    peers, seconds = SMALL[threshold.name]
    outcome = play(replace(threshold.scenario(peers, SEED), seconds=seconds))
    figures = threshold.figures(outcome)
    assert figures
    assert [figure for figure in figures if not figure.held] == []


def test_round_trips_are_estimated() -> None:
    """After some minutes of pings between neighbours half of all distances are right within a half."""
    outcome = play(Scenario(2, 16, 8, 240.0))
    errors = distance_errors(outcome.world)
    assert len(errors) == 80
    assert quantile(errors, 0.5) < 0.5
