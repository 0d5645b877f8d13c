"""Leases in a whole federation: reservations, deadlines, ends, through the deaths of everybody involved."""

import pytest
from sim_calm import answer, calm_world, node_of, view

from protocol.capacity.quantum import Quantum
from protocol.grid.lifecycle import Phase
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.record import GridState, LeaseChange, grid_id, order_part
from protocol.sim.clocks import Clock
from protocol.sim.peer import SimPeer
from protocol.sim.people import MIB, grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import JOIN_WITHIN_S, knows_all, settle
from protocol.sim.world import World
from protocol.terms.ids import RequestId
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

GIB = 1 << 30
SMALL = Quantum(1000, 1 * GIB, 8 * GIB)
"""Room for one workspace of a cpu."""


def asked(world: World, request: RequestId, peer: SimPeer | None = None) -> tuple[str, str]:
    """(state, answer) of a request to the first peer."""
    seen = answer(world, peer or world.peers[0], request)
    return seen.state, "\n".join(seen.answer)


def up(world: World, name: str, count: int, lease_s: int, lease: LeaseTerms) -> RequestId:
    spec = grid_spec(
        name, count, cpus_milli=1000, memory_bytes=512 * MIB, lease_s=lease_s, lease=lease
    )
    return world.give(world.peers[0], world.admins["s1"].up(spec, world.now_s))


def running(world: World) -> list[str]:
    return [w for peer in world.peers for _, w in peer.machines.there]


def test_a_reservation_begins_together_and_ends_and_is_deleted() -> None:
    world = calm_world(7, 3, capacity=SMALL)
    start_s = world.now_s + 600.0
    terms = LeaseTerms(start_s=start_s, grace_s=300)
    state, answer = asked(world, up(world, "exam", 3, 900, terms))
    assert state == "done"
    assert answer.startswith("exam is reserved: 3 workspaces from ")
    assert running(world) == []
    world.run(start_s - world.now_s - 1.0)
    assert running(world) == []
    assert world.run_until(lambda: len(running(world)) == 3, 3.0)
    world.run(start_s + 890.0 - world.now_s)
    assert len(running(world)) == 3
    world.run(20.0)
    assert running(world) == []
    (record,) = newest_records(world)
    assert record.state is GridState.UP, "its volumes are kept"
    world.run(320.0)
    settle(world)
    (record,) = newest_records(world)
    assert record.state is GridState.DOWN
    assert not any(node_of(p).host.leases.rows() for p in world.peers)
    state, _ = asked(world, up(world, "exam", 3, 900, LeaseTerms()))
    assert state == "done", "the name is free again"


def test_short_work_runs_before_a_reservation_and_long_work_is_refused() -> None:
    world = calm_world(7, 1, 1, capacity=SMALL)
    start_s = world.now_s + 1000.0
    reserved, _ = asked(world, up(world, "exam", 1, 600, LeaseTerms(start_s=start_s)))
    assert reserved == "done"
    long, why = asked(world, up(world, "long", 1, 1000, LeaseTerms()))
    assert long == "failed"
    assert "cpus" in why
    short, _ = asked(world, up(world, "short", 1, 800, LeaseTerms()))
    assert short == "done", "it is over before the reservation begins"
    world.run(start_s + 5.0 - world.now_s)
    assert len(running(world)) == 1
    later, _ = asked(world, up(world, "later", 1, 600, LeaseTerms(start_s=start_s + 700.0)))
    assert later == "done"


def test_a_deadline_takes_the_first_start_that_ends_in_time() -> None:
    world = calm_world(7, 2, 2, capacity=SMALL)
    busy = LeaseTerms(on_expiry=OnExpiry.DELETE, grace_s=0)
    assert asked(world, up(world, "busy", 2, 600, busy))[0] == "done"
    began_s = world.now_s
    early = LeaseTerms(before_s=began_s + 800.0)
    state, _ = asked(world, up(world, "early", 1, 600, early))
    assert state == "failed", "there is no room early enough"
    terms = LeaseTerms(before_s=began_s + 1400.0)
    state, answer = asked(world, up(world, "thesis", 2, 600, terms))
    assert state == "done"
    assert "reserved" in answer
    (record,) = [r for r in newest_records(world) if r.name == "thesis"]
    assert began_s + 600 <= record.start_s <= began_s + 700
    assert world.run_until(lambda: world.now_s > record.start_s + 5.0, 1000.0)
    assert len(running(world)) == 2
    at_once, _ = asked(world, up(world, "soon", 1, 60, LeaseTerms(before_s=world.now_s + 80.0)))
    assert at_once == "failed"


def test_a_start_that_has_passed_is_refused_at_once() -> None:
    world = calm_world(7, 1, 1)
    state, why = asked(world, up(world, "late", 1, 600, LeaseTerms(start_s=world.now_s - 60.0)))
    assert (state, why) == ("failed", "cannot make late: its start has passed")
    state, why = asked(world, up(world, "far", 1, 600, LeaseTerms(start_s=world.now_s + 9e6)))
    assert state == "failed"
    assert "reservations are taken up to 90 d ahead" in why


@pytest.mark.parametrize("seed", range(4))
def test_everybody_may_die_at_any_time(seed: int) -> None:
    """Each daemon is killed between two effects again and again, over the whole life of a reservation."""
    world = calm_world(seed, 3, capacity=SMALL)
    start_s = world.now_s + 120.0
    terms = LeaseTerms(start_s=start_s, grace_s=120, warn_s=(30,))
    assert asked(world, up(world, "exam", 3, 180, terms))[0] == "done"
    dice = world.new_dice()
    while world.now_s < start_s + 180 + 120 + 60:
        peer = dice.choice(world.peers)
        if peer.up:
            peer.fuse = dice.randint(1, 8)
        world.run(dice.uniform(1.0, 20.0))
        for other in world.peers:
            if not other.up:
                other.start()
        world.run(dice.uniform(1.0, 10.0))
    for peer in world.peers:
        peer.fuse = None
        if not peer.up:
            peer.start()
    world.calm_since_s = world.now_s
    settle(world)
    (record,) = newest_records(world)
    assert record.state is GridState.DOWN
    assert running(world) == []


def test_a_host_that_was_away_at_the_start_begins_when_it_is_back() -> None:
    world = calm_world(7, 3, capacity=SMALL)
    start_s = world.now_s + 100.0
    assert asked(world, up(world, "exam", 3, 600, LeaseTerms(start_s=start_s)))[0] == "done"
    away = world.peers[2]
    away.crash()
    world.run(start_s + 50.0 - world.now_s)
    assert len(running(world)) == 2
    away.start()
    assert world.run_until(lambda: len(running(world)) == 3, 5.0)
    carrier = node_of(away).host.leases
    (row,) = carrier.rows()
    assert world.run_until(
        lambda: all(s.phase is Phase.READY for s in carrier.statuses(row.record.id)), 10.0
    )


def test_suspended_and_restored_by_order() -> None:
    world = calm_world(7, 2, 2, capacity=SMALL)
    assert asked(world, up(world, "work", 2, 3600, LeaseTerms()))[0] == "done"
    admin = world.admins["s1"]
    order = admin.order(Action.SUSPEND, "work", world.now_s)
    assert asked(world, world.give(world.peers[1], order), world.peers[1])[0] == "done"
    assert all(m.saved for peer in world.peers for m in peer.machines.there.values())
    assert asked(world, up(world, "other", 2, 600, LeaseTerms()))[0] == "done", "there is room"
    order = admin.order(Action.RESTORE, "work", world.now_s)
    state, why = asked(world, world.give(world.peers[0], order))
    assert state == "failed"
    assert "free here until its lease ends: 0 cpus" in why
    world.run(700.0)
    order = admin.order(Action.RESTORE, "work", world.now_s)
    assert asked(world, world.give(world.peers[0], order))[0] == "done"
    settle(world)


def test_in_its_grace_a_restart_is_refused_at_once_with_what_would_work() -> None:
    world = calm_world(7, 2, 2, capacity=SMALL)
    assert asked(world, up(world, "work", 2, 100, LeaseTerms(grace_s=60)))[0] == "done"
    world.run(110.0)
    assert running(world) == []
    began_s = world.now_s
    order = world.admins["s1"].order(Action.RESTART, "work", world.now_s)
    state, why = asked(world, world.give(world.peers[0], order))
    assert (state, world.now_s - began_s < 5.0) == ("failed", True)
    assert why.startswith("cannot restart work: its lease is over since ")
    assert "would work: `overlayctl lease extend work 1h`, then restart again" in why
    assert lease(world, "work", 600)[0] == "done"
    assert world.run_until(lambda: len(running(world)) == 2, 10.0), "nothing was lost"


def clocked(*off_s: float) -> World:
    """One peer at each site, each with a clock that is off by so much, which they have found out."""
    world = World(7, len(off_s), len(off_s), capacity=SMALL)
    for peer, ahead_s in zip(world.peers, off_s, strict=True):
        peer.clock = Clock(world.now_s, ahead_s)
    world.start_all()
    assert world.run_until(lambda: knows_all(world), JOIN_WITHIN_S)
    world.run(20.0)
    return world


def test_hosts_200_ms_apart_begin_together() -> None:
    world = clocked(-0.1, 0.0, 0.1)
    start_s = world.now_s + 100.0
    assert asked(world, up(world, "exam", 3, 600, LeaseTerms(start_s=start_s)))[0] == "done"
    notes: dict[str, float] = {}

    def begun() -> bool:
        for peer in world.peers:
            if peer.notes["lease.started"]:
                notes.setdefault(peer.name, world.now_s)
        return len(notes) == 3

    assert world.run_until(begun, 110.0)
    assert max(notes.values()) - min(notes.values()) <= 0.25
    assert all(abs(at_s - start_s) <= 0.15 for at_s in notes.values())


@pytest.mark.parametrize(("off_s", "which"), [(3600.0, "ahead of"), (-3600.0, "behind")])
def test_a_host_an_hour_wrong_takes_no_reservation_and_says_why(off_s: float, which: str) -> None:
    world = clocked(0.0, 0.1, off_s, -0.1)
    terms = LeaseTerms(start_s=world.now_s + 7200.0)
    state, why = asked(world, up(world, "big", 4, 600, terms))
    assert state == "failed"
    assert f"clock: its clock is 1 h {which} the median of" in why
    state, _ = asked(world, up(world, "exam", 3, 600, terms))
    assert state == "done", "the others take it"
    (record,) = newest_records(world)
    assert world.peers[2].id not in record.carriers()


BEST_EFFORT = LeaseTerms(best_effort=True)


def state_of(world: World, request: RequestId) -> str:
    return view(world.peers[0], request).state


def queue(world: World, name: str, count: int, lease_s: int) -> RequestId:
    """A best-effort grid, asked of the first peer."""
    return world.give(world.peers[0], queued(world, name, count, lease_s))


def queued(world: World, name: str, count: int, lease_s: int) -> SignedOrder:
    """The order for it, signed now."""
    spec = grid_spec(
        name, count, cpus_milli=1000, memory_bytes=512 * MIB, lease_s=lease_s, lease=BEST_EFFORT
    )
    return world.admins["s1"].order(
        Action.UP, name, world.now_s, body=encode(spec), valid_s=7 * 86400.0
    )


def test_best_effort_waits_for_room_and_says_why() -> None:
    world = calm_world(7, 2, 2, capacity=SMALL)
    busy = LeaseTerms(on_expiry=OnExpiry.DELETE, grace_s=0)
    assert asked(world, up(world, "busy", 2, 300, busy))[0] == "done"
    request = queue(world, "later", 2, 600)
    state, why = asked(world, request)
    assert state == "queued"
    assert why.startswith("later is queued until there is room, or until ")
    assert "2 hosts lack cpus" in why
    world.run(15.0)
    rows = len(view(world.peers[0], request).story)
    assert "asked to keep room" in view(world.peers[0], request).story[-1].text
    world.run(85.0)
    assert state_of(world, request) == "queued"
    assert len(view(world.peers[0], request).story) == rows, "its story does not repeat itself"
    assert world.run_until(lambda: state_of(world, request) == "done", 300.0)
    assert world.peers[0].store["queue"] == {}
    assert len(running(world)) == 2


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("signed", ["apart, given backwards", "at one moment"])
def test_of_one_owners_queue_only_the_oldest_has_room_kept(seed: int, signed: str) -> None:
    """Hosts would heed no other claim, and each try costs a round of quotes. The oldest was signed first.

    Of two of one moment hosts rank the lesser order first.
    """
    world = calm_world(seed, 2, 2, capacity=SMALL)
    busy = LeaseTerms(on_expiry=OnExpiry.DELETE, grace_s=0)
    assert asked(world, up(world, "busy", 2, 300, busy))[0] == "done"
    orders = [queued(world, "one", 2, 60)]
    if signed == "at one moment":
        orders = sorted(
            [*orders, queued(world, "two", 2, 60)], key=lambda order: order_part(grid_id(order))
        )
    else:
        world.run(0.5)
        orders.append(queued(world, "two", 2, 60))
    younger, older = (world.give(world.peers[0], order) for order in reversed(orders))

    def claims(request: RequestId) -> bool:
        return any("keep room" in line.text for line in view(world.peers[0], request).story)

    world.run(60.0)
    assert (claims(older), claims(younger)) == (True, False)
    assert world.run_until(lambda: state_of(world, older) == "done", 300.0)
    assert state_of(world, younger) == "queued"
    assert world.run_until(lambda: claims(younger) or state_of(world, younger) == "done", 120.0)


def test_the_queue_outlives_its_peer() -> None:
    world = calm_world(7, 2, 2, capacity=SMALL)
    busy = LeaseTerms(on_expiry=OnExpiry.DELETE, grace_s=0)
    assert asked(world, up(world, "busy", 2, 400, busy))[0] == "done"
    request = queue(world, "later", 2, 600)
    assert asked(world, request)[0] == "queued"
    first = world.peers[0]
    first.crash()
    world.run(5.0)
    first.start()
    assert state_of(world, request) == "queued"
    assert world.run_until(lambda: state_of(world, request) == "done", 600.0)
    settle(world)


@pytest.mark.parametrize("fuse", range(1, 26))
def test_killed_after_every_effect_it_is_made_once(fuse: int) -> None:
    """The peer dies while it is asked, queued, tried again, committed. From the store it goes on."""
    world = calm_world(7, 2, 2, capacity=SMALL)
    first = world.peers[0]
    request = queue(world, "once", 2, 600) if fuse > 12 else None
    first.fuse = fuse if fuse <= 12 else fuse - 12
    if request is None:
        request = queue(world, "once", 2, 600)
    world.run(3.0)
    first.fuse = None
    if not first.up:
        first.start()
    world.calm_since_s = world.now_s
    world.run(200.0)
    settle(world)
    up_now = [r for r in newest_records(world) if r.state is GridState.UP]
    assert len(up_now) <= 1
    if first.store.get("queue", {}):
        raise AssertionError(view(first, request))
    assert len(running(world)) == 2 * len(up_now)


def test_who_waits_can_be_told_not_to() -> None:
    world = calm_world(7, 1, 1, capacity=SMALL)
    assert asked(world, up(world, "busy", 1, 300, LeaseTerms()))[0] == "done"
    request = queue(world, "later", 1, 600)
    assert asked(world, request)[0] == "queued"
    order = world.admins["s1"].order(Action.DOWN, "later", world.now_s)
    assert asked(world, world.give(world.peers[0], order))[0] == "done"
    assert state_of(world, request) == "cancelled"
    assert world.peers[0].store["queue"] == {}


def test_it_waits_no_longer_than_its_order_is_valid() -> None:
    world = calm_world(7, 1, 1, capacity=SMALL)
    assert asked(world, up(world, "busy", 1, 86400, LeaseTerms()))[0] == "done"
    spec = grid_spec("later", 1, cpus_milli=1000, lease=BEST_EFFORT)
    request = world.give(world.peers[0], world.admins["s1"].up(spec, world.now_s))
    assert asked(world, request)[0] == "queued"
    assert world.run_until(lambda: state_of(world, request) == "failed", 700.0)
    assert "found no room while its order was valid" in asked(world, request)[1]


def test_only_best_effort_has_an_order_that_stays_fresh() -> None:
    world = calm_world(7, 1, 1, capacity=SMALL)
    spec = grid_spec("plain", 1, cpus_milli=1000)
    order = world.admins["s1"].order(
        Action.UP, "plain", world.now_s, body=encode(spec), valid_s=86400.0
    )
    state, why = asked(world, world.give(world.peers[0], order))
    assert state == "failed"
    assert "only best effort may wait so long" in why


def lease(world: World, name: str, by_s: int, peer: int = 0) -> tuple[str, str]:
    """(state, answer) of an order to change a lease."""
    body = encode(LeaseChange(by_s))
    order = world.admins["s1"].order(Action.LEASE, name, world.now_s, body=body)
    asker = world.peers[peer]
    return asked(world, world.give(asker, order), asker)


def ends(world: World, name: str) -> list[float]:
    """In how many seconds the lease ends, by each host that carries it."""
    return [
        row.lease_until_s - world.now_s
        for peer in world.peers
        for row in node_of(peer).host.leases.rows()
        if row.record.name == name
    ]


def test_a_lease_is_extended_on_all_its_hosts() -> None:
    world = calm_world(7, 3, capacity=SMALL)
    assert asked(world, up(world, "work", 3, 300, LeaseTerms(warn_s=(100,))))[0] == "done"
    state, answer_ = lease(world, "work", 600, peer=2)
    assert state == "done"
    assert answer_.startswith("the lease of work is extended by 10 min, until ")
    assert all(890 < left_s < 901 for left_s in ends(world, "work"))
    world.run(400.0)
    assert len(running(world)) == 3, "it goes on"
    assert lease(world, "work", -300)[0] == "done"
    assert all(180 < left_s < 201 for left_s in ends(world, "work"))
    state, why = lease(world, "work", -300)
    assert state == "failed"
    assert "would work: less, or `overlayctl down work`" in why
    settle(world)


def test_who_comes_next_is_not_displaced_and_nobody_is_extended_alone() -> None:
    world = calm_world(7, 3, capacity=SMALL)
    assert asked(world, up(world, "work", 3, 300, LeaseTerms()))[0] == "done"
    terms = LeaseTerms(start_s=world.now_s + 600.0)
    assert asked(world, up(world, "exam", 1, 300, terms))[0] == "done"
    before = ends(world, "work")
    state, why = lease(world, "work", 600)
    assert state == "failed"
    assert "a host has promised its room until" in why
    world.run(30.0)
    assert [round(left_s + 30) for left_s in ends(world, "work")] == [round(b) for b in before]
    assert not any(r.pending for p in world.peers for r in node_of(p).host.leases.rows())
    assert asked(world, up(world, "small", 1, 200, LeaseTerms(start_s=world.now_s + 320.0)))[0] == (
        "done"
    ), "what others had promised for it is free again"


def test_extended_in_its_grace_it_runs_again() -> None:
    world = calm_world(7, 2, 2, capacity=SMALL)
    terms = LeaseTerms(on_expiry=OnExpiry.SUSPEND)
    assert asked(world, up(world, "work", 2, 100, terms))[0] == "done"
    assert world.run_until(
        lambda: all(m.saved for p in world.peers for m in p.machines.there.values()), 200.0
    )
    assert lease(world, "work", 600)[0] == "done"
    assert world.run_until(
        lambda: not any(m.saved for p in world.peers for m in p.machines.there.values()), 10.0
    )
    settle(world)


@pytest.mark.parametrize("fuse", range(1, 15))
@pytest.mark.parametrize("who", [0, 1])
def test_cut_after_every_effect_an_extension_is_on_all_hosts_or_none(fuse: int, who: int) -> None:
    world = calm_world(7, 3, capacity=SMALL)
    assert asked(world, up(world, "work", 3, 600, LeaseTerms()))[0] == "done"
    body = encode(LeaseChange(600))
    order = world.admins["s1"].order(Action.LEASE, "work", world.now_s, body=body)
    cut = world.peers[who]
    cut.fuse = fuse
    world.give(world.peers[0], order)
    world.run(3.0)
    cut.fuse = None
    if not cut.up:
        cut.start()
    world.calm_since_s = world.now_s
    world.run(150.0)
    settle(world)
    left = ends(world, "work")
    assert len(left) == 3
    assert max(left) - min(left) < 5.0, "all of them, or none"
    assert not any(r.pending for p in world.peers for r in node_of(p).host.leases.rows())
