"""What peers did wrong: counted by reason, and by peer until patience ends."""

from protocol.terms.ids import PeerId

_PATIENCE = 20
"""Faults within a minute that end a connection. An honest peer commits none; a broken build, a few."""
_WINDOW_S = 60.0
_REMEMBERED = 4096


class Standing:
    """Counters for everyone, a short memory for each peer."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._faults: dict[PeerId, tuple[float, int]] = {}

    def count(self, reason: str) -> None:
        """One more of that."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def lower(self, peer: PeerId, now: float) -> bool:
        """One more fault of that peer; True if its connection is to end."""
        since_s, faults = self._faults.pop(peer, (now, 0))
        if now >= since_s + _WINDOW_S:
            since_s, faults = now, 0
        if faults + 1 >= _PATIENCE:
            return True
        self._faults[peer] = (since_s, faults + 1)
        if len(self._faults) > _REMEMBERED:
            del self._faults[next(iter(self._faults))]
        return False
