"""Elastic grids: they begin with what fits, grow as room comes, give room to others, and keep to min."""

import msgspec
import pytest
from sim_calm import answer, calm_world
from sim_many import played

from protocol.capacity.quantum import Quantum
from protocol.grid.history import history
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.record import GridRecord, GridState
from protocol.requesting.request import RequestView
from protocol.sim.faults import MANY, NONE, SOME
from protocol.sim.people import AT_ONCE, MIB, grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import Outcome, settle
from protocol.sim.scenario import Scenario
from protocol.sim.world import World
from protocol.trust.order import Action
from protocol.wire.codec import encode

ONE = Quantum(1000, 1 << 30, 8 << 30)
"""Room for one workspace of a cpu."""
BEST_EFFORT = LeaseTerms(best_effort=True)


def elastic(name: str, least: int, count: int) -> GridSpec:
    spec = grid_spec(name, count, cpus_milli=1000, memory_bytes=512 * MIB, lease=BEST_EFFORT)
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, minimum=least, elastic=True)
    return msgspec.structs.replace(spec, clusters=(cluster,))


def firm(name: str, count: int, lease: LeaseTerms = AT_ONCE, lease_s: int = 3600) -> GridSpec:
    return grid_spec(
        name, count, cpus_milli=1000, memory_bytes=512 * MIB, lease=lease, lease_s=lease_s
    )


def up(world: World, spec: GridSpec, peer: int = 0) -> RequestView:
    valid_s = 7 * 86400.0 if spec.lease.best_effort else 600.0
    order = world.admins["s1"].order(
        Action.UP, spec.name, world.now_s, body=encode(spec), valid_s=valid_s
    )
    there = world.peers[peer]
    return answer(world, there, world.give(there, order))


def record_of(world: World, name: str) -> GridRecord:
    found = [r for r in newest_records(world) if r.name == name and r.state is GridState.UP]
    assert len(found) == 1, found
    return found[0]


def members(world: World, name: str) -> list[str]:
    return sorted(a.workspace for a in record_of(world, name).assignments)


def runs(world: World, name: str) -> list[str]:
    grid = record_of(world, name).id
    return sorted(
        n
        for peer in world.peers
        if peer.node is not None
        for (of, n), machine in peer.machines.there.items()
        if of == grid and not machine.saved
    )


def grows_to(world: World, name: str, count: int, within_s: float = 200.0) -> None:
    got = world.run_until(lambda: len(members(world, name)) == count, within_s)
    assert got, members(world, name)
    assert world.run_until(lambda: runs(world, name) == members(world, name), 120.0)


def test_it_begins_with_what_fits_and_grows_when_room_comes() -> None:
    world = calm_world(3, 4, capacity=ONE)
    assert up(world, firm("other", 2)).state == "done"
    assert up(world, elastic("work", 1, 4)).state == "done"
    assert len(members(world, "work")) == 2
    stays = record_of(world, "work").placed
    down = world.admins["s1"].order(Action.DOWN, "other", world.now_s)
    assert answer(world, world.peers[1], world.give(world.peers[1], down)).state == "done"
    grows_to(world, "work", 4)
    record = record_of(world, "work")
    assert stays.items() <= record.placed.items()
    told = [(line.action, line.by) for line in history(record)]
    assert told[-1] == ("elastic", "room that came")
    settle(world)


def test_it_gives_room_to_a_reservation_and_nothing_is_suspended_for_it() -> None:
    world = calm_world(7, 4, capacity=ONE)
    assert up(world, elastic("work", 1, 4)).state == "done"
    grows_to(world, "work", 4)
    start_s = world.now_s + 400.0
    exam = firm("exam", 2, LeaseTerms(start_s=start_s, grace_s=0), lease_s=100)
    assert up(world, exam).state == "done"
    while world.now_s < start_s + 20.0:
        world.run(1.0)
        assert not any(m.saved for p in world.peers for m in p.machines.there.values())
    assert runs(world, "exam") == ["web-1", "web-2"]
    assert len(runs(world, "work")) == len(members(world, "work")) == 2
    (line,) = [line for line in history(record_of(world, "work")) if line.said.startswith("-")][:1]
    assert line.by.startswith("others' need on ")
    grows_to(world, "work", 4, 400.0)
    settle(world)


def test_below_min_it_is_suspended_as_any_other() -> None:
    world = calm_world(7, 2, capacity=ONE)
    assert up(world, elastic("work", 1, 2)).state == "done"
    start_s = world.now_s + 300.0
    exam = firm("exam", 2, LeaseTerms(start_s=start_s, grace_s=0), lease_s=100)
    assert up(world, exam).state == "done"
    world.run(start_s + 20.0 - world.now_s)
    assert len(members(world, "work")) >= 1
    assert runs(world, "work") == []
    assert world.run_until(lambda: len(runs(world, "work")) == 2, 400.0)
    settle(world)


def test_what_was_terminated_does_not_grow_back_until_somebody_wants_it() -> None:
    world = calm_world(5, 4, capacity=ONE)
    assert up(world, elastic("work", 1, 4)).state == "done"
    admin = world.admins["s1"]
    gone = admin.order(Action.TERMINATE, "work", world.now_s, workspace="web-2")
    assert answer(world, world.peers[2], world.give(world.peers[2], gone)).state == "done"
    world.run(200.0)
    assert members(world, "work") == ["web-1", "web-3", "web-4"]
    epoch = record_of(world, "work").epoch
    wants = admin.apply(elastic("work", 1, 5), epoch, world.now_s)
    assert answer(world, world.peers[1], world.give(world.peers[1], wants)).state == "done"
    grows_to(world, "work", 4)
    settle(world)


def test_the_next_host_goes_on_when_the_first_one_dies() -> None:
    world = calm_world(6, 5, capacity=ONE)
    assert up(world, firm("other", 2)).state == "done"
    assert up(world, elastic("work", 1, 5)).state == "done"
    record = record_of(world, "work")
    first = next(p for p in world.peers if p.id == record.hosts[0].peer)
    first.crash()
    world.run(30.0)
    alive = next(p for p in world.peers if p.node is not None)
    down = world.admins["s1"].order(Action.DOWN, "other", world.now_s)
    assert answer(world, alive, world.give(alive, down), 200.0).state == "done"
    assert world.run_until(lambda: len(members(world, "work")) == 5, 300.0), members(world, "work")
    first.start()
    settle(world)


def test_a_change_of_an_epoch_that_room_has_moved_is_told_and_works_when_asked_again() -> None:
    world = calm_world(8, 4, capacity=ONE)
    assert up(world, firm("other", 2)).state == "done"
    assert up(world, elastic("work", 1, 4)).state == "done"
    admin, seen = world.admins["s1"], record_of(world, "work").epoch
    down = admin.order(Action.DOWN, "other", world.now_s)
    assert answer(world, world.peers[1], world.give(world.peers[1], down)).state == "done"
    grows_to(world, "work", 4)
    smaller = admin.apply(elastic("work", 1, 3), seen, world.now_s)
    said = answer(world, world.peers[1], world.give(world.peers[1], smaller))
    assert said.state == "failed"
    assert any("by room that came" in line for line in said.answer), said.answer
    again = admin.apply(elastic("work", 1, 3), record_of(world, "work").epoch, world.now_s)
    assert answer(world, world.peers[1], world.give(world.peers[1], again)).state == "done"
    assert len(members(world, "work")) == 3
    world.run(100.0)
    assert len(members(world, "work")) == 3
    settle(world)


# -- many worlds


def by_room(outcome: Outcome) -> tuple[int, int]:
    """How often room changed a grid, and how many orders to apply were decided."""
    untouched = outcome.world.invariants.untouched
    return untouched.by_room, untouched.changes


@pytest.mark.parametrize("first", range(7000, 7024, 12))
def test_random_growth_beside_changes_and_reservations_with_all_faults(first: int) -> None:
    """Never below min, never above count, and what is not named is never touched (untouched.py)."""
    plans = (NONE, SOME, MANY)
    worlds = [
        Scenario(seed, 4, 2, 120.0, changes=4, elastic=3, plan=plans[seed % len(plans)])
        for seed in range(first, first + 12)
    ]
    results = played(worlds, by_room)
    assert sum(result.more[0] for result in results) > len(worlds) // 3
