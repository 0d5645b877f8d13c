"""The Internet checksum, as far as cutting and gluing need it (RFC 1071, RFC 1624)."""

import struct

_WORDS = struct.Struct(">4H")
_TCP = 6


def changed(check: int, before: int, after: int) -> int:
    """A checksum after one 16-bit word under it changed. One that was wrong stays wrong (RFC 1624, eqn. 3)."""
    total = (~check & 0xFFFF) + (~before & 0xFFFF) + after
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def pseudo(addresses: bytes, length: int) -> int:
    """The sum of TCP's pseudo-header over IPv4, not complemented: what a card that completes it starts from.

    `addresses` are source and destination, eight bytes; `length` is that of the TCP header and its data.
    """
    one, two, three, four = _WORDS.unpack(addresses)
    total: int = one + two + three + four + _TCP + length
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)
