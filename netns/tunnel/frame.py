"""A sealed frame as it stands in a UDP datagram. All numbers are big-endian.

    type u8 (1) | three zero bytes | receiver's session index u32 | counter u64     16 bytes, authenticated
    flags u8 | VNI u24 | csum_start u16 | csum_offset u16                            8 bytes, sealed
    the Ethernet frame                                                               sealed
    tag                                                                             16 bytes

The nonce is bytes 4 to 16: index and counter. A session's keys seal in one direction only and a counter is
never used twice, so no nonce is. The whole header is authenticated.

By way of a relay, the first four bytes are others while it is under way: type 2 and the number of a pair (u24)
asks the relay to pass it on, type 3 and the number says that it did. Who opens it puts type 1 and zeros back.

Flag NEEDS_CSUM: the checksum field at csum_start + csum_offset holds the sum of the pseudo-header alone, and
whoever gives the frame to a card that wants more completes it over what follows csum_start (virtio's rule).
"""

import struct
from typing import NamedTuple

FRAME = 1
"""The type of every sealed frame, as it is sealed."""
RELAY, RELAYED = 2, 3
"""Types of one that a relay is to pass on, and of one that a relay did."""
HEADER_BYTES, INNER_BYTES, TAG_BYTES, ETHERNET_BYTES = 16, 8, 16, 14
SEALED_BYTES = HEADER_BYTES + INNER_BYTES + TAG_BYTES
"""What sealing adds to an Ethernet frame. With that one's 14 and 28 for IPv4 and UDP, a packet grows by 82."""
NEEDS_CSUM = 1
PROBE_VNI = 0
"""Of no network: what is sealed is a probe, or its answer (probes.py)."""
PROBE_BYTES = 28
"""What either has at least behind the eight bytes."""

_HEADER = struct.Struct(">B3sIQ")
_INNER = struct.Struct(">IHH")
_ZERO = bytes(3)


class Inner(NamedTuple):
    """What was sealed. `csum_start` and `csum_offset` are 0 unless `flags` has NEEDS_CSUM."""

    flags: int
    vni: int
    csum_start: int
    csum_offset: int
    frame: bytes


def header(index: int, counter: int) -> bytes:
    """The 16 bytes before what is sealed. The last twelve are the nonce."""
    return _HEADER.pack(FRAME, _ZERO, index, counter)


def addressed(datagram: bytes) -> tuple[int, int] | None:
    """The session's index and the counter; None if it is no sealed frame, whatever it says."""
    if len(datagram) < SEALED_BYTES + ETHERNET_BYTES:
        return None
    kind, pair, index, counter = _HEADER.unpack_from(datagram)
    if kind != (RELAYED if pair != _ZERO else FRAME):
        return None
    return index, counter


def pair_of(datagram: bytes, kind: int) -> int:
    """The number of the pair, if it is of that kind, RELAY or RELAYED; else 0."""
    if len(datagram) < SEALED_BYTES + ETHERNET_BYTES or datagram[0] != kind:
        return 0
    return int.from_bytes(datagram[1:4])


def paired(datagram: bytes, kind: int, pair: int) -> bytes:
    """The same datagram as it goes to a relay, or from it. With pair 0 it goes as it is."""
    return bytes([kind]) + pair.to_bytes(3) + datagram[4:] if pair else datagram


def inner_header(flags: int, vni: int, csum_start: int, csum_offset: int) -> bytes:
    """The eight bytes before the frame, to be sealed with it."""
    return _INNER.pack(flags << 24 | vni, csum_start, csum_offset)


def inner(opened: bytes) -> Inner | None:
    """What was sealed, taken apart; None if it makes no sense."""
    word, csum_start, csum_offset = _INNER.unpack_from(opened)
    flags, frame = word >> 24, opened[INNER_BYTES:]
    if flags == NEEDS_CSUM:
        if csum_start < ETHERNET_BYTES or csum_start + csum_offset + 2 > len(frame):
            return None
    elif flags or csum_start or csum_offset:
        return None
    return Inner(flags, word & 0xFF_FFFF, csum_start, csum_offset, frame)
