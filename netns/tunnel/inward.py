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
    RELAY,
    RELAYED,
    Inner,
    addressed,
    header,
    inner,
    pair_of,
    paired,
)
from netns.tunnel.glue import Joined, joined
from netns.tunnel.probes import Came
from netns.tunnel.relays import Relays
from netns.tunnel.routes import Route
from netns.tunnel.sessions import Endpoint, LiveSession, Sessions
from netns.tunnel.tables import COUNTER_END, NOWHERE

_IPV4_LEAST, _IPV6_LEAST = ETHERNET_BYTES + 20, ETHERNET_BYTES + 40


class Inward:
    """What opened in a turn, by network, and what is to be passed on."""

    def __init__(self, sessions: Sessions, relays: Relays, count: Counters) -> None:
        self._sessions, self._relays, self._count = sessions, relays, count
        self.passing: dict[Endpoint, list[bytes]] = {}
        """By where it goes, until somebody sends it."""
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
            found = self._passed_on(datagram, now_s) or self._opened(datagram, now_s)
            if not isinstance(found, Count):
                peer, opened = found
                found = judged(opened, peer, routes)
                if found is Count.PROBES:
                    source = endpoint(datagram.source)
                    body, pair = opened.frame[:PROBE_BYTES], pair_of(datagram.data, RELAYED)
                    self.probes.append(Came(peer, source, body, pair))
                elif found is Count.RECEIVED:
                    good.setdefault(opened.vni, []).append(opened)
            self._count[found] += 1
        return {vni: joined(frames) for vni, frames in good.items()}

    def _passed_on(self, datagram: Datagram, now_s: float) -> Count | None:
        """What became of one that this host is to pass on; None if it is not."""
        data = datagram.data
        pair = 0 if datagram.is_truncated else pair_of(data, RELAY)
        if not pair:
            return None
        to = self._relays.way(pair, endpoint(datagram.source), len(data), now_s)
        if isinstance(to, Count):
            return to
        self.passing.setdefault(to, []).append(paired(data, RELAYED, pair))
        return Count.PASSED_ON

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
            head = header(index, counter)
            plain = session.receives.decrypt(head[4:], data[HEADER_BYTES:], head)
        except InvalidTag:
            return Count.IN_FORGED
        if counter > session.window.newest:
            # One that arrives behind newer ones does not say where the peer is now.
            session.peer.heard_s = now_s
            if not (session.peer.pair or pair_of(data, RELAYED)):
                self._is_at(session, datagram.source)
        session.window.take(counter)
        session.received += 1
        opened = inner(plain)
        return (session.peer.name, opened) if opened else Count.IN_MALFORMED

    def _is_at(self, session: LiveSession, source: bytes) -> None:
        if source != self._source:
            self._source, self._where = source, endpoint(source)
        peer = session.peer
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
    if frame[0:6] not in route.local and not (route.multicast and frame[0] & 1):
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
