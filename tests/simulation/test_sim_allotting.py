"""A site's ceiling holds while everything breaks. `scripts/bench allotments` plays more histories."""

import pytest

from protocol.sim.experiments.allotting import Allotting, allot


@pytest.mark.parametrize("first", range(1, 17, 4))
def test_what_is_held_is_within_the_ceiling_and_what_is_free_is_found(first: int) -> None:
    runs = [allot(Allotting(seed)) for seed in range(first, first + 4)]
    assert sum(run.held for run in runs) > 100
    assert sum(run.moved for run in runs) > 10
    assert {what for run in runs for what, _ in run.faults} >= {
        "restore",
        "cut",
        "remove",
        "policy",
    }


def test_a_history_is_the_same_each_time() -> None:
    asked = Allotting(seed=3, seconds=60.0)
    assert allot(asked) == allot(asked)


def test_where_nothing_breaks_nothing_is_refused_for_long() -> None:
    calm = allot(Allotting(seed=1, hosts=1, seconds=120.0, loss=0.0, late=0.0, faults_s=1e9))
    assert calm.held > 10
    assert calm.moved == 0
    assert calm.faults == ()
