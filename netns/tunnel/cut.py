"""Cuts what a guest sends in one piece (TSO) into segments, each with a header of its own.

Each segment is sealed by itself, so that a lost datagram costs one segment. Its checksum field holds the sum of
the pseudo-header for its own length: the receiver's kernel completes it, or nobody has to. The IP checksum is
changed by what changes under it, so a header that was wrong stays wrong.
"""

import struct

from netns.tunnel.checksum import changed, pseudo

TCP_CSUM_OFFSET = 16
_ETHERNET = 14
MORE_OR_OFFSET, _DONT_FRAGMENT = 0x3FFF, 0x4000
"""Of the word with IP's fragment offset: not 0 in a fragment."""
_CWR, _FIN, _PSH = 0x80, 0x01, 0x08
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")


def tcp_start(frame: bytes) -> int:
    """Where the TCP header of an IPv4 frame begins; 0 if it has none that makes sense, or is a fragment."""
    if len(frame) < _ETHERNET + 40 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
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


def segments(frame: bytes, gso_size: int, mtu: int) -> list[bytes]:
    """Ethernet frames whose packets are no longer than `mtu`, with at most `gso_size` bytes of data each.

    Empty if it is not TCP over IPv4, or not even a byte of data fits. All but the last carry equally much. PSH
    and FIN go to the last, CWR to the first. The IP id counts up unless DF is set, when nobody needs it.
    """
    start = tcp_start(frame)
    head = headers_end(frame, start) if start else 0
    if not head:
        return []
    step = min(gso_size, mtu - (head - _ETHERNET))
    data = len(frame) - head
    ip_length, ip_id, fragment = struct.unpack_from(">3H", frame, 16)
    if step < 1 or not data or ip_length != len(frame) - _ETHERNET:
        return []
    (ip_check,) = _U16.unpack_from(frame, 24)
    (sequence,) = _U32.unpack_from(frame, start + 4)
    flags, addresses = frame[start + 13], frame[26:34]
    cut: list[bytes] = []
    for offset in range(0, data, step):
        piece = frame[head + offset : head + offset + step]
        first, last = offset == 0, offset + step >= data
        length = head - _ETHERNET + len(piece)
        check, own_id = changed(ip_check, ip_length, length), ip_id
        if not fragment & _DONT_FRAGMENT:
            own_id = (ip_id + offset // step) & 0xFFFF
            check = changed(check, ip_id, own_id)
        header = bytearray(frame[:head])
        struct.pack_into(">HH", header, 16, length, own_id)
        _U16.pack_into(header, 24, check)
        _U32.pack_into(header, start + 4, (sequence + offset) & 0xFFFF_FFFF)
        header[start + 13] = (
            flags & (0xFF if first else ~_CWR & 0xFF) & (0xFF if last else ~(_PSH | _FIN) & 0xFF)
        )
        _U16.pack_into(
            header, start + TCP_CSUM_OFFSET, pseudo(addresses, head - start + len(piece))
        )
        cut.append(bytes(header) + piece)
    return cut
