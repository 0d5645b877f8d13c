"""Two hundred worlds in which everything breaks: what must hold is checked at every step and at the end."""

from collections import Counter

import pytest

from protocol.sim.faults import MANY, SOME
from protocol.sim.report import views
from protocol.sim.run import run

_CHUNK = 20


@pytest.mark.parametrize("first", range(0, 140, _CHUNK))
def test_many_faults(first: int) -> None:
    """Small worlds, much trouble. The failing seed is in the message."""
    made, faults = 0, Counter[str]()
    for seed in range(first, first + _CHUNK):
        outcome = run(seed, 5, 3, 10.0, grids=4, plan=MANY)
        made += len(outcome.world.invariants.decided)
        faults += outcome.world.faults_done
    assert made > _CHUNK, "hardly a grid was made, so nothing was tried"
    assert faults.total() > _CHUNK, "hardly anything broke, so nothing was tried"


@pytest.mark.parametrize("first", range(1000, 1060, _CHUNK))
def test_some_faults(first: int) -> None:
    """Trouble in between, so that most requests get somewhere."""
    answers = Counter[str]()
    for seed in range(first, first + _CHUNK):
        outcome = run(seed, 6, 3, 10.0, grids=4, plan=SOME)
        answers += Counter(f"{view.kind} {view.state}" for view in views(outcome) if view)
    assert answers["up done"] > answers["up failed"] + answers["up cancelled"]
    assert answers["down done"] > 0


def test_crowded() -> None:
    """More is asked for than there is: refusals bind, nobody gets half a grid."""
    refusals = 0
    for seed in range(5):
        outcome = run(seed, 4, 2, 6.0, grids=14, plan=SOME)
        refusals += outcome.world.invariants.refusals
    assert refusals > 0
