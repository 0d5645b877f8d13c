"""The end of a pair of hosts that begins: it offers, and says everything again until it is answered."""

import msgspec

from protocol.terms.allowance import Allowance
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import SealedSession
from protocol.trust.exchange import Ephemeral
from protocol.trust.signing import Reason, Untrusted
from protocol.tunnel_keys.limits import AGAIN_S, HURRY_S, OFFERS_BURST, OFFERS_PER_S, REKEY_S
from protocol.tunnel_keys.messages import (
    TunnelAnswer,
    TunnelAsk,
    TunnelConfirm,
    TunnelConfirmed,
    TunnelOffer,
)
from protocol.tunnel_keys.own import Own
from protocol.tunnel_keys.sessions import NEVER, Sessions
from protocol.tunnel_keys.transcript import Offered, check_answer, digest_of, sign_offer


class _Said:
    """A message that is said until it is answered."""

    def __init__(self, message: msgspec.Struct, now: float) -> None:
        self.message, self.first_s, self.last_s, self.times = message, now, now, 0

    @property
    def again_s(self) -> float:
        """When to say it again."""
        return self.last_s + AGAIN_S[min(self.times, len(AGAIN_S) - 1)]

    def again(self, now: float) -> msgspec.Struct:
        """Says it again."""
        self.last_s = now
        self.times += 1
        return self.message


class _Offer(_Said):
    """An offer, with what must stay here of it."""

    def __init__(self, message: TunnelOffer, pair: Ephemeral, index: int, now: float) -> None:
        super().__init__(message, now)
        self.pair, self.index, self.digest = pair, index, digest_of(message.payload)


class Beginner:
    """This host with a partner whose key is greater than its own."""

    def __init__(self, own: Own, peer: PeerId) -> None:
        self._own, self.peer = own, peer
        self.sessions = Sessions()
        self.reachable = False
        """Whether it is known where the partner's forwarder is. Before that keys are of no use."""
        self._offer: _Offer | None = None
        self._confirm: _Said | None = None
        self._confirmed: tuple[bytes, int] = b"", 0
        """The digest of the answer that is confirmed, and the session that was made of it."""
        self._heeded = (-1, -1)
        self._wants = Allowance(OFFERS_BURST, OFFERS_PER_S, 1)

    def has(self, index: int) -> bool:
        """Whether a session, or one that may come, has that index."""
        return self.sessions.has(index) or (self._offer is not None and self._offer.index == index)

    def handle(
        self,
        message: TunnelAsk | TunnelOffer | TunnelAnswer | TunnelConfirm | TunnelConfirmed,
        now: float,
    ) -> list[Effect]:
        """The partner says something. Raises Untrusted."""
        match message:
            case TunnelAsk():
                return self._asked((message.life, message.round), now)
            case TunnelAnswer():
                return self._answered(message, now)
            case TunnelConfirmed():
                if self._confirm is not None and message.answer == self._confirmed[0]:
                    self._confirm = None
                    self.sessions.settle(self._confirmed[1], now)
                return []
            case TunnelOffer() | TunnelConfirm():
                raise Untrusted(Reason.WRONG_ROLE, "the host with the lesser key begins")

    def tick(self, now: float) -> list[Effect]:
        """Says again what was not answered, and begins when it is time."""
        self.sessions.tick(now)
        if now >= self._begin_s():
            return self._begin(now)
        said = self._offer or self._confirm
        return [Send(self.peer, said.again(now))] if said and now >= said.again_s else []

    def next_s(self) -> float:
        """When to tick; NEVER if there is no need."""
        said = self._offer or self._confirm
        again_s = said.again_s if said is not None else NEVER
        return min(self._begin_s(), again_s, self.sessions.next_s())

    # -- parts

    def _begin_s(self) -> float:
        """When to make a new offer. One that nobody answers is not said for ever: its private half gets old."""
        if not self.reachable:
            return NEVER
        since_s = self._offer.first_s if self._offer is not None else self.sessions.newest_s
        return since_s + REKEY_S

    def _begin(self, now: float) -> list[Effect]:
        own = self._own
        pair, index = own.pair()
        ciphers = tuple(cipher.value for cipher in own.ciphers)
        said = Offered(
            own.federation, own.me, self.peer, *own.number(), index, pair.public, ciphers
        )
        self._offer, self._confirm = _Offer(sign_offer(said, own.signer), pair, index, now), None
        return [Send(self.peer, self._offer.message)]

    def _asked(self, ask: tuple[int, int], now: float) -> list[Effect]:
        if ask <= self._heeded or not self.reachable:
            return []
        if self._offer is None:
            if now < self.sessions.newest_s + HURRY_S:
                return []  # It is said again if what was just made is not what is wanted.
            if not self._wants.take(self.peer, now):
                return []
            self._heeded = ask
            return self._begin(now)
        self._heeded = ask
        if now < self._offer.last_s + HURRY_S:
            return []
        return [Send(self.peer, self._offer.again(now))]

    def _answered(self, message: TunnelAnswer, now: float) -> list[Effect]:
        offer, own = self._offer, self._own
        if offer is None:
            return []
        answer = check_answer(message, self.peer, own.me, offer.digest, own.verifier)
        if answer is None:
            return []
        said = answer.said
        if said.cipher not in own.ciphers:
            raise Untrusted(Reason.MALFORMED, f"{said.cipher} was not offered")
        keys = offer.pair.keys(said.key, answer.digest)
        if keys is None:
            raise Untrusted(Reason.MALFORMED, "an answer with no point of the curve")
        self._offer = None
        there, back = keys
        self.sessions.send_by(SealedSession(offer.index, said.index, there, back, now, said.cipher))
        self._confirmed = answer.digest, offer.index
        self._confirm = _Said(TunnelConfirm(answer.digest), now)
        return [Send(self.peer, self._confirm.message)]
