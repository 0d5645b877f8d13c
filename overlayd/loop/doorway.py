"""Between the node and the host's side, which opens after the peer has joined the overlay.

What is wanted of grids waits, since the node says it once. Bulk asks do not wait: nobody was told yet that
anything can be fetched here, and a peer that asks too early asks another one.
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
        """Takes one message."""


class Doorway:
    """A `Kicked` and a `Served` that passes everything on once it is open."""

    def __init__(self) -> None:
        self._kicks: dict[str, str] = {}
        self._realiser: Kicked | None = None
        self._bulk: Served | None = None
        self.counts: Counter[str] = Counter()

    def open(self, realiser: Kicked, bulk: Served) -> None:
        """Passes everything on from now on, and first what has waited."""
        self._realiser, self._bulk = realiser, bulk
        kicks, self._kicks = self._kicks, {}
        for grid, cause in kicks.items():
            realiser.kick(grid, cause)

    def kick(self, grid: str, cause: str) -> None:
        """Passes a kick on, now or later. Of several that wait for one grid, one is enough."""
        if self._realiser is None:
            self._kicks[grid] = cause
        else:
            self._realiser.kick(grid, cause)

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """Passes a message on, or drops and counts it."""
        if self._bulk is None:
            self.counts["bulk-too-early"] += 1
        else:
            self._bulk.take(peer, message, cause)
