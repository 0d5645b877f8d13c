"""A request that waits at its requester: it asks for quotes when that may help, and not before."""

from random import Random

from negotiating import (
    ADMIN,
    AUTHORITY,
    NAMES,
    NOW,
    REQUEST,
    SITES,
    A,
    Around,
    B,
    C,
    offer,
    quote,
    shop,
)

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import QuoteAsk, RoomClaim, RoomKept
from protocol.grid.model import LeaseTerms
from protocol.requesting.placing import Placing
from protocol.requesting.policies import Plain
from protocol.requesting.queueing import Queueing
from protocol.requesting.request import RequestState
from protocol.requesting.shortlist import Candidate
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import CLAIM_AFTER_S, CLAIM_TRY_S, QUEUE_AGAIN_S, QUEUE_EVERY_S

MIB = 1 << 20
FULL, TWO = Quantum(0, 1024 * MIB, 1 << 40), Quantum(1000, 1024 * MIB, 1 << 40)


class Waits:
    """A gang of six, asked for at A, where each of A, B, C has room for as many as it tells."""

    def __init__(self, blank: PeerId | None = None, behind_s: float = 0.0) -> None:
        self.told: dict[PeerId, Quantum] = dict.fromkeys(NAMES, FULL)
        self._blank = blank
        order = ADMIN.up(shop(6, lease=LeaseTerms(best_effort=True)), NOW)
        deployment = AUTHORITY.deployment(order, NOW, fresh=True)
        world = Around(self._candidates)
        dice = Random(3)
        policy = Plain(holds=True, queueing=Queueing(order, dice, lambda: behind_s))
        self.request = Placing(REQUEST, deployment, order, world, dice, NOW, policy)
        self.order, self.now = deployment.order, NOW

    def _candidates(self) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(p, NAMES[p], SITES[p], None if p == self._blank else offer(p, self.told[p]))
            for p in NAMES
        )

    def refused(self) -> list[Effect]:
        """Makes one try, in which no host has room."""
        effects: list[Effect] = []
        for peer in NAMES:
            effects, _ = self.request.quote(peer, quote(peer, FULL), self.now)
        assert self.request.state is RequestState.QUEUED
        return effects

    def until(self, at_s: float) -> bool:
        """Whether it asks for quotes by then. It is not refused yet."""
        while (due := self.request.next_deadline()) is not None and due.at_s <= at_s:
            self.now = max(self.now, due.at_s)
            effects, _ = self.request.tick(self.now)
            if any(isinstance(e, Send) and isinstance(e.message, QuoteAsk) for e in effects):
                return True
        self.now = at_s
        return False


def claims_of(effects: list[Effect]) -> dict[PeerId, tuple[str, ...]]:
    return {
        e.peer: e.message.workspaces
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, RoomClaim)
    }


def queued(blank: PeerId | None = None, first: bool = False, behind_s: float = 0.0) -> Waits:
    """A request that has been refused once. The `first` of its owner may claim later."""
    waits = Waits(blank, behind_s)
    waits.request.line_up(first)
    waits.request.start(NOW)
    waits.refused()
    return waits


def test_it_is_tried_now_and_then_whatever_is_told() -> None:
    assert not queued().until(NOW + 0.7 * QUEUE_EVERY_S)
    assert queued().until(NOW + 1.3 * QUEUE_EVERY_S)


def test_room_that_is_not_enough_is_not_asked_for() -> None:
    waits = queued()
    waits.told |= {A: TWO, B: TWO}
    waits.request.woken(NOW + 9)
    assert not waits.until(NOW + 20)


def test_room_that_may_be_enough_is_asked_for_soon_and_not_too_soon() -> None:
    waits = queued()
    waits.told = dict.fromkeys(NAMES, TWO)
    waits.request.woken(NOW + 1)
    assert not waits.until(NOW + QUEUE_AGAIN_S - 0.1)
    assert waits.until(NOW + QUEUE_AGAIN_S + 1)


def test_who_had_more_of_its_share_lets_others_go_first() -> None:
    waits = queued(behind_s=7.0)
    waits.told = dict.fromkeys(NAMES, TWO)
    waits.request.woken(NOW + 1)
    assert not waits.until(NOW + QUEUE_AGAIN_S + 6.9)
    assert waits.until(NOW + QUEUE_AGAIN_S + 8)


def test_what_is_kept_for_it_counts_besides_and_is_enough_alone() -> None:
    waits = queued(first=True)
    assert waits.until(NOW + 1.3 * CLAIM_AFTER_S)
    claims = claims_of(waits.refused())
    tried_s = waits.now
    waits.request.kept(B, RoomKept(waits.order, claims[B][:2]), tried_s)
    waits.told |= {A: TWO}
    waits.request.woken(tried_s)
    assert not waits.until(tried_s + QUEUE_AGAIN_S + 1)
    waits.told |= {C: TWO}
    waits.request.woken(waits.now)
    assert waits.until(waits.now + 1)
    for peer, names in claims_of(waits.refused()).items():
        waits.request.kept(peer, RoomKept(waits.order, names), waits.now)
    assert waits.until(waits.now + CLAIM_TRY_S)


def test_its_own_host_tells_itself_nothing_so_it_just_tries() -> None:
    waits = queued(blank=A)
    waits.request.woken(NOW + 1)
    assert not waits.until(NOW + QUEUE_AGAIN_S + 1)
    waits.request.woken(waits.now, here=True)
    assert waits.until(waits.now + 1)


def test_who_becomes_the_oldest_of_its_owner_tries_and_so_claims() -> None:
    waits = queued()
    assert not waits.until(NOW + QUEUE_AGAIN_S)
    waits.request.line_up(first=True)
    assert waits.until(NOW + QUEUE_AGAIN_S)


def test_it_claims_as_soon_as_it_has_waited_long_enough() -> None:
    waits = queued(first=True)
    assert not waits.until(NOW + CLAIM_AFTER_S - 0.1)
    assert waits.until(NOW + 1.3 * CLAIM_AFTER_S)
    assert set(claims_of(waits.refused())) == set(NAMES)
