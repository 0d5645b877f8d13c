"""Preemption by suspension: in time for a reservation, whole clusters, and going on afterwards."""

import pytest
from sim_calm import answer, calm_world, node_of

from protocol.capacity.quantum import Quantum
from protocol.contract.notices import NOTICE
from protocol.grid.lifecycle import Phase
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridState
from protocol.node.snapshot import PeerView
from protocol.sim.disk import Disk
from protocol.sim.peer import SimPeer
from protocol.sim.people import MIB, grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import settle
from protocol.sim.world import World
from protocol.terms.ids import RequestId
from protocol.terms.quantities import format_moment
from protocol.trust.order import Action
from protocol.wire.codec import encode

ONE = Quantum(1000, 1 << 30, 8 << 30)
"""Room for one workspace of a cpu."""
BEST_EFFORT = LeaseTerms(best_effort=True)


def give(world: World, name: str, count: int, lease_s: int, lease: LeaseTerms) -> RequestId:
    spec = grid_spec(
        name, count, cpus_milli=1000, memory_bytes=512 * MIB, lease_s=lease_s, lease=lease
    )
    valid_s = 7 * 86400.0 if lease.best_effort else 600.0
    order = world.admins["s1"].order(
        Action.UP, name, world.now_s, body=encode(spec), valid_s=valid_s
    )
    return world.give(world.peers[0], order)


def up(world: World, name: str, count: int, lease_s: int, lease: LeaseTerms) -> tuple[str, str]:
    seen = answer(world, world.peers[0], give(world, name, count, lease_s, lease))
    return seen.state, "\n".join(seen.answer)


def live(peer: SimPeer) -> list[str]:
    """Grids whose machines take memory of a host."""
    if peer.node is None:
        return []
    names = {row.record.id: row.record.name for row in peer.node.host.leases.rows()}
    return [names.get(grid, "?") for (grid, _), m in peer.machines.there.items() if not m.saved]


def saved(world: World, name: str) -> int:
    ids = [r.id for r in newest_records(world) if r.name == name]
    return sum(
        m.saved
        for peer in world.peers
        for (grid, _), m in peer.machines.there.items()
        if grid in ids
    )


def run_checked(world: World, seconds: float) -> None:
    """Checks ten times a second that no memory is used twice."""
    for _ in range(int(seconds * 10)):
        world.run(0.1)
        for peer in world.peers:
            assert len(live(peer)) <= 1, (world.elapsed_s, peer.name, live(peer))


def test_work_is_saved_in_time_and_goes_on_where_it_stopped() -> None:
    world = calm_world(7, 1, 1, capacity=ONE)
    assert up(world, "work", 1, 3600, BEST_EFFORT)[0] == "done"
    peer = world.peers[0]
    (machine,) = peer.machines.there.values()
    start_s = world.now_s + 300.0
    assert up(world, "exam", 1, 200, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    run_checked(world, start_s - 60.0 - world.now_s)
    assert live(peer) == ["work"], "not before it must"
    run_checked(world, start_s + 2.0 - world.now_s)
    assert live(peer) == ["exam"], "the reservation begins in time"
    assert machine.saved
    run_checked(world, 300.0)
    assert live(peer) == ["work"]
    assert machine in peer.machines.there.values(), "the same machine, not a new one"
    (row,) = [r for r in node_of(peer).host.leases.rows() if r.record.name == "work"]
    assert row.lease_until_s > start_s + 3400, "the time it was suspended does not count"
    settle(world)


def test_a_cluster_is_suspended_whole_across_hosts() -> None:
    world = calm_world(7, 3, capacity=ONE)
    assert up(world, "work", 3, 7200, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 300.0
    assert up(world, "exam", 1, 200, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    run_checked(world, start_s + 15.0 - world.now_s)
    assert saved(world, "work") == 3, "two of them for the third's sake"
    run_checked(world, 300.0)
    assert saved(world, "work") == 0
    assert [live(peer) for peer in world.peers] == [["work"]] * 3
    settle(world)


def test_the_owner_is_told_for_which_reservation_it_is_suspended_and_until_when() -> None:
    """Also where the cluster has other hosts, and at a peer that carries nothing of it."""
    world = calm_world(7, 3, capacity=ONE)
    assert up(world, "work", 2, 7200, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 300.0
    assert up(world, "exam", 2, 200, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    world.run(start_s + 15.0 - world.now_s)
    for peer in world.peers:
        view = PeerView(node_of(peer))
        (row,) = [row for row in view.grids(world.now_s) if row.name == "work"]
        until = format_moment(start_s + 200)
        assert row.detail == f"suspended for reservation exam until {until}"
        assert "grid.yields" in [line.kind for line in view.story(row.grid)]
    world.run(300.0)
    (row,) = [r for r in PeerView(node_of(peer)).grids(world.now_s) if r.name == "work"]
    assert row.detail == ""


def test_machines_of_a_cluster_stop_and_go_on_together() -> None:
    """The disks of their hosts are not equally quick, but none waits long for another's memory."""
    world = calm_world(7, 3, capacity=ONE)
    moved: dict[bool, dict[str, float]] = {False: {}, True: {}}

    def runs(grid: str, workspace: str, runs: bool) -> None:
        moved[runs].setdefault(grid + workspace, world.now_s)

    for rate_bytes_s, peer in zip((32 * MIB, 64 * MIB, 128 * MIB), world.peers, strict=True):
        peer.machines.disk = Disk(rate_bytes_s)
        peer.machines.runs = runs
    assert up(world, "work", 3, 7200, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 300.0
    moved[True].clear()
    assert up(world, "exam", 1, 200, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    run_checked(world, start_s - 1.0 - world.now_s)
    assert saved(world, "work") == 3
    assert len(moved[False]) == 3
    assert max(moved[False].values()) - min(moved[False].values()) < 2.0
    run_checked(world, 2.0)
    moved[True].clear()
    run_checked(world, 300.0)
    assert len(moved[True]) == 3
    assert max(moved[True].values()) - min(moved[True].values()) < 16.0, (
        "the slowest takes so long to read it"
    )
    measured = sorted(node_of(peer).host.rates.save_bytes_s // MIB for peer in world.peers)
    assert measured == [32.0, 64.0, 128.0]
    settle(world)


def test_a_host_nobody_stands_for_any_more_is_not_waited_for() -> None:
    world = calm_world(7, 2, capacity=ONE)
    assert up(world, "work", 2, 7200, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 300.0
    assert up(world, "exam", 1, 3600, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    run_checked(world, start_s + 15.0 - world.now_s)
    (there,) = [peer for peer in world.peers if live(peer) == ["exam"]]
    (here,) = [peer for peer in world.peers if peer is not there]
    there.crash()
    world.run(100.0)
    assert live(here) == [], "it may come back"
    (row,) = node_of(here).host.leases.rows()
    told = node_of(here).broadcast.directory.get(there.id, NOTICE, row.record.id)
    assert told is not None
    node_of(here)._expired(told.record)
    world.run(100.0)
    assert live(here) == ["work"]


def test_what_leaves_no_time_to_save_is_refused_and_who_is_no_reservation_displaces_nobody() -> (
    None
):
    world = calm_world(7, 1, 1, capacity=ONE)
    assert up(world, "work", 1, 3600, BEST_EFFORT)[0] == "done"
    assert up(world, "hasty", 1, 100, LeaseTerms(start_s=world.now_s + 15.0))[0] == "failed"
    assert up(world, "now", 1, 100, LeaseTerms())[0] == "failed"
    assert up(world, "other", 1, 100, BEST_EFFORT)[0] == "queued"
    run_checked(world, 30.0)
    assert live(world.peers[0]) == ["work"]


def test_who_was_first_yields_last() -> None:
    two = Quantum(2000, 2 << 30, 16 << 30)
    world = calm_world(7, 1, 1, capacity=two)
    for name in ("first", "second"):
        assert up(world, name, 1, 3600, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 200.0
    assert up(world, "exam", 1, 200, LeaseTerms(start_s=start_s))[0] == "done"
    world.run(start_s + 5.0 - world.now_s)
    assert sorted(live(world.peers[0])) == ["exam", "first"]


def test_a_reservation_that_is_taken_back_suspends_nobody() -> None:
    world = calm_world(7, 1, 1, capacity=ONE)
    assert up(world, "work", 1, 3600, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 200.0
    assert up(world, "exam", 1, 200, LeaseTerms(start_s=start_s))[0] == "done"
    down = world.admins["s1"].order(Action.DOWN, "exam", world.now_s)
    answer(world, world.peers[0], world.give(world.peers[0], down))
    run_checked(world, start_s + 50.0 - world.now_s)
    assert live(world.peers[0]) == ["work"]


@pytest.mark.parametrize("seed", range(6))
def test_through_deaths_nothing_runs_twice_and_all_goes_on(seed: int) -> None:
    """Daemons are killed between two effects, over and over, while work makes room and goes on."""
    world = calm_world(seed, 3, capacity=ONE)
    request = give(world, "work", 3, 7200, BEST_EFFORT)
    assert answer(world, world.peers[0], request).state == "done"
    start_s = world.now_s + 120.0
    assert up(world, "exam", 2, 150, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    dice = world.new_dice()
    while world.now_s < start_s + 200.0:
        peer = dice.choice(world.peers)
        if peer.up:
            peer.fuse = dice.randint(1, 10)
        run_checked(world, dice.uniform(1.0, 15.0))
        for other in world.peers:
            if not other.up:
                other.start()
    for peer in world.peers:
        peer.fuse = None
        if not peer.up:
            peer.start()
    world.calm_since_s = world.now_s
    run_checked(world, 200.0)
    settle(world)
    state = {r.name: r.state for r in newest_records(world)}
    assert state["exam"] is GridState.DOWN
    assert saved(world, "work") == 0
    assert [live(peer) for peer in world.peers] == [["work"]] * 3
    phases = [
        s.phase
        for p in world.peers
        for r in node_of(p).host.leases.rows()
        for s in node_of(p).host.leases.statuses(r.record.id)
    ]
    assert phases == [Phase.READY] * 3


def test_work_that_cannot_be_suspended_runs_before_a_reservation_or_waits_for_its_end() -> None:
    world = calm_world(7, 1, 1, capacity=ONE, suspends=False)
    start_s = world.now_s + 1000.0
    assert up(world, "exam", 1, 200, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    short = LeaseTerms(best_effort=True, grace_s=0)
    state, why = up(world, "long", 1, 1200, BEST_EFFORT)
    assert state == "queued"
    assert "cpus" in why
    assert up(world, "short", 1, 600, short)[0] == "done", "it is over before"
    assert up(world, "hasty", 1, 100, LeaseTerms(start_s=world.now_s + 60.0))[0] == "failed"
    run_checked(world, start_s + 100.0 - world.now_s)
    assert live(world.peers[0]) == ["exam"]
    assert saved(world, "short") == 0
    run_checked(world, 300.0)
    assert live(world.peers[0]) == ["long"]
    settle(world)


def test_work_that_is_suspended_beyond_its_lease_has_the_rest_of_it_afterwards() -> None:
    world = calm_world(7, 1, 1, capacity=ONE)
    assert up(world, "work", 1, 400, BEST_EFFORT)[0] == "done"
    start_s = world.now_s + 200.0
    assert up(world, "exam", 1, 1000, LeaseTerms(start_s=start_s, grace_s=0))[0] == "done"
    run_checked(world, start_s + 900.0 - world.now_s)
    assert live(world.peers[0]) == ["exam"]
    run_checked(world, 300.0)
    assert live(world.peers[0]) == ["work"]
    run_checked(world, 200.0)
    assert live(world.peers[0]) == []
