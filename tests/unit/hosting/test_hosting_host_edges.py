"""The host as a whole at its edges: moments, defaults, what is asked twice, and faults of any part."""

import msgspec
import pytest
from deciding import decided
from hosting_world import EACH, FACTS, GRID, IMAGE, LATER, ORDER, ROOM, One, named
from negotiating import ADMIN, MIB, NOW, RIVAL, B, record_of, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, DecidedAck, HoldAsk, HoldReply
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import RoomChanged
from protocol.grid.lifecycle import Power
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridRecord, GridState, grid_id, vni_of
from protocol.terms.effects import Send
from protocol.terms.limits import HEARD_S, HOLD_S, YIELD_EARLY_S
from protocol.terms.refusal import Constraint
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

WAITS = ADMIN.order(
    Action.UP,
    "shop",
    NOW,
    body=encode(shop(2, lease=LeaseTerms(best_effort=True))),
    valid_s=86_400.0,
)
SAVE_S = 128 * MIB / (32 * MIB)
"""How long a host that has not measured it yet expects to save one workspace."""


def replied(one: One, ask: HoldAsk) -> list[Constraint]:
    """Why what is asked for is refused."""
    (reply,) = [e.message for e in one.hears(ask) if isinstance(e, Send)]
    assert isinstance(reply, HoldReply)
    return [refusal.constraint for _, refusal in reply.refused]


def ask(one: One, order: SignedOrder, vni: int) -> HoldAsk:
    return HoldAsk(grid_id(order), order, ("web-1",), (("lan", vni),), HOLD_S)


def yielding() -> tuple[One, GridRecord]:
    """It carries best-effort work, together with B."""
    one = One()
    assert replied(one, ask(one, WAITS, vni_of(grid_id(WAITS), "lan"))) == []
    record = record_of(WAITS, {"web-1": one.me, "web-2": B})
    one.hears(Decided(decided(record).certificate))
    return one, record


def powers(one: One, record: GridRecord) -> list[Power]:
    return [w.power for w in one.host.leases.wanted(record.id)]


# -- what it offers


def test_a_host_that_shrank_keeps_what_it_promised() -> None:
    one = One()
    one.leases()
    one.facts = msgspec.structs.replace(FACTS, capacity=Quantum(100, MIB, 0))
    one.start()
    one.host.check()
    assert one.host.ledger.free == Quantum(100, MIB, 0) - EACH


def test_what_it_offers_now_does_not_hang_on_its_clock() -> None:
    one = One()
    one.around.fault = "30 s behind"
    assert one.host.offer().refused is None
    assert one.host.offer(NOW + 60).refused is not None
    assert one.host.images == (IMAGE,)
    assert one.host.offer().images == (IMAGE.digest,)


def test_a_reservation_displaces_what_yields_if_there_is_time_to_save_it() -> None:
    one, _ = yielding()
    soonest_s = NOW + YIELD_EARLY_S + SAVE_S
    for start_s, free in ((soonest_s, ROOM), (soonest_s - 0.001, ROOM - EACH)):
        quote = one.quote(msgspec.structs.replace(LATER, start_s=start_s))
        assert quote.free.memory_bytes == free.memory_bytes


@pytest.mark.parametrize("moves", ["message", "tick"])
def test_it_is_as_late_as_it_was_told_last(moves: str) -> None:
    """A reservation takes its room from its first second on."""
    one = One()
    start_s = NOW + 3600
    order = ADMIN.up(shop(1, lease=LeaseTerms(start_s=start_s)), NOW)
    reserved = msgspec.structs.replace(ask(one, order, 7), start_s=start_s)
    assert replied(one, reserved) == []
    assert one.host.offer().free == ROOM
    if moves == "message":
        one.quote(now=start_s)
    else:
        one.keep(one.host.tick(start_s))
    assert one.host.offer().free == ROOM - EACH
    assert one.host.advert().free == ROOM - EACH


# -- what it is told


def test_a_record_told_again_is_only_acknowledged() -> None:
    one = One()
    record = one.leases()
    assert one.hears(Decided(decided(record).certificate)) == [Send(B, DecidedAck(GRID, 1), GRID)]
    assert one.outcomes == []


def test_the_end_of_what_was_never_here_is_only_acknowledged() -> None:
    one = One()
    down = ADMIN.order(Action.DOWN, GRID, NOW)
    ended = msgspec.structs.replace(one.record(), epoch=2, state=GridState.DOWN, changes=(down,))
    assert one.hears(Decided(decided(ended).certificate)) == [Send(B, DecidedAck(GRID, 2), GRID)]
    elsewhere = record_of(ORDER, {"web-1": B})
    assert one.hears(Decided(decided(elsewhere).certificate)) == [
        Send(B, DecidedAck(GRID, 1), GRID)
    ]


def test_a_name_and_a_network_id_that_are_held_are_given_once_too() -> None:
    one = One()
    assert replied(one, ask(one, ORDER, 7)) == []
    assert replied(one, ask(one, ADMIN.up(shop(1), NOW + 1), 8)) == [Constraint.CONTENDED]
    assert replied(one, ask(one, RIVAL.up(shop(1), NOW), 7)) == [Constraint.NETWORK_ID]
    assert replied(one, ask(one, ADMIN.up(named("other"), NOW), 8)) == []


def test_what_another_host_lacks_holds_up_this_one_until_it_is_not_so_any_more() -> None:
    one, record = yielding()
    told = Notice(
        record.id, "shop", record.owner, "s1", 1, GridState.UP, (), placement(()), (), (), NOW, 60,
        hindered=("web",),
    )  # fmt: skip
    one.keep((one.host.noticed(B, told, NOW + 1), []))
    assert powers(one, record) == [Power.SUSPENDED]
    one.keep(one.host.tick(NOW + HEARD_S))
    assert powers(one, record) == [Power.SUSPENDED]
    one.host.unheard(B, record.id)
    one.keep(one.host.tick(NOW + HEARD_S))
    assert powers(one, record) == [Power.RUNNING]
    assert RoomChanged() in one.outcomes


# -- faults


@pytest.mark.parametrize("part", ["ledger", "holds", "claims", "leases"])
def test_a_fault_of_a_part_is_a_fault_of_the_host(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = One()
    one.leases()
    one.host.check()

    def fails() -> None:
        raise AssertionError(part)

    monkeypatch.setattr(getattr(one.host, part), "check", fails)
    with pytest.raises(AssertionError, match=part):
        one.host.check()


def test_room_that_nobody_was_promised_is_a_fault() -> None:
    one = One()
    one.leases()
    one.host.ledger.enter(("nobody", "a"), EACH)
    with pytest.raises(AssertionError):
        one.host.check()
