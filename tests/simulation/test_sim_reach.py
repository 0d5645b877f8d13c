"""The overlay's thresholds at sizes that take seconds.

Full sizes: 10,000 peers for broadcast and the death of half, 200 for halves apart and for the lossy hour, 20
for the liar. `scripts/bench sim` runs them, at those or any sizes, and prints what it measures.
"""

from dataclasses import replace

import pytest

from protocol.sim.experiments.reach import THRESHOLDS
from protocol.sim.report import distance_errors, quantile
from protocol.sim.run import play
from protocol.sim.scenario import Scenario

SEED = 1
SMALL = {
    "broadcast, warm, 8 sites 10-75 ms apart": (1100, 20.0),
    "half of all peers die at once": (200, 40.0),
    "two halves apart for ten minutes": (16, 800.0),
    "5 % loss everywhere for an hour": (24, 600.0),
    "one liar": (20, 30.0),
}


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda threshold: threshold.name)
def test_threshold(threshold) -> None:  # type: ignore[no-untyped-def]  # pytest's parameter
    peers, seconds = SMALL[threshold.name]
    outcome = play(replace(threshold.scenario(peers, SEED), seconds=seconds))
    figures = threshold.figures(outcome)
    assert figures
    assert [figure for figure in figures if not figure.held] == []


def test_round_trips_are_estimated() -> None:
    """After some minutes of pings half of all distances between sites are right within two fifths."""
    outcome = play(Scenario(2, 16, 8, 240.0))
    errors = distance_errors(outcome.world)
    assert len(errors) == 64
    assert quantile(errors, 0.5) < 0.4
    assert quantile(errors, 0.9) < 1.0
