"""A guest's frame on its way out: judged, cut, sealed. No descriptor is touched here."""

from netns.tunnel import arp, narrow, nd
from netns.tunnel.counters import Count, Counters
from netns.tunnel.cut import IPV6, TCP_CSUM_OFFSET, segments, tcp_start
from netns.tunnel.frame import ETHERNET_BYTES, NEEDS_CSUM, RELAY, header, inner_header, paired
from netns.tunnel.routes import Route
from netns.tunnel.sessions import Endpoint, Sessions
from netns.tunnel.tables import COUNTER_END, NOWHERE
from netns.tunnel.vnet import GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, PLAIN, VNET_BYTES, Vnet, vnet

SEGMENT_LEAST = 8
"""What a guest's kernel has us cut its TCP into, in bytes of data. Linux goes no lower; by 1 each of its frames
would become tens of thousands of datagrams, with a hundred times its bytes."""


class Outward:
    """Datagrams of the frames of a turn, in order, by where they go; and answers for taps."""

    def __init__(self, sessions: Sessions, count: Counters) -> None:
        self._sessions, self._count = sessions, count
        self.datagrams: dict[Endpoint, list[bytes]] = {}
        self.copies: list[tuple[str, bytes]] = []
        """Frames to groups that are still to be sealed for a peer each, with the eight bytes before them."""

    def take(self, route: Route, raw: bytes, now_s: float) -> bytes | None:
        """One read of that network's tap, virtio's header first. What to write to the tap, if anything."""
        frame = raw[VNET_BYTES:]
        if frame[12:14] == arp.ETHERTYPE and frame[6:12] in route.local:
            reply = arp.answer(frame, route.macs)
            self._count[Count.ARP_ANSWERED if reply else Count.OUT_BROADCAST] += 1
            return PLAIN + reply if reply else None
        if nd.is_question(frame) and frame[6:12] in route.local:
            reply = nd.answer(frame, route.prefix6, route.macs)
            self._count[Count.ND_ANSWERED if reply else Count.OUT_BROADCAST] += 1
            return PLAIN + reply if reply else None
        if route.multicast and frame[0:1] and frame[0] & 1 and frame[6:12] in route.local:
            self._copy(route, raw, frame)
            return None
        reason = self._sealed(route, raw, frame, now_s)
        if reason is not None:
            self._count[reason] += 1
        if reason is Count.OUT_TOO_BIG and narrow.is_whole(frame):
            self._count[Count.TOO_BIG_ANSWERED] += 1
            takes = self._sessions.peers[route.remote[frame[0:6]].peer].takes(route.mtu)
            return PLAIN + narrow.too_big(frame, narrow.most(frame, route.mtu, takes))
        return None

    def _copy(self, route: Route, raw: bytes, frame: bytes) -> None:
        """Has a frame to a group sealed for each host of a member, the frame being the same for all."""
        cut = (
            pieces_of(vnet(raw), frame, route.mtu, route.mtu)
            if len(frame) >= ETHERNET_BYTES
            else None
        )
        if not isinstance(cut, tuple):
            self._count[cut or Count.OUT_MALFORMED] += 1
            return
        flags, start, offset, pieces = cut
        before = inner_header(flags, route.vni, start, offset)
        self.copies += [(peer, before + piece) for piece in pieces for peer in route.partners]

    def _sealed(self, route: Route, raw: bytes, frame: bytes, now_s: float) -> Count | None:
        """Why it does not go out; None if it does."""
        if len(frame) < ETHERNET_BYTES:
            return Count.OUT_MALFORMED
        if frame[6:12] not in route.local:
            return Count.OUT_NOT_OURS
        if frame[0] & 1:
            return Count.OUT_BROADCAST
        remote = route.remote.get(frame[0:6])
        if remote is None:
            return Count.OUT_UNKNOWN
        peer = self._sessions.peers.get(remote.peer)
        session = peer.sending(now_s) if peer else None
        if peer is None or session is None:
            return Count.OUT_NO_SESSION
        if peer.endpoint == NOWHERE:
            return Count.OUT_NO_ENDPOINT
        cut = pieces_of(vnet(raw), frame, route.mtu, peer.takes(route.mtu))
        if isinstance(cut, Count):
            return cut
        flags, start, offset, pieces = cut
        if session.counter + len(pieces) > COUNTER_END:
            return Count.OUT_NO_SESSION
        before = inner_header(flags, route.vni, start, offset)
        counter, encrypt = session.counter, session.sends.encrypt
        session.counter += len(pieces)
        going = self.datagrams.setdefault(peer.endpoint, [])
        for number, piece in enumerate(pieces, counter):
            head = header(session.peer_index, number)
            datagram = head + encrypt(head[4:], before + piece, head)
            going.append(paired(datagram, RELAY, peer.pair))
        return None


def pieces_of(
    left: Vnet, frame: bytes, mtu: int, takes: int
) -> tuple[int, int, int, list[bytes]] | Count:
    """Flags, csum_start, csum_offset and the frames to be sealed; or why there are none.

    `mtu` is the network's, `takes` what the way takes, which is no more.
    """
    flags, start, offset = left.flags & NEEDS_CSUM, left.csum_start, left.csum_offset
    if left.gso_type != GSO_NONE:
        kind = GSO_TCPV6 if frame[12:14] == IPV6 else GSO_TCPV4
        if left.gso_type & ~GSO_ECN != kind or not flags or left.gso_size < SEGMENT_LEAST:
            return Count.OUT_MALFORMED
        pieces = segments(frame, left.gso_size, takes)
        if not pieces:
            return Count.OUT_MALFORMED
        return flags, tcp_start(frame), TCP_CSUM_OFFSET, pieces
    if len(frame) > narrow.most(frame, mtu, takes) + ETHERNET_BYTES:
        return Count.OUT_TOO_BIG
    if not flags:
        return 0, 0, 0, [narrow.clamped(frame, takes, is_summed=True)]
    if start < ETHERNET_BYTES or start + offset + 2 > len(frame):
        return Count.OUT_MALFORMED
    return flags, start, offset, [narrow.clamped(frame, takes, is_summed=False)]
