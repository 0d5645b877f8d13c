"""The end of a pair of hosts that answers offers. It says by itself only that it has no keys, or old ones."""

from protocol.terms.allowance import Allowance
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import Cipher, SealedSession
from protocol.trust.signing import Reason, Untrusted
from protocol.tunnel_keys.limits import AGAIN_S, ASK_ANEW_S, OFFERS_BURST, OFFERS_PER_S
from protocol.tunnel_keys.messages import (
    TunnelAnswer,
    TunnelAsk,
    TunnelConfirm,
    TunnelConfirmed,
    TunnelOffer,
)
from protocol.tunnel_keys.own import Own
from protocol.tunnel_keys.sessions import NEVER, Sessions
from protocol.tunnel_keys.transcript import (
    Answered,
    CheckedOffer,
    check_offer,
    digest_of,
    sign_answer,
)


class Answerer:
    """This host with a partner whose key is lesser than its own."""

    def __init__(
        self, own: Own, peer: PeerId, ask_s: float, heard: tuple[int, int] = (-1, -1)
    ) -> None:
        """Unless there was an offer before `ask_s`, it asks for one. `heard` is the number of the last one."""
        self._own, self.peer = own, peer
        self.sessions = Sessions()
        self.reachable = False
        """Whether it is known where the partner's forwarder is. Before that keys are of no use."""
        self.heard = heard
        self._answers = Allowance(OFFERS_BURST, OFFERS_PER_S, 1)
        self._offer, self._answer = b"", b""
        """Digests of the last offer and of what was answered to it."""
        self._said: TunnelAnswer | None = None
        self._index = 0
        self._ask_s, self._asked = ask_s, 0
        """When to ask (again), and how often this was asked for."""
        self._ask: TunnelAsk | None = None

    def has(self, index: int) -> bool:
        """Whether a session has that index."""
        return self.sessions.has(index)

    def handle(
        self,
        message: TunnelAsk | TunnelOffer | TunnelAnswer | TunnelConfirm | TunnelConfirmed,
        now: float,
    ) -> list[Effect]:
        """The partner says something. Raises Untrusted."""
        match message:
            case TunnelOffer():
                return self._offered(message, now)
            case TunnelConfirm(answer=answer):
                if answer == self._answer and self.sessions.settle(self._index, now):
                    return [Send(self.peer, TunnelConfirmed(answer))]
                # Of another life, or of another forwarder: those keys are gone.
                self._ask_s = min(self._ask_s, now)
                return []
            case TunnelAsk() | TunnelAnswer() | TunnelConfirmed():
                raise Untrusted(Reason.WRONG_ROLE, "the host with the greater key answers")

    def tick(self, now: float) -> list[Effect]:
        """Asks for an offer when it is time."""
        self.sessions.tick(now)
        if now < self._due_s():
            return []
        if self._ask is None:
            self._ask = TunnelAsk(*self._own.number())
        self._ask_s = now + AGAIN_S[min(self._asked, len(AGAIN_S) - 1)]
        self._asked += 1
        return [Send(self.peer, self._ask)]

    def next_s(self) -> float:
        """When to tick; NEVER if there is no need."""
        return min(self._due_s(), self.sessions.next_s())

    # -- parts

    def _due_s(self) -> float:
        return self._ask_s if self.reachable else NEVER

    def _offered(self, message: TunnelOffer, now: float) -> list[Effect]:
        if self._said is not None and digest_of(message.payload) == self._offer:
            return [Send(self.peer, self._said)]
        own = self._own
        offer = check_offer(message, self.peer, own.me, own.federation, own.verifier)
        if offer.number <= self.heard or not self._answers.take(self.peer, now):
            return []
        cipher = next((c for name in offer.said.ciphers for c in own.ciphers if c == name), None)
        if cipher is None:
            return []
        self._make(offer, cipher, now)
        return [Send(self.peer, self._said)] if self._said is not None else []

    def _make(self, offer: CheckedOffer, cipher: Cipher, now: float) -> None:
        """Makes keys of an offer, and the answer. Raises Untrusted."""
        said, own = offer.said, self._own
        pair, index = own.pair()
        answered = Answered(offer.digest, self.peer, own.me, index, pair.public, cipher)
        message = sign_answer(answered, own.signer)
        digest = digest_of(message.payload)
        keys = pair.keys(said.key, digest)
        if keys is None:
            raise Untrusted(Reason.MALFORMED, "an offer with no point of the curve")
        there, back = keys
        self.sessions.open_by(SealedSession(index, said.index, back, there, now, cipher))
        self.heard, self._index = offer.number, index
        self._offer, self._answer, self._said = offer.digest, digest, message
        self._ask, self._asked, self._ask_s = None, 0, now + ASK_ANEW_S
