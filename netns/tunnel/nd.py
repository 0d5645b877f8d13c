"""Neighbour discovery for members at other hosts, answered here as ARP is (RFC 4861).

A member's IPv6 address is its network's prefix with its IPv4 address behind (`address6` in netns/model.py), so
what answers ARP answers this.
"""

import struct
from collections.abc import Mapping

from netns.tunnel.checksum import summed
from netns.tunnel.cut import IPV6

PREFIX_BYTES = 12
"""Of a network: all of an address but the IPv4 address at its end."""
_START = 54
_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_IP = struct.Struct(">IHBB16s16s")
_PACKET = struct.Struct(">BBHI16s")
_TO_LINK = b"\x02\x01"
"""The option of the target's link-layer address, in units of eight bytes."""
_SOLICITED_AND_OVERRIDES = 0x6000_0000
_LEAST = _START + _PACKET.size


def is_question(frame: bytes) -> bool:
    """Whether a frame asks for a neighbour. None of those leaves the host."""
    return (
        len(frame) >= _LEAST
        and frame[12:14] == IPV6
        and frame[20] == _ICMPV6
        and frame[_START] == _SOLICITATION
    )


def answer(frame: bytes, prefix: bytes, remote: Mapping[bytes, bytes]) -> bytes | None:
    """The reply to a question for a member elsewhere; None if there is none. `remote` has MACs by IPv4 address.

    Who asks from no address asks whether somebody has its own (RFC 4862): nobody has.
    """
    *_, source, _ = _IP.unpack_from(frame, 14)
    target = frame[62:78]
    found = remote.get(target[PREFIX_BYTES:])
    if (
        not prefix
        or target[:PREFIX_BYTES] != prefix
        or found is None
        or source in (bytes(16), target)
    ):
        return None
    says = _PACKET.pack(_ADVERTISEMENT, 0, 0, _SOLICITED_AND_OVERRIDES, target) + _TO_LINK + found
    check = ~summed(target + source + struct.pack(">II", len(says), _ICMPV6) + says) & 0xFFFF
    header = _IP.pack(0x6000_0000, len(says), _ICMPV6, 255, target, source)
    return frame[6:12] + found + IPV6 + header + says[:2] + struct.pack(">H", check) + says[4:]
