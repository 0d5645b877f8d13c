"""What a machine is given to keep: enough for a host that lost its memory to find out whose the machine is.

It is written on the machine itself (in the hypervisor's metadata), so it is there as long as the machine is,
and as old as the machine's start. So it is a beginning only: what has become of the grid since, its stewards
know. It is this host's own word to itself, and nobody else can write it.
"""

import msgspec

from protocol.grid.record import name_key
from protocol.hosting.lease import Lease
from protocol.terms.ids import PeerId
from protocol.terms.limits import KEEPSAKE_BYTES
from protocol.wire.codec import Malformed, decode, encode


class Keepsake(msgspec.Struct, frozen=True):
    """Whom to ask about a machine, and what its host had promised."""

    key: str
    """What its grid's name is known by."""
    name: str
    """The name of its grid."""
    stewards: tuple[PeerId, ...]
    lease: Lease | None = None
    """What this host carried of the grid; None if that is too large to be kept twice."""


def keepsake_of(row: Lease) -> bytes:
    """What the machines of a lease are given, at most KEEPSAKE_BYTES."""
    record = row.record
    key = name_key(record.owner, record.name)
    whole = encode(Keepsake(key, record.name, row.stewards, row))
    if len(whole) <= KEEPSAKE_BYTES:
        return whole
    return encode(Keepsake(key, record.name, row.stewards))


def read_keepsake(kept: bytes) -> Keepsake | None:
    """What a machine was given; None if it was given nothing, or something that cannot be read any more."""
    try:
        return decode(kept, Keepsake) if kept else None
    except Malformed:
        return None
