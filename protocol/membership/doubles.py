"""Which peers are two processes with one key: a machine that was cloned, or a daemon started twice.

Each process names itself in its presences. A restart brings a new name, and the old one never comes back. If
a name comes back, in a newer presence than the other's, both processes live: each makes itself newer than the
other when it hears of it. The presences are signed, so only who has the key can make a peer a double. What a
double says of others is not believed, since each of the two loses the other's connections.
"""

import msgspec

from protocol.membership.presence import Known
from protocol.terms.ids import PeerId
from protocol.terms.limits import DOUBLE_LASTS_S, DOUBLE_NAG_S, DOUBLES, LIVES_KEPT

Life = tuple[str, str]
"""A process's own name, and the address it says it has."""


class Double(msgspec.Struct, frozen=True):
    """Two processes use one key."""

    peer: PeerId
    one: str
    other: str
    """Where they say they are; empty for one that listens nowhere."""


class _Seen:
    """What is remembered of one double."""

    __slots__ = ("at_s", "double", "told_s")

    def __init__(self, double: Double, now: float) -> None:
        self.double, self.at_s, self.told_s = double, now, now


class Doubles:
    """The processes that each peer was, and the peers that are two."""

    def __init__(self) -> None:
        self._lives: dict[PeerId, tuple[Life, ...]] = {}
        """By peer that was more than one process: those before the last, the latest first."""
        self._doubles: dict[PeerId, _Seen] = {}

    def present(self, before: Known | None, known: Known, now: float) -> Double | None:
        """Takes a peer's presence after another one. Answers a double that is to be told of."""
        if before is None or known.incarnation <= before.incarnation:
            return None
        if known.process in ("", before.process):
            return None
        peer = known.peer
        past = self._lives.pop(peer, ())
        back = [life for life in past if life[0] == known.process]
        was = (before.process, before.address)
        kept = [life for life in (was, *past) if life[0] != known.process]
        self._lives[peer] = tuple(kept[:LIVES_KEPT])
        if len(self._lives) > DOUBLES:
            del self._lives[next(iter(self._lives))]
        return self._seen(Double(peer, before.address, known.address), now) if back else None

    def is_double(self, peer: PeerId, now: float) -> bool:
        """Whether that peer is two processes, as far as was seen lately."""
        seen = self._doubles.get(peer)
        return seen is not None and now < seen.at_s + DOUBLE_LASTS_S

    def all(self, now: float) -> list[Double]:
        """The peers that are two processes."""
        return [seen.double for seen in self._doubles.values() if now < seen.at_s + DOUBLE_LASTS_S]

    def forget(self, peer: PeerId) -> None:
        """The peer is known no more."""
        self._lives.pop(peer, None)
        self._doubles.pop(peer, None)

    def check(self) -> None:
        """All memory is bounded."""
        assert len(self._lives) <= DOUBLES
        assert len(self._doubles) <= DOUBLES

    def _seen(self, double: Double, now: float) -> Double | None:
        ordered = Double(double.peer, *sorted((double.one, double.other)))
        seen = self._doubles.get(double.peer)
        if seen is None or now >= seen.at_s + DOUBLE_LASTS_S:
            self._doubles[double.peer] = _Seen(ordered, now)
            if len(self._doubles) > DOUBLES:
                del self._doubles[next(iter(self._doubles))]
            return ordered
        seen.at_s, seen.double = now, ordered
        if now < seen.told_s + DOUBLE_NAG_S:
            return None
        seen.told_s = now
        return ordered
