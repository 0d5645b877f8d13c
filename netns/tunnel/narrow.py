"""Where the way to a peer takes less than the guests' network: what guests are told of that, on the spot.

TCP hears it while it is begun: a SYN says how much its sender takes in one segment, and is made to say no
more than the way takes. To any other packet that wants to go whole (DF, and all of IPv6), the forwarder answers
as a router would, with ICMP's "fragmentation needed" (RFC 792, RFC 1191) or "packet too big" (RFC 4443). The
answer comes from the address that was meant: the bridge's filter lets nothing else out of the tunnel, and
senders do not mind from where it comes.
"""

import struct

from netns.tunnel.checksum import changed, summed
from netns.tunnel.cut import IPV4, IPV6, TCP_CSUM_OFFSET, headers_end, tcp_start
from netns.tunnel.frame import ETHERNET_BYTES

HEADERS_BYTES, HEADERS6_BYTES = 40, 60
"""The least that IPv4 or IPv6 and TCP have before the data."""
MTU6_LEAST = 1280
"""Every way of IPv6 takes it: nobody can be told of less (RFC 8200)."""
_DONT_FRAGMENT = 0x40
_IPV4_LEAST, _IPV6_BYTES = 20, 40
_SYN, _END, _NOTHING, _MAXSEG, _MAXSEG_BYTES = 0x02, 0, 1, 2, 4
_U16 = struct.Struct(">H")
_IP = struct.Struct(">BBHHHBBH4s4s")
_ICMP = struct.Struct(">BBHHH")
_UNREACHABLE, _TOO_BIG = 3, 4
_IP6 = struct.Struct(">IHBB16s16s")
_ICMP6 = struct.Struct(">BBHI")
_ICMPV6, _TOO_BIG6 = 58, 2
_QUOTED_BYTES = 8
"""Of what follows the IP header: ports, or as much as tells whom it is about."""


def is_whole(frame: bytes) -> bool:
    """Whether it is a packet that is not to be cut: of IPv6, or of IPv4 with DF."""
    if frame[12:14] == IPV6:
        return len(frame) >= ETHERNET_BYTES + _IPV6_BYTES
    return (
        len(frame) >= ETHERNET_BYTES + _IPV4_LEAST
        and frame[12:14] == IPV4
        and bool(frame[20] & _DONT_FRAGMENT)
    )


def most(frame: bytes, mtu: int, takes: int) -> int:
    """The longest packet of its kind, on a network of `mtu`, where the way takes `takes`, which is no more."""
    if not is_whole(frame):
        return mtu
    return takes if frame[12:14] == IPV4 else min(mtu, max(takes, MTU6_LEAST))


def too_big(frame: bytes, mtu: int) -> bytes:
    """The answer to who sent it: no more than `mtu` gets there. `is_whole` is true of the frame."""
    if frame[12:14] == IPV6:
        return _too_big6(frame, mtu)
    header_bytes = (frame[14] & 15) * 4
    quoted = frame[ETHERNET_BYTES : ETHERNET_BYTES + header_bytes + _QUOTED_BYTES]
    check = ~summed(_ICMP.pack(_UNREACHABLE, _TOO_BIG, 0, 0, mtu) + quoted) & 0xFFFF
    message = _ICMP.pack(_UNREACHABLE, _TOO_BIG, check, 0, mtu) + quoted
    length, source, target = _IPV4_LEAST + len(message), frame[30:34], frame[26:30]
    head = (0x45, 0, length, 0, 0, 64, 1)
    check = ~summed(_IP.pack(*head, 0, source, target)) & 0xFFFF
    packet = _IP.pack(*head, check, source, target) + message
    return frame[6:12] + frame[0:6] + IPV4 + packet


def _too_big6(frame: bytes, mtu: int) -> bytes:
    source, target = frame[38:54], frame[22:38]
    quoted = frame[ETHERNET_BYTES : ETHERNET_BYTES + _IPV6_BYTES + _QUOTED_BYTES]
    message = _ICMP6.pack(_TOO_BIG6, 0, 0, mtu) + quoted
    pseudo = source + target + struct.pack(">II", len(message), _ICMPV6)
    message = _ICMP6.pack(_TOO_BIG6, 0, ~summed(pseudo + message) & 0xFFFF, mtu) + quoted
    head = _IP6.pack(0x6000_0000, len(message), _ICMPV6, 64, source, target)
    return frame[6:12] + frame[0:6] + IPV6 + head + message


def clamped(frame: bytes, mtu: int, is_summed: bool) -> bytes:
    """The frame; if it begins a connection, its sender takes what fits `mtu` in one segment, or less.

    `is_summed`: its checksum covers the header, so it changes with it.
    """
    start = tcp_start(frame)
    end = headers_end(frame, start) if start and frame[start + 13] & _SYN else 0
    at, segment = start + 20, mtu - (HEADERS6_BYTES if frame[12:14] == IPV6 else HEADERS_BYTES)
    while at + _MAXSEG_BYTES <= end and frame[at] != _END:
        size = 1 if frame[at] == _NOTHING else frame[at + 1]
        if frame[at] == _MAXSEG and size == _MAXSEG_BYTES:
            return _lowered(frame, start, at + 2, segment, is_summed)
        if not size:
            break
        at += size
    return frame


def _lowered(frame: bytes, start: int, at: int, most: int, is_summed: bool) -> bytes:
    (told,) = _U16.unpack_from(frame, at)
    if told <= most:
        return frame
    made = bytearray(frame)
    _U16.pack_into(made, at, most)
    if is_summed:
        # An option may begin anywhere, and then its bytes are the halves of two words.
        before, after = (told, most) if at % 2 == start % 2 else (_swapped(told), _swapped(most))
        (check,) = _U16.unpack_from(made, start + TCP_CSUM_OFFSET)
        _U16.pack_into(made, start + TCP_CSUM_OFFSET, changed(check, before, after))
    return bytes(made)


def _swapped(word: int) -> int:
    return (word & 0xFF) << 8 | word >> 8
