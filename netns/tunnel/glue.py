"""Puts consecutive segments of a TCP flow together again (GRO), so that a guest takes them in one piece.

Within a batch only: there is no timer, nothing waits. What is joined must be such that cutting it again gives
the same segments. So headers have to be equal but for length, IPv4's id, checksums, sequence, PSH and FIN; a
segment with PSH or FIN, or shorter than the first, is the last; one that is longer begins anew. Only segments
whose checksum is left to be completed are joined, since one that was completed might be wrong, and would not
be once joined.

Frames of a flow keep their order: whatever is not joined ends what was being joined.
"""

import struct
from collections.abc import Iterable

from netns.tunnel import vnet
from netns.tunnel.checksum import pseudo
from netns.tunnel.cut import (
    IPV4,
    IPV6,
    MORE_OR_OFFSET,
    TCP6_START,
    TCP_CSUM_OFFSET,
    addresses_of,
    headers_end,
    is_of_length,
    set_length,
)
from netns.tunnel.frame import NEEDS_CSUM, Inner

PACKET_BYTES_MAX = 0xFFFF
"""Of a joined packet: what IPv4's length can say."""
_TCP, _OTHERS = b"\x06", (b"\x11", b"\x3a")
"""What may follow an IPv6 header: TCP; UDP and ICMPv6, which are of no flow of TCP."""
_TCP4_START = 34
_NOT_TCP, _UNCLEAR = 0, -1
_ACK, _PSH, _FIN, _CARRIED_ON = 0x10, 0x08, 0x01, 0x50
"""ACK and ECE may stand in what is joined; SYN, RST, URG and CWR stand alone."""
_LAST = _PSH | _FIN
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")
_LENGTH_ID_CHECK = struct.Struct(">HH4xH")


class Joined:
    """One frame for a tap, that of a segment or of several. `parts` are the header and the data of each."""

    __slots__ = (
        "_first", "_key", "_length", "_next", "_of_check", "_size", "_start", "head", "parts"
    )  # fmt: skip

    def __init__(self, inner: Inner, start: int = 0, head: int = 0) -> None:
        """`start` and `head`: where TCP and its data begin in a segment that others may follow, or 0."""
        self._first, self._start, self.head = inner, start, head
        self.parts = [inner.frame]
        if head:
            frame = inner.frame
            self._key, self._of_check = key(frame, start, head), _ip_check(frame)
            self._length, self._size = len(frame) - 14, len(frame) - head
            (sequence,) = _U32.unpack_from(frame, start + 4)
            self._next = sequence + self._size & 0xFFFF_FFFF

    def takes(self, frame: bytes, head: int) -> bool:
        """Joins the segment, if it follows. False if it does not."""
        size = len(frame) - head
        (sequence,) = _U32.unpack_from(frame, self._start + 4)
        if (
            head != self.head
            or sequence != self._next
            or size > self._size
            or self._length + size > PACKET_BYTES_MAX
            or key(frame, self._start, head) != self._key
            or _ip_check(frame) != self._of_check
        ):
            return False
        self.parts.append(frame)
        self._next = sequence + size & 0xFFFF_FFFF
        self._length += size
        return True

    def is_full(self, frame: bytes) -> bool:
        """Whether that segment, the last one taken, ends it."""
        return bool(frame[self._start + 13] & _LAST) or len(frame) - self.head < self._size

    def pieces(self) -> list[bytes | memoryview]:
        """What to write to the tap, virtio's header first."""
        first = self._first
        if len(self.parts) == 1:
            header = (
                vnet.written(first.flags, vnet.GSO_NONE, 0, 0, first.csum_start, first.csum_offset)
                if first.flags
                else vnet.PLAIN
            )
            return [header, first.frame]
        head, start, whole = self.head, self._start, bytearray(first.frame[: self.head])
        set_length(whole, 14 + self._length)
        whole[start + 13] |= self.parts[-1][start + 13] & _LAST
        check = pseudo(addresses_of(bytes(whole)), self._length - (start - 14))
        _U16.pack_into(whole, start + TCP_CSUM_OFFSET, check)
        kind = vnet.GSO_TCPV6 if start == TCP6_START else vnet.GSO_TCPV4
        header = vnet.written(NEEDS_CSUM, kind, head, self._size, start, TCP_CSUM_OFFSET)
        return [header + whole, *(memoryview(part)[head:] for part in self.parts)]


def joined(frames: Iterable[Inner]) -> list[Joined]:
    """The frames of one network, in the order in which they came, joined where that is right."""
    done: list[Joined] = []
    growing: dict[bytes, Joined] = {}
    for inner in frames:
        frame = inner.frame
        start = _start(frame)
        if start in (_NOT_TCP, _UNCLEAR):
            if start == _UNCLEAR:
                growing.clear()  # of whatever flow it is
            done.append(Joined(inner))
            continue
        flow = addresses_of(frame) + frame[start : start + 4]
        head = joinable_head(inner, start)
        if head:
            before = growing.get(flow)
            if before is not None and before.takes(frame, head):
                if before.is_full(frame):
                    del growing[flow]
                continue
            fresh = Joined(inner, start, head)
            done.append(fresh)
            if frame[start + 13] & _LAST:
                growing.pop(flow, None)
            else:
                growing[flow] = fresh
        else:
            growing.pop(flow, None)
            done.append(Joined(inner))
    return done


def joinable_head(inner: Inner, start: int) -> int:
    """Where the data of a TCP segment begins that others may be joined with; 0 if it has to stay alone.

    The frame was found to be TCP, from `start` on, without IP options, and no fragment.
    """
    flags, _, csum_start, offset, frame = inner
    if flags != NEEDS_CSUM or csum_start != start or offset != TCP_CSUM_OFFSET:
        return 0
    tcp_flags = frame[start + 13]
    if tcp_flags & ~(_CARRIED_ON | _LAST) or not tcp_flags & _ACK or not is_of_length(frame):
        return 0
    head = headers_end(frame, start)
    return head if head < len(frame) else 0


def _start(frame: bytes) -> int:
    """Where TCP begins; or that it is no TCP, or that it cannot be told of which flow it is."""
    if frame[12:14] == IPV6:
        if frame[20:21] != _TCP:
            return _NOT_TCP if frame[20:21] in _OTHERS else _UNCLEAR
        whole = len(frame) >= TCP6_START + 20 and frame[14] >> 4 == 6
        return TCP6_START if whole else _UNCLEAR
    if frame[12:14] != IPV4 or frame[23:24] != _TCP:
        return _NOT_TCP
    whole = len(frame) >= _TCP4_START + 20 and frame[14] == 0x45
    return _TCP4_START if whole and not _fragment(frame) & MORE_OR_OFFSET else _UNCLEAR


def _fragment(frame: bytes) -> int:
    return int.from_bytes(frame[20:22])


def key(frame: bytes, start: int, head: int) -> bytes:
    """All of the headers that is equal in segments which are joined."""
    flags = bytes((frame[start + 13] & ~_LAST & 0xFF,))
    ip = (
        frame[0:18] + frame[20:54]
        if start == TCP6_START
        else frame[0:16] + frame[20:24] + frame[26:34]
    )
    return (
        ip
        + frame[start : start + 4]
        + frame[start + 8 : start + 13]
        + flags
        + frame[start + 14 : start + 16]
        + frame[start + 18 : head]
    )


def _ip_check(frame: bytes) -> int:
    """What length and id leave of IPv4's checksum: equal in headers that are all right, or equally wrong."""
    if frame[12:14] == IPV6:
        return 0
    length, ip_id, check = _LENGTH_ID_CHECK.unpack_from(frame, 16)
    return int((check + length + ip_id) % 0xFFFF)
