"""The header of virtio that stands before each frame on a tap: what is left to the card (virtio 1.2, 5.1.6).

Numbers have the byte order of the host.
"""

import struct
from typing import NamedTuple

VNET_BYTES = 10
NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_ECN = 0, 1, 4, 0x80
PLAIN = bytes(VNET_BYTES)
"""Nothing is left to do."""
_HEADER = struct.Struct("=BBHHHH")


class Vnet(NamedTuple):
    """`gso_size` is the data in each segment. `hdr_len` is a hint that nobody believes."""

    flags: int
    gso_type: int
    hdr_len: int
    gso_size: int
    csum_start: int
    csum_offset: int


def vnet(raw: bytes) -> Vnet:
    """The header that a frame from a tap begins with."""
    return Vnet._make(_HEADER.unpack_from(raw))


def written(
    flags: int, gso_type: int, hdr_len: int, gso_size: int, start: int, offset: int
) -> bytes:
    """The header before a frame for a tap."""
    return _HEADER.pack(flags, gso_type, hdr_len, gso_size, start, offset)
