"""Hundreds of worlds in which everything breaks: what must hold is checked at every step and at the end.

They run on all cores. `scripts/sim --faults many --grids 4 --peers 5 --seconds 10 --seeds N` runs more of them.
"""

from collections import Counter

import msgspec
import pytest
from sim_many import played

from protocol.grid.record import GridState
from protocol.sim.faults import LIES, MANY, NET, NONE, SOME
from protocol.sim.many import Result
from protocol.sim.report import views
from protocol.sim.run import Outcome, run
from protocol.sim.scenario import Scenario


def made_and_answered(outcome: Outcome) -> tuple[int, Counter[str]]:
    """Grids that were decided, and what came of requests."""
    answers = Counter(f"{view.kind} {view.state}" for view in views(outcome) if view)
    return len(outcome.world.invariants.decided), answers


def faults_of(results: list[Result]) -> Counter[str]:
    """What went wrong on purpose, in all of them."""
    return sum((Counter(result.faults) for result in results), Counter[str]())


@pytest.mark.parametrize("first", range(0, 140, 35))
def test_many_faults(first: int) -> None:
    """Small worlds with much trouble."""
    seeds = range(first, first + 35)
    worlds = [Scenario(seed, 5, 3, 10.0, grids=4, plan=MANY) for seed in seeds]
    results = played(worlds, made_and_answered)
    assert sum(made for made, _ in (r.more for r in results)) > len(worlds)
    assert faults_of(results).total() > len(worlds)


@pytest.mark.parametrize("first", range(1000, 1060, 30))
def test_some_faults(first: int) -> None:
    """Less trouble, so that most requests get somewhere."""
    seeds = range(first, first + 30)
    worlds = [Scenario(seed, 6, 3, 10.0, grids=4, plan=SOME) for seed in seeds]
    answers = sum((r.more[1] for r in played(worlds, made_and_answered)), Counter[str]())
    assert answers["up done"] > answers["up failed"] + answers["up cancelled"]
    assert answers["down done"] > 0


@pytest.mark.parametrize("first", range(2000, 2080, 40))
def test_every_fault_of_a_net(first: int) -> None:
    """One-way links, lost stores, stalls, slow peers, clocks that drift and jump; no grids."""
    seeds = range(first, first + 40)
    worlds = [Scenario(seed, 6, 3, 15.0, plan=NET, tell=2) for seed in seeds]
    faults = faults_of(played(worlds, made_and_answered))
    for kind in ("clock jump", "crash", "cut", "one way", "stall", "store lost"):
        assert faults[kind] > 5, f"{kind} hardly ever happened, so nothing was tried"


def test_lies() -> None:
    """One of a few lies all the time. Nobody else is wronged, and no record of another changes."""
    worlds = [Scenario(seed, 6, 3, 10.0, plan=LIES) for seed in range(3000, 3020)]
    faults = faults_of(played(worlds, made_and_answered))
    for kind in ("accuse", "flood", "forge", "garble", "replay"):
        assert faults[f"lie: {kind}"] > 2, kind


def test_lies_about_grids() -> None:
    """A fifth of all lies, also about grids. People get them, and nobody else changes them."""
    worlds = [
        Scenario(seed, *sizes, 12.0, grids=4, plan=msgspec.structs.replace(plan, liars=liars))
        for seed, sizes, liars, plan in (
            *((seed, (5, 3), 1, NONE) for seed in range(3100, 3108)),
            *((seed, (5, 3), 1, SOME) for seed in range(3108, 3114)),
            *((seed, (10, 4), 2, NONE) for seed in range(3114, 3117)),
        )
    ]
    results = played(worlds, made_and_answered)
    answers = sum((r.more[1] for r in results), Counter[str]())
    assert answers["up done"] > 2 * answers["up failed"]
    faults = faults_of(results)
    for kind in (
        "announce",
        "answer",
        "bend",
        "contest",
        "decree",
        "meddle",
        "order",
        "retell",
        "step",
    ):
        assert faults[f"lie: {kind}"] > 2, kind


@pytest.mark.parametrize("first", range(770000, 770012, 4))
def test_many_peers_and_faults(first: int) -> None:
    """A federation of four sites: most that is asked concerns hosts that know only part of the others' news."""
    worlds = [Scenario(seed, 20, 4, 60.0, grids=8, plan=MANY) for seed in range(first, first + 4)]
    results = played(worlds, made_and_answered)
    assert sum(made for made, _ in (r.more for r in results)) > len(worlds)
    assert faults_of(results).total() > len(worlds)


def test_two_orders_of_one_name_do_not_both_become_grids() -> None:
    """Both did in this world, when stewards followed from the peers that a requester saw."""
    outcome = run(770020, 20, 4, 60.0, grids=8, plan=MANY)
    decided = [epochs[max(epochs)] for epochs in outcome.world.invariants.decided.values()]
    assert len(decided) > 1
    up = [(record.owner, record.name) for record in decided if record.state is GridState.UP]
    assert len(up) == len(set(up))


def test_crowded() -> None:
    """More is asked for than there is. Refusals bind, and nobody gets half a grid."""
    refusals = 0
    for seed in range(5):
        outcome = run(seed, 4, 2, 6.0, grids=14, plan=SOME)
        refusals += outcome.world.invariants.refusals
    assert refusals > 0
