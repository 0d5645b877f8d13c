"""Holds for changes of grids: what is added and what grows, beside what is carried."""

import msgspec
import pytest
from changing_host import Changing, sized, to_apply
from deciding import decision
from hosting_world import EACH, FACTS, ORDER, REQUEST, ROOM
from negotiating import ADMIN, MIB, NOW, B, C, HostKey, record_of, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldRelease, LeaseAsk, LeaseReply
from protocol.contract.outcomes import AuditLease, Propose, VoidHold
from protocol.grid.grant import HoldGrant, read_grant, sign_grant
from protocol.grid.record import (
    GridRecord,
    GridState,
    LeaseChange,
    Register,
    Void,
    grid_id,
    order_part,
)
from protocol.grid.steps import Decline
from protocol.hosting.publishing import Publishing
from protocol.terms.effects import Persist, Send
from protocol.terms.limits import HOLD_S
from protocol.terms.refusal import Constraint
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import Action
from protocol.wire.codec import encode


def why(reply: object) -> tuple[Constraint, str]:
    ((_, refusal), *_) = reply.refused  # type: ignore[attr-defined]
    return refusal.constraint, refusal.detail


def test_what_is_added_is_held_beside_the_lease_and_granted_with_all_that_is_carried() -> None:
    one = Changing()
    record = one.up()
    before = one.host.ledger.free
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.held == ("web-1", "web-2")
    assert one.host.ledger.free == before - EACH
    assert reply.grant is not None
    grant = read_grant(reply.grant)
    assert (grant.grid, grant.workspaces, grant.change) == (record.id, reply.held, reply.grid)
    assert one.rows["hold"].keys() == {reply.grid}


def test_a_host_that_carries_nothing_of_the_grid_holds_for_its_change() -> None:
    one = Changing()
    record = one.record()
    reply = one.hold(record, to_apply(shop(2)), "web-2")
    assert reply.held == ("web-2",)
    assert one.host.ledger.free == ROOM - EACH


def test_of_what_grows_only_the_growth_is_held() -> None:
    one = Changing()
    record = one.up()
    before = one.host.ledger.free
    grown = sized(shop(1), memory_bytes=512 * MIB, cpus_milli=400)
    assert one.hold(record, to_apply(grown), "web-1").held == ("web-1",)
    assert one.host.ledger.free == before - Quantum(0, 384 * MIB), "fewer cpus are free later"
    assert one.row().record == record


def test_what_grows_beyond_the_room_is_refused_with_what_there_is() -> None:
    one = Changing()
    record = one.up()
    reply = one.hold(record, to_apply(sized(shop(1), memory_bytes=2048 * MIB)), "web-1")
    assert (reply.held, reply.grant) == ((), None)
    ((name, refusal),) = reply.refused
    assert name == "web-1"
    assert (refusal.constraint, refusal.asked, refusal.available) == (
        Constraint.MEMORY,
        1920 * MIB,
        896 * MIB,
    )
    assert one.rows["hold"] == {}


@pytest.mark.parametrize("rate", [{"disk_bytes_s": 50 * MIB}, {"disk_operations_s": 500}])
def test_a_host_that_cannot_hold_guests_to_a_rate_of_disks_promises_none(
    rate: dict[str, int],
) -> None:
    for fault, held in (("", ("web-1",)), ("its groups count nothing", ())):
        one = Changing()
        whole = msgspec.structs.replace(
            FACTS.capacity, disk_bytes_s=1 << 40, disk_operations_s=1 << 20
        )
        one.facts = msgspec.structs.replace(
            FACTS, driver="lxc:///", capacity=whole, disk_rate_fault=fault
        )
        one.start()
        record = one.up()
        free = one.host.ledger.free
        reply = one.hold(record, to_apply(sized(shop(1), **rate)), "web-1")
        assert reply.held == held
        assert one.host.ledger.free == free - (Quantum(**rate) if held else Quantum())
    said = "it cannot hold its guests to a rate of disks: its groups count nothing"
    assert why(reply) == (Constraint.DRIVER, said)


def test_what_it_promised_and_had_no_room_for_is_held_whole_when_it_is_changed_again() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    one.keep(one.host.holds.lost())
    one.other(ROOM - EACH)
    after = one.applied(record, change, {"web-2": one.me}, (reply.grant,))
    one.decides(after)
    assert one.row().lacks == ("web-2",)
    publishing = Publishing(one.host)
    publishing.due(record.id)
    (told,) = [p.notice for p in publishing.pop_due(NOW + 5) if p.notice is not None]
    assert told.lacks == ("web-2",)
    one.other(Quantum())
    larger = to_apply(sized(shop(2), memory_bytes=256 * MIB), 2)
    reply = one.hold(after, larger, "web-1", "web-2")
    assert reply.held == ("web-1", "web-2"), reply.refused
    assert one.host.ledger.free == ROOM - Quantum(1000, 512 * MIB)


def test_asked_twice_it_is_held_once() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    first = one.hold(record, change, "web-1", "web-2")
    free = one.host.ledger.free
    assert one.hold(record, change, "web-1", "web-2", now=NOW + 1) == first
    assert one.host.ledger.free == free


def test_what_is_held_is_said_again_also_where_its_owners_orders_are_as_many_as_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    first = one.hold(record, change, "web-1", "web-2")
    monkeypatch.setattr(one.host.used, "full", lambda owner, now: "too many orders")
    assert one.hold(record, change, "web-1", "web-2", now=NOW + 1) == first
    other = to_apply(shop(2), admin=ADMIN, now=NOW + 1)
    assert why(one.hold(record, other, "web-1", "web-2")) == (Constraint.LIMIT, "too many orders")


def test_more_of_one_attempt_can_be_asked_for() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(3))
    one.hold(record, change, "web-1", "web-2")
    reply = one.hold(record, change, "web-1", "web-2", "web-3")
    assert reply.held == ("web-1", "web-2", "web-3")
    assert one.host.ledger.free == ROOM - Quantum(1500, 384 * MIB)


def test_what_is_held_is_held_after_a_restart() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(sized(shop(2), memory_bytes=256 * MIB))
    first = one.hold(record, change, "web-1", "web-2")
    free = one.host.ledger.free
    one.start()
    one.host.check()
    assert one.host.ledger.free == free
    assert one.hold(record, change, "web-1", "web-2", now=NOW + 1) == first


def test_what_is_let_go_is_free_and_may_be_asked_for_again() -> None:
    one = Changing()
    record = one.up()
    free = one.host.ledger.free
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    one.hears(HoldRelease(reply.grid, ("web-1", "web-2")))
    assert one.host.ledger.free == free
    assert one.rows["hold"] == {}
    assert one.hold(record, change, "web-1", "web-2") == reply


def test_a_store_that_is_full_takes_a_hold_back() -> None:
    one = Changing()
    record = one.up()
    free = one.host.ledger.free
    effects = one.hears(one.ask(record, to_apply(shop(2)), ("web-1", "web-2")))
    (persist,) = [e for e in effects if isinstance(e, Persist)]
    one.keep(one.host.handle(persist.otherwise, NOW))  # type: ignore[arg-type]
    assert one.host.ledger.free == free


@pytest.mark.parametrize(
    ("count", "names", "said"),
    [
        pytest.param(2, ("web-2",), "web-1 stays here, and is not asked for", id="forgotten"),
        pytest.param(2, ("web-1", "web-3"), "the order has no web-3", id="unknown"),
        pytest.param(2, ("web-1", "web-1"), "a workspace is asked for twice", id="twice"),
        pytest.param(2, ("web-1",), "nothing is added to what this host carries", id="nothing"),
    ],
)
def test_it_is_asked_for_all_that_it_would_carry(
    count: int, names: tuple[str, ...], said: str
) -> None:
    one = Changing()
    record = one.up()
    constraint, detail = why(one.hold(record, to_apply(shop(count)), *names))
    assert constraint is Constraint.AUTHORITY
    assert said in detail
    assert one.rows["hold"] == {}


def test_what_stays_on_another_host_is_not_held_here() -> None:
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": one.me, "web-2": B})
    change = to_apply(shop(3), of=record.id)
    assert "web-2 stays on another host" in why(one.hold(record, change, "web-1", "web-2"))[1]


def test_an_order_for_an_older_epoch_says_what_would_work() -> None:
    one = Changing()
    record = one.changes(one.up(), shop(2), "web-1", "web-2")
    constraint, detail = why(one.hold(record, to_apply(shop(3)), "web-1", "web-2", "web-3"))
    assert constraint is Constraint.AUTHORITY
    assert "is at epoch 2, the order was for 1\n  would work" in detail


def test_a_host_that_is_behind_asks_its_stewards() -> None:
    one = Changing()
    record = one.up()
    one.keep(one.host.tick(NOW + 1))
    constraint, detail = why(one.hold(record, to_apply(shop(2), 3), "web-1", "web-2", now=NOW + 2))
    assert constraint is Constraint.CONTENDED, "it is worth another attempt"
    assert "asks its stewards" in detail
    one.keep(one.host.tick(NOW + 2))
    assert [o.purpose for o in one.outcomes if isinstance(o, Propose)] == [AuditLease(record.id)]


def test_what_may_not_change_is_refused_with_what_would_work() -> None:
    one = Changing()
    record = one.up()
    named = msgspec.structs.replace(shop(2), name="shed")
    assert "keeps its name" in why(one.hold(record, to_apply(named), "web-1", "web-2"))[1]


def test_one_change_is_held_at_a_time() -> None:
    one = Changing()
    record = one.up()
    one.hold(record, to_apply(shop(2)), "web-1", "web-2")
    other = one.hold(record, to_apply(shop(3)), "web-1", "web-2")
    assert why(other)[0] is Constraint.CONTENDED
    assert "another change of shop is held" in why(other)[1]


def test_nobody_else_takes_over_an_attempt() -> None:
    one = Changing()
    record = one.up()
    ask = one.ask(record, to_apply(shop(2)), ("web-1", "web-2"))
    one.hears(ask)
    reply = one.said(one.keep(one.host.message(C, ask, NOW)))
    assert "another peer asked for it first" in why(reply)[1]


def test_an_order_that_was_carried_out_is_not_held_for_again() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    one.decides(one.applied(record, change, {"web-2": one.me}, (reply.grant,)))
    one.start()
    assert "carried out here already" in why(one.hold(record, change, "web-1", "web-2"))[1]


def test_nothing_is_held_for_an_order_that_is_older_than_its_grid() -> None:
    """Stewards take neither such a change nor a vote against it."""
    one = Changing()
    record = one.up()
    old = to_apply(shop(2), now=NOW - CLOCK_TOLERANCE_S - 1)
    reply = one.hold(record, old, "web-1", "web-2")
    assert reply.held == ()
    assert reply.refused[0][1].detail == "expired: the order is older than the grid"
    assert one.rows["hold"] == {}


def test_nothing_is_held_for_a_grid_that_is_being_taken_down() -> None:
    one = Changing()
    record = one.up()
    one.decides(msgspec.structs.replace(
        record, state=GridState.DOWN, epoch=2, changes=(ADMIN.order(Action.DOWN, record.id, NOW),)
    ))  # fmt: skip
    assert "being taken down" in why(one.hold(record, to_apply(shop(2)), "web-1", "web-2"))[1]


def test_a_lease_in_its_grace_is_extended_before_its_grid_changes() -> None:
    one = Changing()
    record = one.up()
    end_s = one.row().lease_until_s
    one.keep(one.host.tick(end_s + 1))
    change = to_apply(shop(2), now=end_s + 1)
    constraint, detail = why(one.hold(record, change, "web-1", "web-2", now=end_s + 2))
    assert constraint is Constraint.TIME
    assert "would work: `overlayctl lease extend shop 1h`, then the same again" in detail


def test_a_lease_is_not_extended_while_a_change_of_it_is_held() -> None:
    one = Changing()
    record = one.up()
    one.hold(record, to_apply(shop(2)), "web-1", "web-2")
    longer = ADMIN.order(Action.LEASE, record.id, NOW, body=encode(LeaseChange(3600)))
    (reply,) = [
        e.message for e in one.hears(LeaseAsk(REQUEST, record.id, longer)) if isinstance(e, Send)
    ]
    assert isinstance(reply, LeaseReply)
    assert "a change of it is being decided\n  would work: the same again" in reply.problem


# -- what becomes of it


def vnis_of(record: GridRecord) -> tuple[int, ...]:
    return tuple(vni for _, vni in record.vnis)


def settle(one: Changing, purpose: VoidHold, record: GridRecord | None, **more: object) -> None:
    register = Register(record, **more)  # type: ignore[arg-type]
    known = decision(register) if record is not None else None
    one.keep(one.host.settled(purpose, known, NOW + 10))


def asked(one: Changing, now: float) -> Propose:
    one.keep(one.host.tick(now))
    (propose,) = [
        o for o in one.outcomes if isinstance(o, Propose) and isinstance(o.purpose, VoidHold)
    ]
    return propose


def test_when_its_time_is_up_the_stewards_are_asked_to_decline_it() -> None:
    one = Changing()
    record = one.up()
    free = one.host.ledger.free
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    propose = asked(one, NOW + HOLD_S + 1)
    assert propose.step == Decline(record.id, reply.grid, change)
    assert propose.register == order_part(record.id)
    settle(one, VoidHold(reply.grid), record)
    assert one.host.holds.row(reply.grid) is not None, "they did not say yet"
    settle(one, VoidHold(reply.grid), record, declined=(Void(reply.grid, NOW + 999),))
    assert one.host.holds.row(reply.grid) is None
    assert one.host.ledger.free == free
    assert one.rows["hold"] == {}
    assert one.row().record == record


def test_a_change_that_was_decided_is_taken_up_when_the_stewards_say_so() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    after = one.applied(record, change, {"web-2": one.me}, (reply.grant,))
    settle(one, VoidHold(reply.grid), after)
    assert [w.workspace for w in one.row().wanted] == ["web-1", "web-2"]
    assert one.rows["hold"] == {}


def test_another_change_that_was_faster_gives_the_room_back_at_once() -> None:
    one = Changing()
    record = one.up()
    one.hold(record, to_apply(shop(2)), "web-1", "web-2")
    free = one.host.ledger.free
    gone = ADMIN.order(Action.LEASE, record.id, NOW, body=encode(LeaseChange(-60)))
    one.decides(msgspec.structs.replace(record, epoch=2, changes=(gone,), extra_s=-60))
    assert one.host.ledger.free == free + EACH
    assert one.rows["hold"] == {}


def test_an_added_host_that_heard_nothing_takes_up_what_a_later_epoch_still_has_there() -> None:
    one = Changing()
    record = record_of(ORDER, {"web-1": C})
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-2")
    assert reply.grant is not None
    first = one.applied(record, change, {"web-2": one.me}, (reply.grant,))
    more = to_apply(shop(3), 2)
    grant = HoldGrant(record.id, ("web-3",), vnis_of(record), change=grid_id(more, 0, B))
    second = one.applied(first, more, {"web-3": B}, (sign_grant(grant, HostKey(B)),))
    settle(one, VoidHold(reply.grid), second)
    assert [w.workspace for w in one.row().wanted] == ["web-2"]
    assert one.rows["hold"] == {}


def test_a_change_that_was_superseded_is_asked_about_when_a_later_one_comes() -> None:
    one = Changing()
    record = one.record()
    first = one.hold(record, to_apply(shop(2)), "web-2")
    late = one.hold(record, to_apply(shop(3), 2), "web-2", "web-3", now=NOW + 1)
    assert why(late)[0] is Constraint.CONTENDED
    assert asked(one, NOW + 1).purpose == VoidHold(first.grid)


def test_a_grid_that_nobody_knows_when_its_order_is_stale_is_never_made() -> None:
    one = Changing()
    record = one.record()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-2")
    asked(one, NOW + HOLD_S + 1)
    settle(one, VoidHold(reply.grid), None)
    one.host.unsettled(VoidHold(reply.grid), NOW + HOLD_S + 20)
    late_s = NOW + 10_000
    assert asked(one, late_s).step == Decline(record.id, reply.grid, change)
    one.keep(one.host.settled(VoidHold(reply.grid), None, late_s))
    assert one.host.ledger.free == ROOM
    assert one.rows["hold"] == {}


def test_what_was_held_where_nothing_is_placed_then_is_free() -> None:
    one = Changing()
    elsewhere = record_of(ORDER, {"web-1": C})
    vnis = tuple(vni for _, vni in elsewhere.vnis)
    change = to_apply(shop(2))
    one.hold(elsewhere, change, "web-2")
    grant = HoldGrant(elsewhere.id, ("web-2",), vnis, change=grid_id(change, 0, B))
    after = one.applied(elsewhere, change, {"web-2": B}, (sign_grant(grant, HostKey(B)),))
    one.decides(after)
    assert one.host.ledger.free == ROOM
    assert one.rows["hold"] == {}
    assert one.host.leases.row(elsewhere.id) is None
