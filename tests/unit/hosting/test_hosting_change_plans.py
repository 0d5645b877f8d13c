"""A plan of a change that a host holds: beside the lease, for its time, until an `apply` takes its place."""

import msgspec
import pytest
from changing_host import Changing, sized, to_apply, to_plan
from hosting_world import EACH, REQUEST, ROOM
from negotiating import ADMIN, MIB, NOW, B, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Act, ActReply, HoldReply, LeaseAsk, LeaseReply
from protocol.contract.outcomes import Propose
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, LeaseChange
from protocol.hosting.hold_row import HoldNotSaved
from protocol.terms.effects import Persist, Send
from protocol.terms.ids import GridId
from protocol.terms.limits import PLAN_HOLD_MOST_S
from protocol.terms.refusal import Constraint
from protocol.trust.order import Action
from protocol.trust.used import TABLE as USED
from protocol.wire.codec import encode

GROWN = sized(shop(2), memory_bytes=256 * MIB)
BOTH = ("web-1", "web-2")
AGAIN = pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
CARRIED = pytest.mark.parametrize("carried", [True, False], ids=["carrier", "stranger"])


def planned(
    spec: GridSpec = GROWN, *, carried: bool = True, again: bool = False
) -> tuple[Changing, GridRecord, HoldReply]:
    """A host that holds a plan; in another life if `again`."""
    one = Changing()
    record = one.up() if carried else one.record()
    ask = one.ask(record, to_plan(spec), BOTH if carried else ("web-2",))
    reply = one.said(one.hears(msgspec.structs.replace(ask, hold_s=3600.0)))
    if again:
        one.start()
    return one, record, reply


def taken_up(
    one: Changing,
    record: GridRecord,
    plan: HoldReply,
    spec: GridSpec = GROWN,
    names: tuple[str, ...] = BOTH,
) -> HoldReply:
    """The answer when an order to apply the same takes its place."""
    ask = one.ask(record, to_apply(spec), names)
    return one.said(one.hears(msgspec.structs.replace(ask, instead=plan.grid)))


def why(reply: HoldReply) -> tuple[Constraint, str]:
    ((_, refusal), *_) = reply.refused
    return refusal.constraint, refusal.detail


def test_a_plan_is_held_beside_the_lease_and_granted_to_nobody() -> None:
    one, record, reply = planned()
    assert (reply.held, reply.grant) == (BOTH, None)
    assert one.host.ledger.free == ROOM - EACH - Quantum(500, 384 * MIB)
    assert one.row().record == record
    one.host.check()


@AGAIN
@CARRIED
def test_it_ends_when_its_time_is_up_and_no_steward_is_asked(carried: bool, again: bool) -> None:
    one, record, reply = planned(carried=carried, again=again)
    one.outcomes = []
    one.keep(one.host.tick(NOW + 59.0))
    assert one.rows["hold"].keys() == {reply.grid}
    one.keep(one.host.tick(NOW + 60.1))
    assert one.rows["hold"] == {}
    assert [o for o in one.outcomes if isinstance(o, Propose)] == []
    assert one.host.ledger.free == (ROOM - EACH if carried else ROOM)
    late = one.hold(record, to_plan(GROWN), *(BOTH if carried else ("web-2",)), now=NOW + 61)
    assert late.held == (BOTH if carried else ("web-2",)), "another order may hold it again"


def test_nobody_holds_it_longer_than_a_plan_may_be_held() -> None:
    one = Changing()
    record = one.up()
    order = to_plan(GROWN, hold_s=PLAN_HOLD_MOST_S + 1)
    assert why(one.hold(record, order, *BOTH))[0] is Constraint.AUTHORITY
    assert one.rows["hold"] == {}


@AGAIN
def test_an_order_to_apply_takes_its_place_where_there_is_room_for_one_only(again: bool) -> None:
    one, record, plan = planned(again=again)
    one.other(one.host.ledger.free)
    assert one.host.ledger.free == Quantum()
    reply = taken_up(one, record, plan)
    assert reply.held == BOTH
    assert reply.grant is not None
    assert one.host.ledger.free == Quantum()
    assert one.rows["hold"].keys() == {reply.grid}
    one.decides(one.applied(record, to_apply(GROWN), {"web-2": one.me}, (reply.grant,)))


def test_a_stranger_s_plan_is_taken_up_with_its_network_ids() -> None:
    one, record, plan = planned(carried=False)
    reply = taken_up(one, record, plan, names=("web-2",))
    assert reply.held == ("web-2",)
    assert one.rows["hold"].keys() == {reply.grid}


def test_what_was_taken_up_is_not_held_again_by_the_plan_s_order() -> None:
    one = Changing()
    record, order = one.up(), to_plan(GROWN)
    plan = one.hold(record, order, *BOTH)
    taken_up(one, record, plan)
    assert why(one.hold(record, order, *BOTH))[0] is Constraint.AUTHORITY
    assert one.rows[USED]


def test_a_store_that_is_full_ends_the_plan_and_what_was_to_take_its_place() -> None:
    one, record, plan = planned()
    ask = msgspec.structs.replace(one.ask(record, to_apply(GROWN), BOTH), instead=plan.grid)
    effects, _ = one.host.message(B, ask, NOW)
    (persist,) = [e for e in effects if isinstance(e, Persist)]
    assert isinstance(persist.otherwise, HoldNotSaved)
    one.keep(one.host.handle(persist.otherwise, NOW))
    assert one.host.ledger.free == ROOM - EACH
    assert one.rows["hold"] == {}


def test_what_it_cannot_hold_of_the_change_leaves_the_plan_as_it_is() -> None:
    one, record, plan = planned()
    free = one.host.ledger.free
    ask = one.ask(record, to_apply(sized(shop(2), memory_bytes=2048 * MIB)), BOTH)
    reply = one.said(one.hears(msgspec.structs.replace(ask, instead=plan.grid)))
    assert reply.held == ()
    assert one.host.ledger.free == free
    assert one.rows["hold"].keys() == {plan.grid}


def test_one_change_of_a_grid_is_held_at_a_time() -> None:
    one, record, plan = planned()
    for order in (to_plan(shop(2)), to_apply(shop(2))):
        constraint, detail = why(one.hold(record, order, *BOTH))
        assert constraint is Constraint.CONTENDED
        assert detail == f"another change of shop is held as a plan, id {plan.grid}"


def test_a_plan_of_an_older_epoch_is_let_go_when_its_owner_shows_a_later_one() -> None:
    one, record, plan = planned(carried=False)
    assert why(one.hold(record, to_apply(shop(2), 2), "web-2"))[0] is Constraint.CONTENDED
    one.keep(one.host.tick(NOW + 0.1))
    assert plan.grid not in one.rows["hold"]


def test_any_next_epoch_of_the_grid_ends_it() -> None:
    one, record, _ = planned()
    longer = ADMIN.order(Action.LEASE, record.id, NOW, body=encode(LeaseChange(60)))
    extended = msgspec.structs.replace(record, epoch=2, changes=(longer,), extra_s=60)
    one.decides(extended)
    assert one.rows["hold"] == {}
    assert one.host.ledger.free == ROOM - EACH


def test_meanwhile_its_grid_is_suspended_and_its_lease_extended_as_ever() -> None:
    one, record, _ = planned()
    longer = ADMIN.order(Action.LEASE, record.id, NOW, body=encode(LeaseChange(60)))
    said = [
        e.message for e in one.hears(LeaseAsk(REQUEST, record.id, longer)) if isinstance(e, Send)
    ]
    assert said == [LeaseReply(REQUEST, "")]
    suspend = ADMIN.order(Action.SUSPEND, record.id, NOW, workspace="web-1")
    said = [e.message for e in one.hears(Act(REQUEST, record.id, suspend)) if isinstance(e, Send)]
    assert all(
        "a change of it" not in reply.problem for reply in said if isinstance(reply, ActReply)
    )


def test_a_plan_of_a_change_gives_way_to_no_other_grid() -> None:
    """`up` of the same name, or a change of another grid, that names it."""
    one, record, plan = planned()
    free = one.host.ledger.free
    up = one.ask(record, to_apply(GROWN), BOTH)
    others = msgspec.structs.replace(up, change=None, of=GridId(""), instead=plan.grid)
    one.hears(others)
    assert one.host.ledger.free == free
    assert one.rows["hold"].keys() == {plan.grid}
