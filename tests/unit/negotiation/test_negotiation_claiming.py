"""The requester's side of waiting: what it claims, where, and when it lets go."""

from random import Random

import msgspec
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NAMES,
    NOW,
    A,
    B,
    C,
    asks,
    committed,
    granted,
    offer,
    placing,
    quote,
    record_of,
    shop,
)

from protocol.capacity.quantum import Quantum
from protocol.grid.model import Compact, PlacementSpec, Strict
from protocol.negotiation.claiming import Claiming, wanted
from protocol.negotiation.messages import QuoteAsk, RoomClaim
from protocol.negotiation.placing import Placing
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import CLAIM_AFTER_S, CLAIM_MOST_S

ORDER = ADMIN.up(shop(6), NOW)
TWO = Quantum(1000, 1024 * MIB, 0)
NONE = Quantum(0, 1024 * MIB, 0)


def claims(effects: list[Effect]) -> dict[PeerId, tuple[str, ...]]:
    return {
        e.peer: e.message.workspaces
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, RoomClaim)
    }


def contended(request: Placing, now: float) -> list[Effect]:
    """A try at which each host has room for two of six, and holds more for others."""
    effects: list[Effect] = []
    for peer in NAMES:
        word = msgspec.structs.replace(quote(peer, TWO if peer != C else NONE), held=TWO)
        effects, _ = request.quote(peer, word, now)
    return effects


def test_what_passes_soon_claims_nothing() -> None:
    request = placing(ORDER)
    request.start(NOW)
    assert claims(contended(request, NOW + 0.1)) == {}


def again(request: Placing) -> tuple[list[Effect], float]:
    """Tries until it claims; what it said then, and when."""
    request.start(NOW)
    now = NOW
    for _ in range(20):
        effects = contended(request, now)
        if claims(effects):
            return effects, now
        due = request.next_deadline()
        assert due is not None
        now = due.at_s
        request.tick(now)
    raise AssertionError("it never claims")


def test_who_is_refused_for_a_while_claims_what_it_would_take_and_more_of_what_it_lacks() -> None:
    request = placing(ORDER)
    effects, now = again(request)
    assert now >= NOW + CLAIM_AFTER_S
    found = claims(effects)
    assert set(found) == {A, B, C}
    names = [name for each in found.values() for name in each]
    assert len(names) == 4 + 2 + 1
    assert set(names) == {f"web-{n}" for n in range(1, 7)}
    assert any("asked to keep room" in line.text for line in request.view().story)


def test_the_next_try_says_whose_it_is_so_that_what_is_kept_is_offered() -> None:
    request = placing(ORDER)
    again(request)
    due = request.next_deadline()
    assert due is not None
    effects, _ = request.tick(due.at_s)
    (first, *_) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(first, QuoteAsk)
    deployment = AUTHORITY.deployment(ORDER, NOW, fresh=True)
    assert (first.order, first.since_s) == (deployment.order, NOW)


def test_who_has_its_grid_lets_go_where_it_is_not() -> None:
    request = placing(ORDER)
    again(request)
    due = request.next_deadline()
    assert due is not None
    request.tick(due.at_s)
    effects: list[Effect] = []
    for peer in NAMES:
        word = quote(peer, NONE if peer == C else Quantum(2000, 1024 * MIB, 0))
        effects, _ = request.quote(peer, word, due.at_s)
    for peer, ask in asks(effects).items():
        request.hold_reply(peer, granted(ask), due.at_s)
    placed = {name: peer for peer, ask in asks(effects).items() for name in ask.workspaces}
    record = record_of(ORDER, placed, grid=request.grid_id)
    effects, _ = request.settled(committed(record), due.at_s)
    assert request.record is not None
    assert claims(effects) == {C: ()}


def test_who_gives_up_lets_go_everywhere() -> None:
    request = placing(ORDER)
    again(request)
    assert claims(request.cancel(NOW + 9)) == {A: (), B: (), C: ()}


def test_what_is_not_said_again_is_let_go() -> None:
    claiming = Claiming(RequestId("r"), NOW)
    assert claims(claiming.claim(ORDER, {A: ("web-1",), B: ("web-2",)})) == {
        A: ("web-1",),
        B: ("web-2",),
    }
    assert claims(claiming.claim(ORDER, {B: ("web-1",)})) == {A: (), B: ("web-1",)}
    assert claims(claiming.end(ORDER)) == {B: ()}
    assert claims(claiming.end(ORDER)) == {}


def test_it_knows_when_it_has_had_its_time() -> None:
    claiming = Claiming(RequestId("r"), NOW)
    first_s = NOW + CLAIM_AFTER_S
    waits = {
        0.0: True,
        CLAIM_MOST_S - 1: True,
        CLAIM_MOST_S: False,
        2 * CLAIM_MOST_S - 1: False,
        2 * CLAIM_MOST_S: True,
    }
    assert {after_s: claiming.due(first_s + after_s) for after_s in waits} == waits


def test_what_must_be_together_is_claimed_together() -> None:
    spec = msgspec.structs.replace(
        shop(4), placement=PlacementSpec(compact=Compact.HOST, strict=(Strict.COMPACT,))
    )
    members = AUTHORITY.draft(spec, "s1").workspaces
    found = wanted(spec, members, (offer(A, NONE), offer(B, NONE), offer(C, NONE)), Random(1))
    assert len(found) == 1
