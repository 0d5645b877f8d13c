"""What two other hosts send each other, passed on between them by this one, which both have asked for that.

It is blind: the keys are theirs. A datagram to be passed on comes from where one end of its pair is, as that
end's own sealed probes have shown, and goes to where the other is. Nobody else's does. What goes out is of
another kind, so nothing goes in circles. A bucket for each pair and one for all say how much; what is over that
is dropped, and TCP of guests goes slower.
"""

from collections.abc import Mapping

from netns.tunnel.counters import Count
from netns.tunnel.sessions import Endpoint, LivePeer
from netns.tunnel.tables import NOWHERE, Peers

BURST_S, BURST_BYTES = 0.05, 262_144
"""What may pass at once: what a while at that rate is, and some full batches of a sender."""
UDP_BYTES = 28
"""What each datagram counts besides its own bytes: the headers of IPv4 and UDP."""


class Meter:
    """A token bucket of bytes. A rate of 0 lets nothing pass."""

    def __init__(self) -> None:
        self.bytes_per_s, self._level, self._at_s = 0.0, 0.0, 0.0

    def lend(self, bytes_per_s: float, now_s: float) -> None:
        """Another rate. A meter that let nothing pass begins full."""
        fresh, self.bytes_per_s = not self.bytes_per_s, bytes_per_s
        if fresh:
            self._at_s, self._level = now_s, self._burst

    def has(self, size_bytes: int, now_s: float) -> bool:
        """Whether so much may pass now."""
        self._level = min(
            self._burst, self._level + max(0.0, now_s - self._at_s) * self.bytes_per_s
        )
        self._at_s = now_s
        return size_bytes <= self._level

    def take(self, size_bytes: int) -> None:
        """It passes."""
        self._level -= size_bytes

    @property
    def _burst(self) -> float:
        return self.bytes_per_s * BURST_S + BURST_BYTES if self.bytes_per_s else 0.0


class LivePair:
    """Two peers."""

    __slots__ = ("meter", "one", "other")

    def __init__(self, one: LivePeer, other: LivePeer) -> None:
        self.one, self.other, self.meter = one, other, Meter()


class Relays:
    """All pairs, by number."""

    def __init__(self) -> None:
        self.pairs: dict[int, LivePair] = {}
        self.total = Meter()

    def replace(self, table: Peers, peers: Mapping[str, LivePeer], now_s: float) -> None:
        """Puts a table's pairs in force, those whose ends are both peers."""
        before, self.pairs = self.pairs, {}
        if table.pairs is None:
            self.pairs = {
                number: pair
                for number, pair in before.items()
                if peers.get(pair.one.name) is pair.one and peers.get(pair.other.name) is pair.other
            }
            return
        for told in table.pairs:
            one, other = peers.get(told.one), peers.get(told.other)
            if one is None or other is None:
                continue
            pair = before.get(told.number)
            if pair is None or (pair.one, pair.other) != (one, other):
                pair = LivePair(one, other)
            pair.meter.lend(told.bytes_per_s, now_s)
            self.pairs[told.number] = pair
        self.total.lend(table.relay_bytes_per_s, now_s)

    def way(self, number: int, source: Endpoint, size_bytes: int, now_s: float) -> Endpoint | Count:
        """Where a datagram of that pair from there goes; or why nowhere."""
        pair = self.pairs.get(number)
        if pair is None:
            return Count.IN_NO_PAIR
        to = _across(pair, source)
        if to == NOWHERE:
            return Count.IN_NO_PAIR
        size_bytes += UDP_BYTES
        if not (pair.meter.has(size_bytes, now_s) and self.total.has(size_bytes, now_s)):
            return Count.IN_OVER_RATE
        pair.meter.take(size_bytes)
        self.total.take(size_bytes)
        return to


def _across(pair: LivePair, source: Endpoint) -> Endpoint:
    for near, far in ((pair.one, pair.other), (pair.other, pair.one)):
        if near.endpoint == source and not near.pair and not far.pair:
            return far.endpoint
    return NOWHERE
