"""Which version of the protocol each peer is spoken to in (wire/versions.py has the rule).

Almost always the first one, so only the others are remembered. What is known of a peer here came in its
Hello, and is forgotten with the connection: it may come back as another build.
"""

from collections.abc import Iterable

import msgspec

from protocol.membership.messages import Hello
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.wire.versions import GREETING, Span, agreed


class Versions:
    """What this peer speaks, and what the others do."""

    def __init__(self, mine: Span) -> None:
        self.mine = mine
        self._agreed: dict[PeerId, int] = {}
        self._newer: dict[PeerId, None] = {}

    def met(self, peer: PeerId, hello: Hello) -> str:
        """Takes in what a Hello says; why there is nothing to be said to each other, empty if there is."""
        theirs = Span(hello.oldest, hello.newest)
        version = agreed(self.mine, theirs)
        if version is None:
            whose = "its" if theirs.newest < self.mine.oldest else "this peer's"
            return f"it speaks {theirs}, this peer {self.mine}; {whose} overlayd must be upgraded"
        self.forget(peer)
        if version != GREETING:
            self._agreed[peer] = version
        if theirs.newest > self.mine.newest:
            self._newer[peer] = None
        return ""

    def forget(self, peer: PeerId) -> None:
        """Its connection is gone."""
        self._agreed.pop(peer, None)
        self._newer.pop(peer, None)

    def version(self, peer: PeerId) -> int:
        """What was agreed with that peer."""
        return self._agreed.get(peer, GREETING)

    def is_newer(self, peer: PeerId) -> bool:
        """Whether that peer speaks a version this one has never heard of."""
        return peer in self._newer

    def spoken(self, effects: Iterable[Effect]) -> list[Effect]:
        """The same, each Send in its receiver's version."""
        if not self._agreed:
            return list(effects)
        return [
            msgspec.structs.replace(effect, version=self._agreed[effect.peer])
            if isinstance(effect, Send)
            and effect.peer in self._agreed
            and not isinstance(effect.message, Hello)
            else effect
            for effect in effects
        ]
