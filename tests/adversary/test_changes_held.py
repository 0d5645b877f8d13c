"""A member that asks hosts to hold for changes of grids: of others', of none, again, for nothing, and often."""

import msgspec
import pytest
from changing_host import Changing, sized, to_apply, to_plan
from hosting_world import ROOM
from negotiating import ADMIN, MIB, NOW, RIVAL, C, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply
from protocol.contract.outcomes import Propose, VoidHold
from protocol.grid.grant import read_grant
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, grid_id
from protocol.terms.effects import Send
from protocol.terms.ids import GridId
from protocol.terms.limits import HOLD_S
from protocol.trust.order import SignedOrder

AGAIN = pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
CARRIED = pytest.mark.parametrize("carried", [True, False], ids=["carrier", "stranger"])


def attacked(*, carried: bool = True, again: bool = False) -> tuple[Changing, GridRecord]:
    """A host that carries `web-1`, or nothing; in another life if `again`."""
    one = Changing()
    record = one.up() if carried else one.record()
    if again:
        one.start()
    return one, record


def asked(one: Changing, ask: HoldAsk, now: float = NOW) -> HoldReply:
    """What C is answered."""
    effects = one.keep(one.host.message(C, ask, now))
    (reply,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(reply, HoldReply)
    return reply


def names(one: Changing, *, carried: bool) -> tuple[str, ...]:
    return ("web-1", "web-2") if carried else ("web-2",)


def holds_nothing(one: Changing, free: Quantum, reply: HoldReply) -> None:
    assert reply.held == ()
    assert reply.grant is None
    assert one.host.ledger.free == free
    assert one.rows.get("hold", {}) == {}


@AGAIN
@CARRIED
def test_nothing_is_held_for_another_s_order(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried, again=again)
    free = one.host.ledger.free
    change = to_apply(shop(2), admin=RIVAL)
    holds_nothing(one, free, asked(one, one.ask(record, change, names(one, carried=carried))))


@AGAIN
@CARRIED
def test_an_order_about_one_grid_changes_no_other(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried, again=again)
    free = one.host.ledger.free
    next_up = ADMIN.up(shop(1), NOW)
    for ask in (
        one.ask(record, to_apply(shop(2), of=grid_id(next_up)), names(one, carried=carried)),
        msgspec.structs.replace(
            one.ask(record, to_apply(shop(2)), names(one, carried=carried)), order=next_up
        ),
        msgspec.structs.replace(
            one.ask(record, to_apply(shop(2)), names(one, carried=carried)), of=grid_id(next_up)
        ),
    ):
        holds_nothing(one, free, asked(one, ask))


@AGAIN
@CARRIED
def test_an_attempt_has_the_id_of_its_own_order(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried, again=again)
    free = one.host.ledger.free
    ask = one.ask(record, to_apply(shop(2)), names(one, carried=carried))
    for grid in (record.id, GridId(f"{record.id}x"), grid_id(to_apply(shop(3)), 0, C)):
        holds_nothing(one, free, asked(one, msgspec.structs.replace(ask, grid=grid)))


@CARRIED
@pytest.mark.parametrize("order", [ADMIN.up(shop(2), NOW), ADMIN.hold(shop(2), 60.0, NOW)])
def test_an_order_to_do_something_else_is_no_order_to_apply(
    order: SignedOrder, carried: bool
) -> None:
    one, record = attacked(carried=carried)
    free = one.host.ledger.free
    holds_nothing(one, free, asked(one, one.ask(record, order, names(one, carried=carried))))


@AGAIN
def test_an_order_that_was_carried_out_holds_nothing_when_it_is_given_again(again: bool) -> None:
    one, record = attacked()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    after = one.applied(record, change, {"web-2": one.me}, (reply.grant,))
    one.decides(after)
    if again:
        one.start()
    free = one.host.ledger.free
    for record_ in (record, after):
        ask = one.ask(record_, change, ("web-1", "web-2"), attempt=1)
        holds_nothing(one, free, asked(one, ask))


@AGAIN
@CARRIED
def test_an_order_that_is_stale_holds_nothing(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried, again=again)
    free = one.host.ledger.free
    ask = one.ask(record, to_apply(shop(2)), names(one, carried=carried))
    holds_nothing(one, free, asked(one, ask, NOW + 10_000))


def huge() -> GridSpec:
    (cluster,) = shop(1).clusters
    clusters = tuple(
        msgspec.structs.replace(cluster, name=f"c{number}", count=900) for number in range(60)
    )
    return msgspec.structs.replace(shop(1), clusters=clusters)


@CARRIED
def test_a_grid_that_is_larger_than_any_may_be_is_not_even_counted_out(carried: bool) -> None:
    one, record = attacked(carried=carried)
    free = one.host.ledger.free
    for spec in (huge(), sized(shop(1), count=2_000_000_000), sized(shop(1), count=-1)):
        ask = one.ask(record, to_apply(spec), names(one, carried=carried))
        holds_nothing(one, free, asked(one, ask))


def test_a_grant_is_not_had_for_nothing() -> None:
    one, record = attacked()
    free = one.host.ledger.free
    for spec in (shop(1), shop(2)):
        holds_nothing(one, free, asked(one, one.ask(record, to_apply(spec), ("web-1",))))
    other = one.ask(record, to_apply(sized(shop(2), memory_bytes=1 << 50)), ("web-1", "web-2"))
    holds_nothing(one, free, asked(one, other))


def test_a_grant_never_leaves_out_what_stays() -> None:
    one, record = attacked()
    reply = asked(one, one.ask(record, to_apply(shop(3)), ("web-1", "web-2", "web-3")))
    assert reply.grant is not None
    assert read_grant(reply.grant).workspaces == ("web-1", "web-2", "web-3")
    one.start()
    assert asked(one, one.ask(record, to_apply(shop(3)), ("web-2", "web-3"))).grant is None


@AGAIN
@CARRIED
def test_holds_for_one_grid_do_not_add_up(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried)
    free = one.host.ledger.free
    for attempt in range(20):
        change = to_apply(sized(shop(2 + attempt), memory_bytes=128 * MIB))
        asked(one, one.ask(record, change, names(one, carried=carried), attempt))
        if again:
            one.start()
    assert one.host.ledger.free == free - Quantum(500, 128 * MIB)
    assert len(one.rows["hold"]) == 1


@AGAIN
def test_what_is_held_for_a_grid_that_was_never_made_ends(again: bool) -> None:
    one, record = attacked(carried=False)
    reply = asked(one, one.ask(record, to_apply(shop(2)), ("web-2",)))
    assert reply.held == ("web-2",)
    late_s = NOW + 10_000
    for now in (NOW + HOLD_S + 1, NOW + HOLD_S + 100, late_s):
        if again:
            one.start(now)
        one.keep(one.host.tick(now))
        (propose,) = [
            o for o in one.outcomes if isinstance(o, Propose) and isinstance(o.purpose, VoidHold)
        ]
        there = one.host.holds.row(reply.grid)
        assert there is not None, "it could be made, and use the grant"
        one.keep(one.host.settled(propose.purpose, None, now))  # type: ignore[arg-type]
    assert one.host.ledger.free == ROOM, "nobody can make it any more"
    assert one.rows["hold"] == {}


@AGAIN
def test_nobody_lets_go_of_what_another_holds(again: bool) -> None:
    one, record = attacked()
    reply = one.hold(record, to_apply(shop(2)), "web-1", "web-2")
    if again:
        one.start()
    one.keep(one.host.message(C, HoldRelease(reply.grid, ("web-1", "web-2")), NOW))
    assert one.host.holds.row(reply.grid) is not None


@AGAIN
@CARRIED
def test_a_plan_of_another_owner_is_neither_held_nor_replaced(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried, again=again)
    free = one.host.ledger.free
    wanted = names(one, carried=carried)
    plan = one.ask(record, to_plan(shop(2), admin=RIVAL), wanted)
    holds_nothing(one, free, asked(one, plan))
    mine = asked(one, one.ask(record, to_plan(shop(2)), wanted))
    assert mine.held == wanted
    if again:
        one.start()
    free = one.host.ledger.free
    theirs = one.ask(record, to_apply(shop(2), admin=RIVAL), wanted)
    reply = asked(one, msgspec.structs.replace(theirs, instead=mine.grid))
    assert reply.held == ()
    assert one.host.ledger.free == free
    assert one.rows["hold"].keys() == {mine.grid}


@AGAIN
def test_a_plan_of_a_change_is_no_plan_of_a_new_grid(again: bool) -> None:
    one, record = attacked(carried=False, again=again)
    order = to_plan(shop(2), of="shop")
    ask = HoldAsk(grid_id(order), order, ("web-1",), record.vnis, 60.0)
    holds_nothing(one, one.host.ledger.free, asked(one, ask))


@AGAIN
@CARRIED
def test_who_is_granted_nothing_makes_nothing_of_a_plan(carried: bool, again: bool) -> None:
    one, record = attacked(carried=carried, again=again)
    wanted = names(one, carried=carried)
    order = to_plan(shop(2))
    reply = asked(one, one.ask(record, order, wanted))
    assert (reply.held, reply.grant) == (wanted, None)
    one.keep(one.host.tick(NOW + 61.0))
    assert one.rows["hold"] == {}
    late = one.ask(record, order, wanted, attempt=1)
    assert asked(one, late).held == (), "its time was used up"
