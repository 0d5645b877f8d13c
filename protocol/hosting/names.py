"""This peer as the guard of names: who asks for one is told of another living order that has it.

Names are labels, guarded and not decided. A request tells a few hosts, the same for everybody who sees the
same peers, before it holds anything. A guard remembers who asked first for as long as that lasts, in memory
only, and which grids are told to be up. So of two that ask at once for one name, one is told of the other;
two that never meet, across a partition, both become grids, and each is shown by its id.
"""

import msgspec

from protocol.contract.authority import Authority
from protocol.contract.messages import NameAsk, NameReply
from protocol.contract.notices import Notice
from protocol.grid.record import name_key, order_part, register_key
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import NAME_KEPT_S, NAMES_GUARDED
from protocol.trust.signing import Untrusted


class _Claim(msgspec.Struct, frozen=True):
    order: str
    until_s: float


class Names:
    """The names that this peer guards, by owner and name."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._claims: dict[str, _Claim] = {}
        """Oldest first."""

    def __len__(self) -> int:
        return len(self._claims)

    def ask(self, sender: PeerId, message: NameAsk, now: float) -> list[Effect]:
        """Somebody shows an order that is to make a grid of its name, or that makes none any more."""
        try:
            deployment = self._authority.deployment(message.order, now, fresh=True)
        except Untrusted:
            return []
        if not deployment.is_for(sender):
            return []  # Whoever has seen an order could keep its owner's next one from the name.
        key, order = deployment.key, register_key(message.order)
        claim = self._claims.get(key)
        if claim is not None and (claim.until_s <= now or claim.order == order):
            del self._claims[key]
            claim = None
        if message.ends:
            return []
        if claim is not None:
            return [Send(sender, NameReply(order, claim.order))]
        while len(self._claims) >= NAMES_GUARDED:
            del self._claims[next(iter(self._claims))]
        self._claims[key] = _Claim(order, now + NAME_KEPT_S)
        return [Send(sender, NameReply(order))]

    def noticed(self, notice: Notice) -> None:
        """A grid is told to be there, so that its order asks for the name no more."""
        key = name_key(notice.owner, notice.name)
        claim = self._claims.get(key)
        if claim is not None and claim.order == order_part(notice.grid):
            del self._claims[key]
