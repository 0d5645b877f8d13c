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
from protocol.contract.messages import QuoteAsk, RoomClaim, RoomKept, RoomRenew
from protocol.grid.model import Compact, PlacementSpec, Strict
from protocol.requesting.claiming import Claiming, wanted
from protocol.requesting.placing import Placing
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import CLAIM_AFTER_S, CLAIM_MOST_S, CLAIM_RENEW_S, CLAIM_TRY_S

ORDER = ADMIN.up(shop(6), NOW)
DEPLOYMENT = AUTHORITY.deployment(ORDER, NOW, fresh=True)
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
    """Tries until it claims. Answers what it said then, and when."""
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
        request.hold_reply(peer, granted(peer, ask), due.at_s)
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
    claiming = Claiming(RequestId("r"), DEPLOYMENT, NOW)
    assert claims(claiming.claim(ORDER, {A: ("web-1",), B: ("web-2",)}, NOW)) == {
        A: ("web-1",),
        B: ("web-2",),
    }
    assert claims(claiming.claim(ORDER, {B: ("web-1",)}, NOW)) == {A: (), B: ("web-1",)}
    assert claims(claiming.end(ORDER)) == {B: ()}
    assert claims(claiming.end(ORDER)) == {}


def test_it_knows_when_it_has_had_its_time() -> None:
    claiming = Claiming(RequestId("r"), DEPLOYMENT, NOW)
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


def renewals(effects: list[Effect]) -> dict[PeerId, int]:
    return {
        e.peer: e.message.kept
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, RoomRenew)
    }


def kept(names: tuple[str, ...], claimed: bool = True) -> RoomKept:
    return RoomKept(DEPLOYMENT.order, names, claimed)


def test_what_is_claimed_is_renewed_until_the_next_try() -> None:
    claiming = Claiming(RequestId("r"), DEPLOYMENT, NOW)
    now = NOW + CLAIM_AFTER_S
    assert claiming.due(now)
    claiming.claim(ORDER, {A: ("web-1", "web-2"), B: ("web-3",)}, now)
    assert claiming.renew_s == now + CLAIM_RENEW_S
    claiming.heard(A, kept(("web-1",)))
    claiming.heard(C, kept(("web-1",)))
    assert renewals(claiming.renew(ORDER, now + CLAIM_RENEW_S)) == {A: 1, B: 0}
    assert claiming.renew_s == now + 2 * CLAIM_RENEW_S


def test_a_host_that_lost_the_claim_is_told_in_full() -> None:
    claiming = Claiming(RequestId("r"), DEPLOYMENT, NOW)
    now = NOW + CLAIM_AFTER_S
    claiming.due(now)
    claiming.claim(ORDER, {A: ("web-1",), B: ("web-2",)}, now)
    claiming.heard(A, kept((), claimed=False))
    effects = claiming.renew(ORDER, now + CLAIM_RENEW_S)
    assert claims(effects) == {A: ("web-1",)}
    assert renewals(effects) == {B: 0}
    assert renewals(claiming.renew(ORDER, now + 2 * CLAIM_RENEW_S)) == {A: 0, B: 0}


def test_who_has_had_its_time_lets_go_instead_of_renewing() -> None:
    claiming = Claiming(RequestId("r"), DEPLOYMENT, NOW)
    now = NOW + CLAIM_AFTER_S
    claiming.due(now)
    claiming.claim(ORDER, {A: ("web-1",)}, now)
    assert claims(claiming.renew(ORDER, now + CLAIM_MOST_S)) == {A: ()}
    assert claiming.renew_s == float("inf")


def test_enough_is_what_every_cluster_needs_wherever_it_is_kept() -> None:
    claiming = Claiming(RequestId("r"), DEPLOYMENT, NOW)
    first, rest = ("web-1", "web-2", "web-3"), ("web-1", "web-2", "web-3", "web-4")
    claiming.claim(ORDER, {A: first, B: rest}, NOW)
    assert not claiming.enough
    claiming.heard(A, kept((*first, "web-9")))
    claiming.heard(B, kept(rest[:2]))
    assert not claiming.enough
    claiming.heard(B, kept(rest[:3]))
    assert claiming.enough
    claiming.heard(A, kept(()))
    assert not claiming.enough


def test_it_tries_again_once_hosts_keep_enough_and_not_sooner_than_it_would_help() -> None:
    request = placing(ORDER)
    effects, now = again(request)
    due = request.next_deadline()
    assert due is not None
    assert due.at_s > now + CLAIM_TRY_S
    for peer, names in claims(effects).items():
        other = msgspec.structs.replace(kept(names), order="another")
        request.kept(peer, other, now)
    assert request.next_deadline() == due
    for peer, names in claims(effects).items():
        request.kept(peer, kept(names), now)
    soon = request.next_deadline()
    assert soon is not None
    assert soon.at_s < due.at_s
    effects, _ = request.tick(soon.at_s)
    assert any(isinstance(e, Send) and isinstance(e.message, QuoteAsk) for e in effects)
