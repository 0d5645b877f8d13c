"""Whether a request may have its name: the guards of the name are told before anything is decided.

They are asked with the quotes, so nothing takes longer. A majority of those that answer says whether somebody
else was first; guards that are silent are not waited for beyond NAME_WITHIN_S.
"""

from enum import Enum, auto

from protocol.contract.messages import NameAsk, NameReply
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import NAME_WITHIN_S
from protocol.trust.order import SignedOrder


class Word(Enum):
    """What the guards say together."""

    FREE = auto()
    TAKEN = auto()
    WAIT = auto()


class Naming:
    """What the guards of one name say to one request."""

    def __init__(self, request: RequestId, order: SignedOrder | None) -> None:
        """Without an order, as for a plan, nobody is asked."""
        self._request, self._order = request, order
        self._guards: tuple[PeerId, ...] = ()
        self._said: dict[PeerId, bool] = {}
        self.until_s = 0.0
        """How long they are waited for."""

    def ask(self, guards: tuple[PeerId, ...], now: float) -> list[Effect]:
        """Tells the guards that the order asks for its name."""
        if self._order is None:
            return []
        self._guards, self._said, self.until_s = guards, {}, now + NAME_WITHIN_S
        return [Send(guard, NameAsk(self._order), self._request) for guard in guards]

    def replied(self, sender: PeerId, reply: NameReply) -> None:
        """A guard says whether another order has the name."""
        if sender in self._guards:
            self._said[sender] = not reply.taken

    def word(self, now: float) -> Word:
        """Whether the name is free, as far as the guards have said."""
        needed = len(self._guards) // 2 + 1
        free = sum(self._said.values())
        taken = len(self._said) - free
        if not self._guards or free >= needed:
            return Word.FREE
        over = now >= self.until_s or len(self._said) == len(self._guards)
        if taken >= needed or (over and taken >= max(free, 1)):
            return Word.TAKEN
        return Word.FREE if over else Word.WAIT

    def end(self) -> list[Effect]:
        """Tells the guards that the order makes no grid now."""
        guards, self._guards = self._guards, ()
        if self._order is None:
            return []
        ends = NameAsk(self._order, ends=True)
        return [Send(guard, ends, self._request) for guard in guards]
