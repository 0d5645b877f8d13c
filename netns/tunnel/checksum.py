"""The Internet checksum, as far as the forwarder needs it (RFC 1071, RFC 1624)."""

import struct

_WORDS = {8: struct.Struct(">4H"), 32: struct.Struct(">16H")}
_TCP = 6


def changed(check: int, before: int, after: int) -> int:
    """A checksum after one 16-bit word under it changed. One that was wrong stays wrong (RFC 1624, eqn. 3)."""
    total = (~check & 0xFFFF) + (~before & 0xFFFF) + after
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def summed(data: bytes) -> int:
    """The sum of 16-bit words, not complemented. An odd last byte is the higher half of a word."""
    words = memoryview(data + bytes(len(data) % 2))
    total = sum(word << 8 | byte for word, byte in zip(words[::2], words[1::2], strict=True))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(addresses: bytes, length: int) -> int:
    """The sum of TCP's pseudo-header, not complemented: what a card that completes it starts from.

    `addresses` are source and destination, 8 bytes of IPv4 or 32 of IPv6; `length` is that of the TCP header
    and its data, below 65,536.
    """
    total: int = sum(_WORDS[len(addresses)].unpack(addresses)) + _TCP + length
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)
