"""What hosts and requesters say to each other, and what a message means that leaves out what it may."""

import msgspec
import pytest
from deciding import decided
from negotiating import ADMIN, NOW, REQUEST, A, facts, record_of, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import (
    Act,
    ActReply,
    Decided,
    DecidedAck,
    HoldAsk,
    HoldRelease,
    HoldReply,
    LeaseAsk,
    LeaseReply,
    NegotiationMessage,
    Quote,
    QuoteAsk,
    RoomClaim,
    RoomKept,
    RoomRenew,
)
from protocol.grid.lease import LeaseTime, window
from protocol.grid.record import grid_id
from protocol.terms.refusal import Constraint, Refusal
from protocol.wire.codec import convert, decode, encode, to_plain

ORDER = ADMIN.up(shop(1), NOW)
GRID = grid_id(ORDER)
NAMES = ("web-1",)
SAID: tuple[msgspec.Struct, ...] = (
    QuoteAsk(REQUEST, "s1", LeaseTime(NOW, 60.0, 90.0), "shop", ("other",), "order", NOW),
    Quote(REQUEST, "alpha", "s1", facts(A), Quantum(1, 2, 3), ("f" * 64,)),
    HoldAsk(GRID, ORDER, NAMES, (("lan", 7),), 8.0, NOW, "plan"),
    HoldReply(GRID, NAMES, (("web-2", Refusal(Constraint.MEMORY, "alpha", 2, 1)),)),
    HoldRelease(GRID, NAMES),
    RoomClaim(ORDER, NAMES),
    RoomRenew("order", 3),
    RoomKept("order", NAMES, claimed=False),
    Decided(decided(record_of(ORDER, {"web-1": A})).certificate),
    DecidedAck(GRID, 4),
    Act(REQUEST, GRID, ORDER),
    ActReply(REQUEST, "web-1", "why not"),
    LeaseAsk(REQUEST, GRID, ORDER),
    LeaseReply(REQUEST, "why not"),
)


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_what_was_said_is_heard_as_it_was_said(message: msgspec.Struct) -> None:
    assert decode(encode(message), NegotiationMessage) == message


def brief(message: msgspec.Struct) -> msgspec.Struct:
    """The same as it is heard without all that may be left out."""
    needed = {field.name for field in msgspec.structs.fields(message) if field.required}
    plain = {key: value for key, value in to_plain(message).items() if key in {"type", *needed}}
    found = convert(plain, NegotiationMessage)
    assert isinstance(found, msgspec.Struct)
    return found


def test_a_quote_is_asked_for_without_an_order_for_a_lease_that_begins_now() -> None:
    ask = brief(SAID[0])
    assert isinstance(ask, QuoteAsk)
    at_once = window(ask.time, NOW, suspends=True)
    assert (at_once.start_s, at_once.end_s, at_once.kept_until_s) == (NOW, NOW, NOW)
    assert (ask.grid, ask.apart, ask.order, ask.since_s) == ("", (), "", 0.0), "it is a plan"


def test_a_hold_is_asked_for_to_begin_now_and_in_the_place_of_nothing() -> None:
    ask = brief(SAID[2])
    assert isinstance(ask, HoldAsk)
    assert (ask.start_s, ask.instead) == (0.0, "")


def test_a_host_refuses_nothing_and_keeps_nothing_unless_it_says_so() -> None:
    quote = brief(SAID[1])
    assert isinstance(quote, Quote)
    assert (quote.refused, quote.clashes, quote.hidden, quote.coordinate) == (None, (), False, None)
    assert (quote.held, quote.kept, quote.later) == (Quantum(), Quantum(), ())


def test_room_that_is_kept_is_claimed_unless_it_says_otherwise() -> None:
    kept = brief(SAID[7])
    assert isinstance(kept, RoomKept)
    assert kept.claimed
