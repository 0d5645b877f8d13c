"""The loops in C (`native.c`), if they were built: an image of the tables in the shape that they read.

Python decides what is in force; C counts, and sees where peers are. So before tables are replaced or told,
`note` brings home what C has changed, and after they are replaced, `show` gives C the new ones.
"""

import logging
from collections.abc import Mapping

from netns.tunnel.batches import DATAGRAM_BYTES_MAX, endpoint
from netns.tunnel.counters import Count, Counters
from netns.tunnel.frame import ETHERNET_BYTES, SEALED_BYTES
from netns.tunnel.probes import Came
from netns.tunnel.relays import LivePair, Relays
from netns.tunnel.routes import Route
from netns.tunnel.sessions import LivePeer, LiveSession, Sessions
from netns.tunnel.tables import Cipher

try:
    from netns.tunnel import native
except ImportError:
    logging.getLogger(__name__).warning(
        "the native loops of sealed networks were not built, so frames take several times as much cpu; "
        "scripts/setup builds them (Debian: apt-get install gcc libssl-dev python3-dev)"
    )
    is_built = False
else:
    is_built = True

MTU_MOST = DATAGRAM_BYTES_MAX - SEALED_BYTES - ETHERNET_BYTES
"""What one datagram carries of a guest's packet."""


class NativeLoops:
    """Takes frames from a socket to taps and from a tap to the socket, as `inward.py` and `outward.py` do."""

    def __init__(self, sessions: Sessions, count: Counters) -> None:
        self._sessions, self._count = sessions, count
        self._loops = native.Loops()
        self._counted = self._loops.counted()
        self._made: dict[LiveSession, native.Session] = {}
        self._peers: dict[LivePeer, native.Peer] = {}
        self._by_index: dict[int, native.Peer] = {}
        self._networks: dict[int, native.Network] = {}
        self._pairs: dict[LivePair, native.Pair] = {}
        self._relays: dict[int, native.Pair] = {}
        native.Session(1, 1, bytes(32), bytes(32), False, 0.0)  # libcrypto reads its files now

    def note(self) -> None:
        """Brings home what the loops have counted, and where they have heard peers."""
        for live, session in self._made.items():
            live.counter, live.received = session.sent, session.received
        for known, peer in self._peers.items():
            known.endpoint, known.heard_s = peer.endpoint, peer.heard_s
        before, self._counted = self._counted, self._loops.counted()
        for name, total in self._counted.items():
            self._count[Count(name)] += total - before[name]

    def show(self, routes: Mapping[int, Route], taps: Mapping[str, int], relays: Relays) -> None:
        """Gives the loops the tables that are in force. `taps` are descriptors by name."""
        sessions, peers = self._sessions.by_index.values(), self._sessions.peers.values()
        self._made = {live: self._made.get(live) or _session(live) for live in sessions}
        self._peers = {live: self._peers.get(live) or native.Peer() for live in peers}
        for live, peer in self._peers.items():
            peer.carry(tuple(self._made[session] for session in live.sessions))
            peer.move(*live.endpoint, live.pair)
            peer.mtu = live.mtu
        self._by_index = {live.index: self._peers[live.peer] for live in sessions}
        by_name = {live.name: peer for live, peer in self._peers.items()}
        self._networks = {
            vni: _network(route, taps.get(route.tap, -1), by_name) for vni, route in routes.items()
        }

        self._pairs = {pair: self._pair(pair) for pair in relays.pairs.values()}
        self._relays = {number: self._pairs[pair] for number, pair in relays.pairs.items()}
        self._loops.lend(relays.total.bytes_per_s)

    def _pair(self, live: LivePair) -> "native.Pair":
        pair = self._pairs.get(live) or native.Pair(self._peers[live.one], self._peers[live.other])
        pair.lend(live.meter.bytes_per_s)
        return pair

    def seal(self, live: LiveSession, plain: bytes) -> bytes | None:
        """The session's next datagram; None if it has had its last."""
        return self._made[live].seal(plain)

    def from_socket(self, socket: int) -> list[Came]:
        """A turn of the socket. What is for the forwarder itself is answered."""
        by_index = self._sessions.by_index
        came = self._loops.receive(socket, self._by_index, self._networks, self._relays)
        return [
            Came(by_index[index].peer.name, endpoint(source), body, pair)
            for index, source, body, pair in came
        ]

    def from_tap(self, vni: int, socket: int) -> list[bytes]:
        """A turn of a network's tap; what is to be answered, as it was read. Raises OSError if it is gone."""
        return self._loops.send(socket, self._networks[vni])


def _session(live: LiveSession) -> "native.Session":
    told, chacha = live.told, live.told.cipher is Cipher.CHACHA20_POLY1305
    return native.Session(
        told.index, told.peer_index, told.send_key, told.receive_key, chacha, live.made_s
    )


def _network(route: Route, tap: int, peers: Mapping[str, "native.Peer"]) -> "native.Network":
    members = {
        int.from_bytes(mac): (peers.get(remote.peer), int.from_bytes(remote.address))
        for mac, remote in route.remote.items()
    }
    local = frozenset(map(int.from_bytes, route.local))
    return native.Network(
        route.vni,
        tap,
        min(route.mtu, MTU_MOST),
        local,
        members,
        route.prefix6,
        route.multicast,
    )
