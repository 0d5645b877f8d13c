"""Between the node and the host's side, which opens after the peer has joined the overlay.

What is wanted of grids waits, since the node says it once. Bulk asks do not wait: nobody was told yet that
anything can be fetched here, and a peer that asks too early asks another one.
"""

from collections import Counter
from typing import Any, Protocol

from protocol.terms.effects import Attach, Probing, Sealed
from protocol.terms.ids import PeerId


class Kicked(Protocol):
    """Brings about what the node wants of a grid."""

    def kick(self, grid: str, cause: str) -> None:
        """What is wanted of a grid may have changed."""


class Served(Protocol):
    """Takes what the node hands over unread."""

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """Takes one message."""


class Forwards(Protocol):
    """Has the host's forwarder know whom it seals for."""

    def seal(self, table: Sealed) -> None:
        """The whole table, in the place of the one before."""

    def probe_paths(self, probing: Probing) -> None:
        """Other hosts' forwarders are to be probed."""

    def attach(self, attach: Attach) -> None:
        """This host itself is to have these cards, in the place of those before."""


class Doorway:
    """A `Kicked`, a `Served` and a `Forwards` that passes everything on once it is open."""

    def __init__(self) -> None:
        self._kicks: dict[str, str] = {}
        self._realiser: Kicked | None = None
        self._bulk: Served | None = None
        self._forwarder: Forwards | None = None
        self._table: Sealed | None = None
        self.counts: Counter[str] = Counter()

    def open(self, realiser: Kicked, bulk: Served, forwarder: Forwards | None = None) -> None:
        """Passes everything on from now on, and first what has waited."""
        self._realiser, self._bulk, self._forwarder = realiser, bulk, forwarder
        table, self._table = self._table, None
        if table is not None:
            self.seal(table)
        kicks, self._kicks = self._kicks, {}
        for grid, cause in kicks.items():
            realiser.kick(grid, cause)

    def kick(self, grid: str, cause: str) -> None:
        """Passes a kick on, now or later. Of several that wait for one grid, one is enough."""
        if self._realiser is None:
            self._kicks[grid] = cause
        else:
            self._realiser.kick(grid, cause)

    def seal(self, table: Sealed) -> None:
        """Passes a table on, now or later. Of several that wait only the last says how it is."""
        if self._forwarder is None:
            self._table = table
        else:
            self._forwarder.seal(table)

    def probe_paths(self, probing: Probing) -> None:
        """Passes probes on, or drops them: what is not answered is sent again."""
        if self._forwarder is not None:
            self._forwarder.probe_paths(probing)

    def attach(self, attach: Attach) -> None:
        """Passes cards on, or drops them: who asks for one asks anew when the host's side is not open yet."""
        if self._forwarder is not None:
            self._forwarder.attach(attach)

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """Passes a message on, or drops and counts it."""
        if self._bulk is None:
            self.counts["bulk-too-early"] += 1
        else:
            self._bulk.take(peer, message, cause)
