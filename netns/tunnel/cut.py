"""Cuts what a guest sends in one piece (TSO) into segments, each with a header of its own.

Each segment is sealed by itself, so that a lost datagram costs one segment. Its checksum field holds the sum of
the pseudo-header for its own length: the receiver's kernel completes it, or nobody has to. The IPv4 checksum is
changed by what changes under it, so a header that was wrong stays wrong. IPv6 has none, and no id either.
"""

import struct

from netns.tunnel.checksum import changed, pseudo

TCP_CSUM_OFFSET = 16
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
"""Types of Ethernet frames."""
TCP6_START = 54
"""Where TCP begins in IPv6 without extension headers. What has any is not cut: no kernel sends it so."""
_ETHERNET, _TCP = 14, 6
MORE_OR_OFFSET, _DONT_FRAGMENT = 0x3FFF, 0x4000
"""Of the word with IP's fragment offset: not 0 in a fragment."""
_CWR, _FIN, _PSH = 0x80, 0x01, 0x08
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")


def tcp_start(frame: bytes) -> int:
    """Where the TCP header of a frame begins; 0 if it has none that makes sense, or is a fragment."""
    if frame[12:14] == IPV6:
        whole = len(frame) >= TCP6_START + 20
        return TCP6_START if whole and frame[14] >> 4 == 6 and frame[20] == _TCP else 0
    if len(frame) < _ETHERNET + 40 or frame[12:14] != IPV4 or frame[23] != _TCP:
        return 0
    ip_bytes = (frame[14] & 15) * 4
    start = _ETHERNET + ip_bytes
    if frame[14] >> 4 != 4 or ip_bytes < 20 or len(frame) < start + 20:
        return 0
    if _U16.unpack_from(frame, 20)[0] & MORE_OR_OFFSET:
        return 0
    return start


def headers_end(frame: bytes, start: int) -> int:
    """Where the data of a TCP segment begins; 0 if its header does not fit the frame."""
    tcp_bytes = (frame[start + 12] >> 4) * 4
    return start + tcp_bytes if 20 <= tcp_bytes <= len(frame) - start else 0


def is_of_length(frame: bytes) -> bool:
    """Whether a frame is as long as its IP header says."""
    if frame[12:14] == IPV6:
        return int.from_bytes(frame[18:20]) == len(frame) - TCP6_START
    return int.from_bytes(frame[16:18]) == len(frame) - _ETHERNET


def addresses_of(frame: bytes) -> bytes:
    """Source and destination of its IP packet."""
    return frame[22:54] if frame[12:14] == IPV6 else frame[26:34]


def set_length(header: bytearray, length: int, number: int | None = None) -> None:
    """Makes the IP header that of a frame of `length` bytes; `number` if it is one of those that were cut."""
    if header[12:14] == IPV6:
        _U16.pack_into(header, 18, length - TCP6_START)
        return
    before, before_id, fragment = struct.unpack_from(">3H", header, 16)
    (check,) = _U16.unpack_from(header, 24)
    own_id = before_id
    check = changed(check, before, length - _ETHERNET)
    if number is not None and not fragment & _DONT_FRAGMENT:
        own_id = (before_id + number) & 0xFFFF
        check = changed(check, before_id, own_id)
    struct.pack_into(">HH", header, 16, length - _ETHERNET, own_id)
    _U16.pack_into(header, 24, check)


def segments(frame: bytes, gso_size: int, mtu: int) -> list[bytes]:
    """Ethernet frames whose packets are no longer than `mtu`, with at most `gso_size` bytes of data each.

    Empty if it is not TCP, or not even a byte of data fits. All but the last carry equally much. PSH and FIN go
    to the last, CWR to the first. The id of IPv4 counts up unless DF is set, when nobody needs it.
    """
    start = tcp_start(frame)
    head = headers_end(frame, start) if start else 0
    if not head:
        return []
    step = min(gso_size, mtu - (head - _ETHERNET))
    data = len(frame) - head
    if step < 1 or not data or not is_of_length(frame):
        return []
    (sequence,) = _U32.unpack_from(frame, start + 4)
    flags, addresses = frame[start + 13], addresses_of(frame)
    cut: list[bytes] = []
    for offset in range(0, data, step):
        piece = frame[head + offset : head + offset + step]
        first, last = offset == 0, offset + step >= data
        header = bytearray(frame[:head])
        set_length(header, head + len(piece), offset // step)
        _U32.pack_into(header, start + 4, (sequence + offset) & 0xFFFF_FFFF)
        header[start + 13] = (
            flags & (0xFF if first else ~_CWR & 0xFF) & (0xFF if last else ~(_PSH | _FIN) & 0xFF)
        )
        _U16.pack_into(
            header, start + TCP_CSUM_OFFSET, pseudo(addresses, head - start + len(piece))
        )
        cut.append(bytes(header) + piece)
    return cut
