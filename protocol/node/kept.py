"""What a peer has on disk, for who must look at it without the peer: is it whole, and what is it about."""

import msgspec

from protocol.hosting.hold_row import HoldRow
from protocol.hosting.holds import TABLE as HELD
from protocol.hosting.keepsake import read_keepsake
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE as CARRIED
from protocol.peering.announcer import TABLE as SELF
from protocol.peering.announcer import begun_anew
from protocol.register.slot import TABLE as REGISTERS
from protocol.register.slot import Slot
from protocol.terms.ids import GridId, PeerId
from protocol.wire.codec import Malformed, decode

__all__ = ["SELF", "Asked", "asked_of", "begun_anew", "carried_in", "is_whole", "raised"]

_SHAPES: dict[str, type[msgspec.Struct]] = {CARRIED: Lease, HELD: HoldRow, REGISTERS: Slot}


class Asked(msgspec.Struct, frozen=True):
    """Who is to be asked about a machine, by what it keeps of its lease."""

    name: str
    """The name of its grid."""
    stewards: tuple[PeerId, ...]


def is_whole(table: str, value: bytes) -> bool:
    """Whether a row of the store can be read. Only of promises, leases and registers is that looked at."""
    shape = _SHAPES.get(table)
    if shape is None:
        return True
    try:
        decode(value, shape)
    except Malformed:
        return False
    return True


def carried_in(rows: dict[str, dict[str, bytes]]) -> dict[GridId, str]:
    """The grids that a store says its host carries, and their names. Every row must be whole."""
    leases = [decode(value, Lease) for value in rows.get(CARRIED, {}).values()]
    return {lease.record.id: lease.record.name for lease in leases}


def asked_of(keepsake: bytes) -> Asked | None:
    """Who is to be asked about a machine that was given this to keep; None if it says nothing."""
    kept = read_keepsake(keepsake)
    return Asked(kept.name, kept.stewards) if kept is not None else None


def raised(
    rows: dict[str, dict[str, bytes]], now: float, store: str
) -> dict[str, dict[str, bytes]]:
    """The rows, of which the newest may be missing, as those of another store, with an incarnation above all
    that others remember."""
    anew = begun_anew(now, store)[SELF]
    return rows | {SELF: rows.get(SELF, {}) | anew}
