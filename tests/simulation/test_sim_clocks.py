"""Hosts whose clocks are apart: nothing ends before its time, and everything ends once clocks agree."""

import pytest
from sim_calm import answer, node_of

from protocol.capacity.quantum import Quantum
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.record import GridState
from protocol.hosting.lease_book import TABLE
from protocol.node.events import Ticked
from protocol.sim.clocks import Clock
from protocol.sim.peer import SimPeer
from protocol.sim.people import MIB, grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import JOIN_WITHIN_S, knows_all, settle
from protocol.sim.world import World
from protocol.terms.limits import FOUND_OVER_S
from protocol.trust.order import Action

ROOM = Quantum(1000, 1 << 30, 8 << 30)
HOUR = 3600.0
LEASE_S = 600
ENDS = LeaseTerms(on_expiry=OnExpiry.DELETE, grace_s=0)


def made(hosts: int, terms: LeaseTerms = ENDS, workspaces: int = 0) -> World:
    """A federation whose clocks agree, and a grid with a workspace on each host."""
    world = World(7, hosts, hosts, capacity=ROOM)
    for peer in world.peers:
        peer.clock = Clock(world.now_s)
    world.start_all()
    assert world.run_until(lambda: knows_all(world), JOIN_WITHIN_S)
    world.run(20.0)
    spec = grid_spec(
        "work",
        workspaces or hosts,
        cpus_milli=1000,
        memory_bytes=512 * MIB,
        lease_s=LEASE_S,
        lease=terms,
    )
    request = world.give(world.peers[0], world.admins["s1"].up(spec, world.now_s))
    assert answer(world, world.peers[0], request).state == "done"
    return world


def again(world: World, peer: SimPeer, ahead_s: float) -> None:
    """Another life of a peer, with a clock that is as far ahead of the world's."""
    peer.crash()
    world.run(3.0)
    peer.clock = Clock(world.now_s, ahead_s)
    peer.start()


def whole(world: World) -> bool:
    """Whether every workspace still runs, and the record is up."""
    (record,) = newest_records(world)
    runs = all(peer.machines.there for peer in world.peers if record.on(peer.id))
    return runs and record.state is GridState.UP


def stays(world: World, seconds: float) -> None:
    for _ in range(int(seconds)):
        world.run(1.0)
        assert whole(world)


def ended(world: World, within_s: float) -> bool:
    """Whether all of it is deleted everywhere in time."""
    return world.run_until(
        lambda: not any(p.machines.there or p.store.get(TABLE) for p in world.peers), within_s
    )


@pytest.mark.parametrize("hosts", [2, 3, 5])
@pytest.mark.parametrize("ahead_s", [HOUR, 25 * HOUR, -HOUR])
def test_a_host_that_starts_apart_ends_nothing_and_all_ends_when_it_is_mended(
    hosts: int, ahead_s: float
) -> None:
    world = made(hosts)
    wrong = world.peers[-1]
    again(world, wrong, ahead_s)
    stays(world, 200)
    assert wrong.notes["clock.apart"] >= 1
    if ahead_s > 0:
        assert wrong.notes["lease.waits"] >= 1
    assert not any(p.notes["record.refused"] for p in world.peers), "nobody was asked to believe it"
    again(world, wrong, 0.0)
    stays(world, 200)
    assert ended(world, 400.0)
    settle(world)


@pytest.mark.parametrize("ahead_s", [HOUR, 25 * HOUR, -HOUR])
def test_while_it_stays_apart_its_grid_ends_by_the_others_clocks(ahead_s: float) -> None:
    """Three of four agree: they decide the end, and the fourth believes it by their time."""
    world = made(4)
    again(world, world.peers[-1], ahead_s)
    stays(world, 200)
    assert ended(world, 500.0)


def test_by_a_clock_before_the_certificates_begin_nothing_ends_either() -> None:
    """Nobody is believed by it, so nobody can tell it the time."""
    world = made(3)
    wrong = world.peers[-1]
    again(world, wrong, -25 * HOUR)
    stays(world, 100)
    assert node_of(wrong).membership.clock.doubt == "no neighbour has told its time yet"
    assert node_of(wrong).membership.follows(25 * HOUR, 0.0) != "", "it goes by its machine at once"
    again(world, wrong, 0.0)
    stays(world, 100)
    assert ended(world, 500.0)


@pytest.mark.parametrize("hosts", [2, 4])
def test_a_clock_that_jumps_in_the_middle_and_back_ends_nothing(hosts: int) -> None:
    world = made(hosts)
    wrong = world.peers[-1]
    assert wrong.clock is not None
    wrong.clock.jump(world.now_s, HOUR)
    wrong.feed(Ticked())
    stays(world, 100)
    assert wrong.notes["clock.apart"] == 1
    again(world, wrong, 0.0)
    stays(world, 200)
    assert ended(world, 400.0)


def test_a_host_that_slept_ends_what_is_over_once_others_tell_it_the_time() -> None:
    world = made(3)
    sleeper = world.peers[-1]
    sleeper.stall(LEASE_S + 60.0, frozen=True)
    world.run(LEASE_S + 30.0)
    assert sleeper.machines.there
    assert ended(world, 120.0)


def test_what_is_kept_for_the_grace_is_not_deleted_early() -> None:
    """It starts at a time at which, by its clock, even the grace is over."""
    world = made(3, LeaseTerms(grace_s=300))
    world.run(LEASE_S + 10.0)
    again(world, world.peers[-1], HOUR)
    for _ in range(150):
        world.run(1.0)
        (record,) = newest_records(world)
        assert record.state is GridState.UP
    again(world, world.peers[-1], 0.0)
    assert ended(world, 400.0)


def test_a_host_apart_takes_nothing_new_and_says_why() -> None:
    world = made(3, workspaces=1)
    again(world, world.peers[-1], HOUR)
    world.run(30.0)
    spec = grid_spec("more", 3, cpus_milli=300, memory_bytes=128 * MIB, lease_s=300)
    request = world.give(world.peers[0], world.admins["s1"].up(spec, world.now_s))
    lines = "\n".join(answer(world, world.peers[0], request).answer)
    (record,) = [r for r in newest_records(world) if r.name == "more"] or [None]
    assert record is None or world.peers[-1].id not in record.carriers(), lines


def test_down_works_while_a_host_is_apart() -> None:
    world = made(2)
    again(world, world.peers[-1], 25 * HOUR)
    world.run(60.0)
    order = world.admins["s1"].order(Action.DOWN, "work", world.now_s)
    request = world.give(world.peers[0], order)
    assert answer(world, world.peers[0], request).state == "done"
    again(world, world.peers[-1], 0.0)
    assert ended(world, 120.0)


def test_a_federation_of_one_goes_by_its_own_clock() -> None:
    world = made(1)
    stays(world, LEASE_S - 60)
    assert ended(world, 120.0)


@pytest.mark.parametrize("ahead_s", [HOUR, 25 * HOUR])
def test_a_federation_of_one_that_starts_ahead_has_time_to_be_mended(ahead_s: float) -> None:
    world = made(1)
    again(world, world.peers[0], ahead_s)
    stays(world, 200)
    again(world, world.peers[0], 0.0)
    stays(world, 200)
    assert ended(world, 400.0)


def test_a_federation_of_one_ends_what_was_over_when_it_came_back() -> None:
    world = made(1)
    world.peers[0].crash()
    world.run(LEASE_S + 10.0)
    world.peers[0].start()
    assert ended(world, FOUND_OVER_S + 60.0)


def test_who_knew_others_waits_until_one_of_them_answers() -> None:
    world = made(3)
    last = world.peers[-1]
    for peer in world.peers:
        peer.crash()
    last.clock = Clock(world.now_s, HOUR)
    last.start()
    world.run(60.0)
    assert last.machines.there, "nobody can tell it the time"
    assert node_of(last).membership.clock.doubt == "no neighbour has told its time yet"
    for peer in world.peers[:-1]:
        peer.start()
    world.run(20.0)
    assert node_of(last).membership.clock.apart
    assert whole(world)


def test_a_neighbour_that_lies_of_its_time_ends_nobodys_lease_and_keeps_none() -> None:
    world = made(4)
    again(world, world.peers[-1], -HOUR)
    stays(world, 300)
    for peer in world.peers[:-1]:
        assert node_of(peer).membership.clock.doubt == ""
    assert ended(world, 500.0)
