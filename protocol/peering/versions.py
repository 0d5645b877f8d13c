"""The version of the protocol in which each peer is spoken to (wire/versions.py has the rule).

What is known of a peer here came in its Hello. It is forgotten with the connection, because the peer may come
back as another build. A peer that has said none is spoken to as in a greeting, and is told nothing else.
"""

from collections.abc import Iterable

import msgspec

from protocol.membership.messages import Hello
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.wire.versions import GREETING, Span, agreed


class Versions:
    """The versions that this peer speaks, and those agreed with others."""

    def __init__(self, mine: Span) -> None:
        self.mine = mine
        self._agreed: dict[PeerId, int] = {}
        self._newer: dict[PeerId, None] = {}

    def met(self, peer: PeerId, hello: Hello) -> str:
        """Takes in what a Hello says. Answers why the two have no version in common; empty if they have."""
        self.forget(peer)
        theirs = Span(hello.oldest, hello.newest)
        version = agreed(self.mine, theirs)
        if version is None:
            whose = "its" if theirs.newest < self.mine.oldest else "this peer's"
            return f"it speaks {theirs}, this peer {self.mine}; {whose} overlayd must be upgraded"
        self._agreed[peer] = version
        if theirs.newest > self.mine.newest:
            self._newer[peer] = None
        return ""

    def forget(self, peer: PeerId) -> None:
        """The connection with that peer is gone."""
        self._agreed.pop(peer, None)
        self._newer.pop(peer, None)

    def version(self, peer: PeerId) -> int:
        """The version that was agreed with that peer."""
        return self._agreed.get(peer, GREETING)

    def is_newer(self, peer: PeerId) -> bool:
        """Whether that peer speaks a version that this one has never heard of."""
        return peer in self._newer

    def spoken(self, effects: Iterable[Effect]) -> list[Effect]:
        """The same effects, with each Send in its receiver's version."""
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
