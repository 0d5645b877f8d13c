"""Between the node and the host's side, which opens after the peer has joined the overlay.

What is wanted of grids waits, since the node says it once. Bulk asks do not: nobody was told yet that
anything could be fetched here, and who asks too early asks another peer.
"""

from collections import Counter
from typing import Any, Protocol

from protocol.terms.ids import PeerId


class Kicked(Protocol):
    """Brings about what the node wants of a grid."""

    def kick(self, grid: str, cause: str) -> None:
        """What is wanted of a grid may have changed."""


class Served(Protocol):
    """Takes what the node hands over unread."""

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """One message."""


class Doorway:
    """A `Kicked` and a `Served` that passes everything on, once it is open."""

    def __init__(self) -> None:
        self._kicks: dict[str, str] = {}
        self._realiser: Kicked | None = None
        self._bulk: Served | None = None
        self.counts: Counter[str] = Counter()

    def open(self, realiser: Kicked, bulk: Served) -> None:
        """From now on; first, what has waited."""
        self._realiser, self._bulk = realiser, bulk
        kicks, self._kicks = self._kicks, {}
        for grid, cause in kicks.items():
            realiser.kick(grid, cause)

    def kick(self, grid: str, cause: str) -> None:
        """Passed on now or later; once a grid is enough."""
        if self._realiser is None:
            self._kicks[grid] = cause
        else:
            self._realiser.kick(grid, cause)

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """Passed on, or dropped and counted."""
        if self._bulk is None:
            self.counts["bulk-too-early"] += 1
        else:
            self._bulk.take(peer, message, cause)
