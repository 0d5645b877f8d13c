"""Datagrams on their way in: judged, opened, judged again, joined. No descriptor is touched here.

What does not prove itself is answered by nothing, and nothing is kept for it.
"""

from collections.abc import Iterable, Mapping

from netns.tunnel.batches import Datagram, endpoint
from netns.tunnel.cipher import InvalidTag
from netns.tunnel.counters import Count, Counters
from netns.tunnel.cut import IPV4, IPV6
from netns.tunnel.frame import (
    ETHERNET_BYTES,
    HEADER_BYTES,
    PROBE_BYTES,
    PROBE_VNI,
    Inner,
    addressed,
    inner,
)
from netns.tunnel.glue import Joined, joined
from netns.tunnel.probes import Came
from netns.tunnel.routes import Route
from netns.tunnel.sessions import LiveSession, Sessions
from netns.tunnel.tables import COUNTER_END, NOWHERE

_IPV4_LEAST, _IPV6_LEAST = ETHERNET_BYTES + 20, ETHERNET_BYTES + 40


class Inward:
    """What opened in a turn, by network."""

    def __init__(self, sessions: Sessions, count: Counters) -> None:
        self._sessions, self._count = sessions, count
        self.probes: list[Came] = []
        """Of late, until somebody takes them."""
        self._source, self._where = b"", NOWHERE
        """The last source in the kernel's form, and what it means."""

    def take(
        self, datagrams: Iterable[Datagram], routes: Mapping[int, Route], now_s: float
    ) -> dict[int, list[Joined]]:
        """What to write to the taps, by VNI."""
        good: dict[int, list[Inner]] = {}
        for datagram in datagrams:
            found = self._opened(datagram, now_s)
            if not isinstance(found, Count):
                peer, opened = found
                found = judged(opened, peer, routes)
                if found is Count.PROBES:
                    source = endpoint(datagram.source)
                    self.probes.append(Came(peer, source, opened.frame[:PROBE_BYTES]))
                elif found is Count.RECEIVED:
                    good.setdefault(opened.vni, []).append(opened)
            self._count[found] += 1
        return {vni: joined(frames) for vni, frames in good.items()}

    def _opened(self, datagram: Datagram, now_s: float) -> tuple[str, Inner] | Count:
        data = datagram.data
        if datagram.is_truncated:
            return Count.IN_TRUNCATED
        found = addressed(data)
        if found is None:
            return Count.IN_NOT_SEALED
        index, counter = found
        session = self._sessions.by_index.get(index)
        if session is None:
            return Count.IN_UNKNOWN_SESSION
        if counter >= COUNTER_END or not session.may_receive(now_s):
            return Count.IN_OLD_SESSION
        if not session.window.is_fresh(counter):
            return Count.IN_REPLAYED
        try:
            plain = session.receives.decrypt(
                data[4:HEADER_BYTES], data[HEADER_BYTES:], data[:HEADER_BYTES]
            )
        except InvalidTag:
            return Count.IN_FORGED
        if counter > session.window.newest:
            # One that arrives behind newer ones does not say where the peer is now.
            self._heard(session, datagram.source, now_s)
        session.window.take(counter)
        session.received += 1
        opened = inner(plain)
        return (session.peer.name, opened) if opened else Count.IN_MALFORMED

    def _heard(self, session: LiveSession, source: bytes, now_s: float) -> None:
        if source != self._source:
            self._source, self._where = source, endpoint(source)
        peer = session.peer
        peer.heard_s = now_s
        if self._where != peer.endpoint:
            peer.endpoint = self._where
            self._count[Count.ROAMED] += 1


def judged(opened: Inner, peer: str, routes: Mapping[int, Route]) -> Count:
    """RECEIVED for a frame that is for a guest here, PROBES for one that is for the forwarder; why it is for
    nobody, for one that is not, though a peer sealed it."""
    route, frame = routes.get(opened.vni), opened.frame
    if opened.vni == PROBE_VNI and not opened.flags:
        return Count.PROBES if len(frame) >= PROBE_BYTES else Count.IN_MALFORMED
    if route is None:
        return Count.IN_UNKNOWN_NETWORK
    member = route.remote.get(frame[6:12])
    if member is None or member.peer != peer:
        return Count.IN_SPOOFED
    if frame[0:6] not in route.local:
        return Count.IN_NOT_HERE
    if frame[12:14] == IPV4 and len(frame) >= _IPV4_LEAST:
        is_own = frame[26:30] == member.address
    elif frame[12:14] == IPV6 and len(frame) >= _IPV6_LEAST and route.prefix6:
        is_own = frame[22:38] == route.prefix6 + member.address
    else:
        return Count.IN_NOT_IP
    if not is_own:
        return Count.IN_SPOOFED
    if len(frame) > route.mtu + ETHERNET_BYTES:
        return Count.IN_TOO_BIG
    return Count.RECEIVED
