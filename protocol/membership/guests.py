"""Guests: peers of other sites that are known for a while, where there are too many for everybody to know all.

There are at most GUESTS. The guest that was not met for longest goes first. A neighbour, or a peer with a
connection, stays.
"""

from collections.abc import Callable, Iterable, Iterator

from protocol.terms.ids import PeerId
from protocol.terms.limits import GUESTS


class Guests:
    """Guests, the one not met for longest first."""

    def __init__(self, kept: Callable[[PeerId], bool], peers: Iterable[PeerId] = ()) -> None:
        """`kept` says whether a peer must stay."""
        self._kept = kept
        self._peers: dict[PeerId, None] = dict.fromkeys(peers)

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._peers)

    def met(self, peer: PeerId) -> list[PeerId]:
        """A peer of another site spoke of itself. Answers the guests to forget for it."""
        self._peers.pop(peer, None)
        self._peers[peer] = None
        return self.over()

    def over(self) -> list[PeerId]:
        """The guests to forget, since there are too many."""
        spare = len(self._peers) - GUESTS
        if spare <= 0:
            return []
        gone = [peer for peer in list(self._peers)[:spare] if not self._kept(peer)]
        for peer in gone:
            del self._peers[peer]
        return gone

    def check(self) -> None:
        """Asserts the bound, but for those that must stay."""
        assert len(self._peers) <= GUESTS + sum(map(self._kept, self._peers))
