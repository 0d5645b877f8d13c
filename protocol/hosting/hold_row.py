"""What is on disk of a host's holds, and what became of what they are for."""

from enum import StrEnum

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.grid.exposed import ExposedPort
from protocol.grid.record import (
    ApplyTerms,
    GridRecord,
    GridState,
    Register,
    attempt_of,
    change_terms,
    was_decided,
)
from protocol.grid.steps import Decline, Step, against
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.order import MAX_VALID_S, SignedOrder, read_order


class HoldRow(msgspec.Struct, frozen=True):
    """What is on disk for the holds of one grid on this host."""

    grid: GridId
    key: str
    owner: KeyId
    name: str
    order: SignedOrder
    workspaces: tuple[str, ...]
    stewards: tuple[PeerId, ...]
    vnis: tuple[tuple[str, int], ...]
    until_s: float
    start_s: float = 0.0
    """When the lease is to begin; 0 if that is when it is committed."""
    window: Window = Window(0.0, 1e12, 1e12)
    """The time that is held for it in the timetable."""
    yields: bool = False
    """Whether it is best-effort work that can be suspended here."""
    owner_site: str = ""
    plan: bool = False
    """Whether it is a plan, which nobody can commit and which ends by itself."""
    requester: str = ""
    """The peer that asked for it: only that one lets go of it, or says that it is decided. Rows of older builds
    do not say it; then it is anybody."""
    asked: bytes = b""
    """What shows to stewards that this host was asked (grid/asked.py)."""
    change: SignedOrder | None = None
    """The order to apply, or to hold a change, for which it is held; None if a grid is to be made. With it,
    `grid` is the attempt at it, and `order` the one that made the grid."""
    of: GridId = GridId("")
    """The grid that is to be changed."""
    takes: tuple[tuple[str, Quantum], ...] = ()
    """For a change: what each of `workspaces` takes beside what a lease has here already."""
    ends_s: float = 0.0
    """For a change of a grid of which nothing was here: when its lease ends, Unix seconds."""
    exposes: tuple[ExposedPort, ...] = ()
    """The ports of this host at which its workspaces will be reached."""
    grows: bool = False
    """Whether room came for it, so that `change` is the order by which the grid stands already."""

    @property
    def of_epoch(self) -> int:
        """The epoch of the grid that the change for which it is held is made of."""
        terms = self.terms if not self.grows else None
        return terms.epoch if terms is not None else attempt_of(self.grid)

    @property
    def ordered(self) -> SignedOrder:
        """The order for which it is held."""
        return self.change or self.order

    @property
    def terms(self) -> ApplyTerms | None:
        """What the change is; None if a grid is to be made. Raises Malformed."""
        return change_terms(read_order(self.change)) if self.change is not None else None


class Fate(StrEnum):
    """What became of a change for which something is held."""

    OPEN = "open"
    DECIDED = "decided"
    VOID = "void"
    """It can never be decided any more."""


def fate(row: HoldRow, register: Register) -> Fate:
    """What a grid's register says of the change for which that is held.

    An order to apply is for one epoch. A grid that is beyond that without it, that is another one of its order,
    or that is down, never follows it.
    """
    record = register.record
    if record is None:
        return Fate.VOID if register.is_void(row.of) else Fate.OPEN
    if record.id != row.of or record.state is GridState.DOWN:
        return Fate.VOID
    if was_decided(record, row.grid):
        return Fate.DECIDED
    beyond = row.change is not None and record.epoch > row.of_epoch
    return Fate.VOID if beyond or register.is_declined(row.grid) else Fate.OPEN


def of_networks(record: GridRecord, row: HoldRow) -> bool:
    """Whether a record has the VXLAN ids that are held. In a changed grid networks may have come and gone."""
    if record.applied is None:
        return record.vnis == row.vnis
    ids = dict(record.vnis)
    return all(ids.get(network, vni) == vni for network, vni in row.vnis)


def made_until_s(row: HoldRow) -> float:
    """Until when the grid that is to be changed could still be made, Unix seconds, by any clock."""
    order = read_order(row.order)
    return order.issued_at_s + order.valid_s + 2 * MAX_VALID_S


def vote_against(row: HoldRow) -> Step:
    """What the stewards are to decide of a hold whose time is up."""
    if row.change is None:
        return against(row.grid, row.asked)
    by = PeerId(row.requester) if row.grows else PeerId("")
    return Decline(row.of, row.grid, row.change, row.asked, by)


class HoldNotSaved(msgspec.Struct, frozen=True):
    """The store refused a hold. It was not promised, and the requester is told why."""

    grid: GridId
    workspaces: tuple[str, ...]
    requester: PeerId
    instead: str = ""
    why: str = "the host's store has no room for another promise"
