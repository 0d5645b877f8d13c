"""The changes that an order's register may undergo. They are data: who wants one sends it to a steward.

Each is safe to be made twice, since who asks one steward in vain asks the next. `apply` says what follows
from one by arithmetic; whether the owner's orders allow it is contract/judging.py's to say.
"""

from typing import Annotated, assert_never

import msgspec
from msgspec import Meta

from protocol.capacity.allotments import Allot, allotted
from protocol.grid.record import (
    GridRecord,
    GridState,
    Register,
    Void,
    attempt_of,
    extension_id,
    lease_change,
    was_decided,
)
from protocol.grid.seal import Closing, Seal, Seats, Signature, succeeds
from protocol.terms.ids import GridId, PeerId, StoreId
from protocol.terms.limits import ATTEMPT_MOST, CHANGES_MOST, SEALS_MOST, VOIDED
from protocol.trust.certificate import Chain
from protocol.trust.order import MAX_VALID_S, Action, SignedOrder, order_id, read_order


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """Make this attempt the grid, unless it was voted down or another was first."""

    record: GridRecord


class Vote(msgspec.Struct, frozen=True, tag="void"):
    """A vote against all attempts below `first`. A grid that was decided stays.

    Who only was asked to hold `attempt` votes against that one, and shows that it was asked (asked.py).
    """

    first: Annotated[int, Meta(ge=0, le=ATTEMPT_MOST)]
    attempt: GridId = GridId("")
    asked: Signature = b""


class End(msgspec.Struct, frozen=True, tag="end"):
    """Take the grid down. One that is down because its time is over gets the order as well: a host by whose
    clock it is not over goes by that."""

    grid: GridId
    order: SignedOrder
    undecided: bool = False
    """Whether the grid may be undecided yet. Then no attempt of its order ever becomes one."""


class Lapse(msgspec.Struct, frozen=True, tag="lapse"):
    """Take down a grid whose lease and grace are over. No order is needed: every carrier's clock says so."""

    grid: GridId


class Extend(msgspec.Struct, frozen=True, tag="extend"):
    """Extend or shorten the lease, once, unless that was voted down."""

    grid: GridId
    order: SignedOrder


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """Make the grid what this record says, in its next epoch, unless that attempt was voted down or another
    change was first."""

    record: GridRecord


class Rescale(msgspec.Struct, frozen=True, tag="rescale"):
    """Make an elastic grid as large as this record says, in its next epoch: room came, or others need it.

    Only who carries the grid may ask for it. Nothing happens if that attempt was voted down, or another change
    was first.
    """

    record: GridRecord


class Decline(msgspec.Struct, frozen=True, tag="decline"):
    """A vote against an extension, or an attempt to apply, that is not decided.

    Who does not carry the grid shows its order, and, unless the order is for it, that it was asked for it.
    """

    grid: GridId
    extension: GridId
    order: SignedOrder | None = None
    asked: Signature = b""
    by: PeerId = PeerId("")
    """Who asked, where that is no peer that the order is for, but a host of the grid for which room came."""


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Take one workspace out of the grid."""

    grid: GridId
    workspace: str
    order: SignedOrder


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Change nothing: bring what one steward may have to a majority."""


class Replace(msgspec.Struct, frozen=True, tag="replace"):
    """Replace a steward that is gone: close the present set. A steward takes this from itself alone.

    A host that has another store now than its seat's is gone as well, and may be its own heir.
    """

    gone: PeerId
    heir: PeerId
    chain: Annotated[Chain, Meta(max_length=2)]
    """The certificates of the heir."""
    store: StoreId = StoreId("")
    """The one that the heir has."""


Step = (
    Commit
    | Vote
    | End
    | Lapse
    | Extend
    | Apply
    | Rescale
    | Decline
    | Remove
    | Finish
    | Replace
    | Allot
)


def against(grid: GridId, asked: bytes = b"") -> Vote:
    """The vote against an attempt and all before it; of a host, with what shows that it was `asked`."""
    return Vote(min(attempt_of(grid) + 1, ATTEMPT_MOST), grid if asked else GridId(""), asked)


def apply(step: Step, register: Register, now_s: float) -> Register:
    """What the register is after the step; the same if the step does not apply to it.

    Nothing changes a register that is closed. Raises Malformed or Untrusted if an order in it cannot be read.
    """
    if register.closed is not None:
        return register
    match step:
        case Commit(record=record):
            return _committed(register, record)
        case Vote(first=first):
            if register.record is not None or first <= register.first:
                return register
            return msgspec.structs.replace(register, first=first)
        case End(grid=grid, undecided=undecided):
            if register.record is None and undecided:
                return apply(Vote(ATTEMPT_MOST), register, now_s)
            return _ended(register, step)
        case Lapse(grid=grid):
            old = _up(register, grid)
            return _next(register, old, state=GridState.DOWN) if old is not None else register
        case Extend():
            return _extended(register, step)
        case Apply(record=record):
            return _applied(register, record)
        case Rescale(record=record):
            return _rescaled(register, record)
        case Decline(grid=grid, extension=extension):
            return _declined(register, grid, extension, now_s)
        case Remove(grid=grid, workspace=workspace, order=order):
            old = _up(register, grid)
            if old is None or all(a.workspace != workspace for a in old.assignments):
                return register
            left = tuple(a for a in old.assignments if a.workspace != workspace)
            return _next(register, old, assignments=left, changes=(*old.changes, order))
        case Allot():
            after = allotted(register.counted, step)
            same = after == register.counted
            return register if same else msgspec.structs.replace(register, allotments=after)
        case Finish():
            return register
        case Replace():
            return _sealed(register, step)
        case _:
            assert_never(step)


def _up(register: Register, grid: GridId) -> GridRecord | None:
    record = register.record
    mine = record is not None and record.id == grid and record.state is GridState.UP
    return record if mine else None


def _next(register: Register, old: GridRecord, **changed: object) -> Register:
    record = msgspec.structs.replace(old, epoch=old.epoch + 1, **changed)
    return msgspec.structs.replace(register, record=record)


def _committed(register: Register, record: GridRecord) -> Register:
    attempt = attempt_of(record.id)
    if register.record is not None or attempt < register.first or attempt >= ATTEMPT_MOST:
        return register
    made = msgspec.structs.replace(record, epoch=1)
    return msgspec.structs.replace(register, record=made, declined=(), order=None)


def _ended(register: Register, step: End) -> Register:
    old = register.record
    if old is None or old.id != step.grid or _ordered_down(old):
        return register
    changes = (*old.changes, step.order)
    return _next(register, old, state=GridState.DOWN, changes=changes)


def _ordered_down(record: GridRecord) -> bool:
    down = record.state is GridState.DOWN
    return down and any(read_order(signed).action is Action.DOWN for signed in record.changes)


def _extended(register: Register, step: Extend) -> Register:
    old = _up(register, step.grid)
    if old is None or len(old.changes) >= CHANGES_MOST:
        return register
    if order_id(step.order) in [order_id(signed) for signed in old.changes]:
        return register
    if register.is_declined(extension_id(step.order)):
        return register
    extra_s = old.extra_s + lease_change(step.order).by_s
    return _next(register, old, extra_s=extra_s, changes=(*old.changes, step.order))


def _applied(register: Register, record: GridRecord) -> Register:
    old, applied = _up(register, record.id), record.applied
    if old is None or applied is None or record.epoch != old.epoch + 1:
        return register
    if register.is_declined(applied.attempt):
        return register
    return msgspec.structs.replace(register, record=record)


def _rescaled(register: Register, record: GridRecord) -> Register:
    old, scaled = _up(register, record.id), record.scaled
    if old is None or scaled is None or record.epoch != old.epoch + 1:
        return register
    if register.is_declined(scaled.attempt):
        return register
    return msgspec.structs.replace(register, record=record)


def _declined(register: Register, grid: GridId, extension: GridId, now_s: float) -> Register:
    old = register.record
    if old is None or old.id != grid or register.is_declined(extension):
        return register
    if any(extension_id(signed) == extension for signed in old.changes):
        return register
    if was_decided(old, extension):
        return register
    kept = tuple(void for void in register.declined if void.until_s > now_s)
    declined = (*kept, Void(extension, now_s + 2 * MAX_VALID_S))[-VOIDED:]
    return msgspec.structs.replace(register, declined=declined)


def _sealed(register: Register, step: Replace) -> Register:
    seats = register.seats
    heir = (step.heir, step.store)
    pairs = [heir if steward == step.gone else (steward, s) for steward, s in seats.pairs]
    heirs = Seats(tuple(peer for peer, _ in pairs), tuple(store for _, store in pairs))
    if register.term >= SEALS_MOST or not succeeds(heirs, seats):
        return register
    stores = heirs.stores if any(heirs.stores) else ()
    return msgspec.structs.replace(register, closed=Closing(heirs.members, step.chain, stores))


def opened(closed: Register, seals: tuple[Seal, ...]) -> Register:
    """What the heirs of a closed register begin with. `seals` lead to them."""
    return msgspec.structs.replace(closed, closed=None, seals=seals)
