"""Puts consecutive segments of a TCP flow together again (GRO), so that a guest takes them in one piece.

Within a batch only: there is no timer, nothing waits. What is joined must be such that cutting it again gives
the same segments. So headers have to be equal but for length, IP id, checksums, sequence, PSH and FIN; a
segment with PSH or FIN, or shorter than the first, is the last; one that is longer begins anew. Only segments
whose checksum is left to be completed are joined, since one that was completed might be wrong, and would not
be once joined.

Frames of a flow keep their order: whatever is not joined ends what was being joined.
"""

import struct
from collections.abc import Iterable

from netns.tunnel import vnet
from netns.tunnel.checksum import changed, pseudo
from netns.tunnel.cut import MORE_OR_OFFSET, TCP_CSUM_OFFSET, headers_end
from netns.tunnel.frame import NEEDS_CSUM, Inner

PACKET_BYTES_MAX = 0xFFFF
"""Of a joined packet: what IPv4's length can say."""
_IPV4, _TCP = b"\x08\x00", b"\x06"
_TCP_START = 34
_ACK, _PSH, _FIN, _CARRIED_ON = 0x10, 0x08, 0x01, 0x50
"""ACK and ECE may stand in what is joined; SYN, RST, URG and CWR stand alone."""
_LAST = _PSH | _FIN
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")
_LENGTH_ID_CHECK = struct.Struct(">HH4xH")


class Joined:
    """One frame for a tap, that of a segment or of several. `parts` are the header and the data of each."""

    __slots__ = ("_first", "_key", "_length", "_next", "_of_check", "_size", "head", "parts")

    def __init__(self, inner: Inner, head: int = 0) -> None:
        """`head` is where the data begins of a segment that others may follow; 0 if none may."""
        self._first, self.head = inner, head
        self.parts = [inner.frame]
        if head:
            frame = inner.frame
            self._key, self._of_check = key(frame, head), _ip_check(frame)
            self._length, self._size = len(frame) - 14, len(frame) - head
            (sequence,) = _U32.unpack_from(frame, 38)
            self._next = sequence + self._size & 0xFFFF_FFFF

    def takes(self, frame: bytes, head: int) -> bool:
        """Joins the segment, if it follows. False if it does not."""
        size = len(frame) - head
        (sequence,) = _U32.unpack_from(frame, 38)
        if (
            head != self.head
            or sequence != self._next
            or size > self._size
            or self._length + size > PACKET_BYTES_MAX
            or key(frame, head) != self._key
            or _ip_check(frame) != self._of_check
        ):
            return False
        self.parts.append(frame)
        self._next = sequence + size & 0xFFFF_FFFF
        self._length += size
        return True

    def is_full(self, frame: bytes) -> bool:
        """Whether that segment, the last one taken, ends it."""
        return bool(frame[47] & _LAST) or len(frame) - self.head < self._size

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
        head, whole = self.head, bytearray(first.frame[: self.head])
        (was,) = _U16.unpack_from(whole, 16)
        (check,) = _U16.unpack_from(whole, 24)
        _U16.pack_into(whole, 16, self._length)
        _U16.pack_into(whole, 24, changed(check, was, self._length))
        whole[47] |= self.parts[-1][47] & _LAST
        tcp_bytes = self._length - (_TCP_START - 14)
        _U16.pack_into(whole, _TCP_START + TCP_CSUM_OFFSET, pseudo(bytes(whole[26:34]), tcp_bytes))
        header = vnet.written(
            NEEDS_CSUM, vnet.GSO_TCPV4, head, self._size, _TCP_START, TCP_CSUM_OFFSET
        )
        return [header + whole, *(memoryview(part)[head:] for part in self.parts)]


def joined(frames: Iterable[Inner]) -> list[Joined]:
    """The frames of one network, in the order in which they came, joined where that is right."""
    done: list[Joined] = []
    growing: dict[bytes, Joined] = {}
    for inner in frames:
        frame = inner.frame
        if frame[12:14] != _IPV4 or frame[23:24] != _TCP:
            done.append(Joined(inner))
            continue
        if len(frame) < 54 or frame[14] != 0x45 or _fragment(frame) & MORE_OR_OFFSET:
            growing.clear()  # of whatever flow it is
            done.append(Joined(inner))
            continue
        flow = frame[26:38]
        head = joinable_head(inner)
        if head:
            before = growing.get(flow)
            if before is not None and before.takes(frame, head):
                if before.is_full(frame):
                    del growing[flow]
                continue
            fresh = Joined(inner, head)
            done.append(fresh)
            if frame[47] & _LAST:
                growing.pop(flow, None)
            else:
                growing[flow] = fresh
        else:
            growing.pop(flow, None)
            done.append(Joined(inner))
    return done


def joinable_head(inner: Inner) -> int:
    """Where the data of a TCP segment begins that others may be joined with; 0 if it has to stay alone.

    The frame was found to be TCP over IPv4 without IP options, and no fragment.
    """
    flags, _, start, offset, frame = inner
    if flags != NEEDS_CSUM or start != _TCP_START or offset != TCP_CSUM_OFFSET:
        return 0
    tcp_flags = frame[47]
    if tcp_flags & ~(_CARRIED_ON | _LAST) or not tcp_flags & _ACK:
        return 0
    if _U16.unpack_from(frame, 16)[0] != len(frame) - 14:
        return 0
    head = headers_end(frame, _TCP_START)
    return head if head < len(frame) else 0


def _fragment(frame: bytes) -> int:
    return int.from_bytes(frame[20:22])


def key(frame: bytes, head: int) -> bytes:
    """All of the headers that is equal in segments which are joined."""
    flags = bytes((frame[47] & ~_LAST & 0xFF,))
    return (
        frame[0:16]
        + frame[20:24]
        + frame[26:38]
        + frame[42:47]
        + flags
        + frame[48:50]
        + frame[52:head]
    )


def _ip_check(frame: bytes) -> int:
    """What length and id leave of the IP checksum: equal in headers that are all right, or equally wrong."""
    length, ip_id, check = _LENGTH_ID_CHECK.unpack_from(frame, 16)
    return int((check + length + ip_id) % 0xFFFF)
