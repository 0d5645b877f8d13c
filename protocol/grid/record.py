"""The grid record: what a grid's stewards keep, and the changes it may undergo.

There is one register for each (owner, grid name). Its value is a `Register`: the newest record under that
name, if any, and the ids that may never become a grid. Those were voted down because their holds ran out
undecided, or were used up before. The record is the contract: once a majority of stewards has it, all its
holds are leases.

Each change carries an epoch, one more than before. Hosts act only on the newest epoch they have seen.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from protocol.grid.grant import SignedGrant
from protocol.grid.limits import LEASE_S_MAX
from protocol.grid.model import GridSpec
from protocol.terms.ids import GridId, KeyId, PeerId, short_hash
from protocol.terms.limits import (
    CHANGES_MOST,
    PLAN_HOLD_LEAST_S,
    PLAN_HOLD_MOST_S,
    VOIDED,
)
from protocol.terms.ranges import Amount, Count, Moment, Name, Number
from protocol.trust.order import MAX_VALID_S, Action, Order, SignedOrder, order_id, read_order
from protocol.wire.codec import Malformed, MalformedReason, decode, encode


class GridState(StrEnum):
    """What the record wants."""

    UP = "up"
    DOWN = "down"


class HostRef(msgspec.Struct, frozen=True):
    """A host, and what it is called. Where it is, only its presence says (tunnel.py)."""

    peer: PeerId
    name: Name
    site: Name


class Assignment(msgspec.Struct, frozen=True, array_like=True):
    """Which host carries a workspace."""

    workspace: Name
    host: PeerId


class GridRecord(msgspec.Struct, frozen=True):
    """One grid. `order` is the signed request, with the whole specification in its body."""

    id: GridId
    name: Name
    owner: KeyId
    owner_site: Name
    epoch: Number
    state: GridState
    order: SignedOrder
    stewards: tuple[PeerId, ...]
    hosts: tuple[HostRef, ...]
    assignments: tuple[Assignment, ...]
    vnis: tuple[tuple[Name, Count], ...]
    """(network name, VXLAN id) pairs."""
    start_s: Moment = 0.0
    """When a reservation or deadline begins, Unix seconds. 0: the lease begins when each host learns of it."""
    extra_s: Amount = 0
    """By how many seconds its lease was extended since (negative: shortened): the sum of `changes`."""
    changes: tuple[SignedOrder, ...] = ()
    """Orders that changed it since: the authority for what is no longer as first asked."""
    grants: tuple[SignedGrant, ...] = ()
    """What each of `hosts` promised, in the same order. Records of older builds have none."""

    def host(self, peer: PeerId) -> HostRef:
        """A host of this record. Raises KeyError if it carries nothing."""
        for host in self.hosts:
            if host.peer == peer:
                return host
        raise KeyError(peer)

    def on(self, peer: PeerId) -> tuple[str, ...]:
        """The names of the workspaces a host carries."""
        return tuple(a.workspace for a in self.assignments if a.host == peer)

    def carriers(self) -> tuple[PeerId, ...]:
        """Hosts that carry anything, each once."""
        return tuple(dict.fromkeys(a.host for a in self.assignments))


class LeaseChange(msgspec.Struct, frozen=True):
    """Body of an order to extend a lease or, if negative, to shorten it."""

    by_s: int


class HoldTerms(msgspec.Struct, frozen=True):
    """Body of an order to hold what an `up` of this grid would need, for so long by each host's clock."""

    spec: GridSpec
    hold_s: float


class Void(msgspec.Struct, frozen=True, array_like=True):
    """An id that may not become a grid, remembered until no fresh order can carry it."""

    grid: str
    """A GridId, or the order part of one if no attempt of that order may become a grid."""
    until_s: float


class Register(msgspec.Struct, frozen=True):
    """The value of a grid name's register."""

    record: GridRecord | None = None
    voided: tuple[Void, ...] = ()

    def is_void(self, grid: GridId) -> bool:
        """Whether that id was voted down or used up."""
        return any(void.grid in (grid, order_part(grid)) for void in self.voided)

    def twice_given(self, grid: GridId, stewards: tuple[PeerId, ...]) -> bool:
        """Whether the register has another grid of its name, though that one was never taken down.

        Two sides of a partition can both give a name, each with stewards of its own. Once a steward of both is
        heard again, stewards of one grid may know the other only. One set of stewards keeps one order of grids,
        and a grid that was taken down before the name was given again is void.
        """
        other = self.record
        if other is None or other.id == grid or set(other.stewards) == set(stewards):
            return False
        return not self.is_void(grid)


Change = Callable[[bytes], bytes]


def register_key(owner: KeyId, name: str) -> str:
    """The register of a grid name."""
    return f"{owner}/{name}"


def grid_id(order: SignedOrder, attempt: int = 0, requester: str = "") -> GridId:
    """The id of the grid that an `up` order makes at that attempt of that requester.

    An attempt that was voted down can never become a grid, so the next one has an id of its own. So has
    another requester with the same order: two that are cut off from each other may ask different stewards,
    and a workspace of one grid must not be on two hosts.
    """
    tag = f"-{short_hash(requester, digits=6)}" if requester else ""
    return GridId(f"{order_id(order)[:20]}.{attempt}{tag}")


def succeeds(record: GridRecord, before: GridRecord) -> bool:
    """Whether a grid may have got the name of another after that was taken down: it was ordered later.

    A record of one that had the name before was genuine once, and its epoch is nobody's word.
    """
    names = [register_key(r.owner, r.name) for r in (before, record)]
    since, later = (read_order(r.order).issued_at_s for r in (before, record))
    return names[0] == names[1] and later > since


def order_part(grid: GridId) -> str:
    """The part that the ids of all attempts of one order share."""
    return grid.partition(".")[0]


def is_about(grid: GridId, said: str) -> bool:
    """Whether an order that names `said` is about that grid.

    It names its id, or what the ids of all attempts of its order begin with. Either
    follows from the signed order that made it, so no order names a later grid.
    """
    return said in (grid, order_part(grid))


def lease_change(signed: SignedOrder) -> LeaseChange:
    """What an order to change a lease says. Raises Malformed."""
    change = decode(read_order(signed).body, LeaseChange)
    if not 0 < abs(change.by_s) <= LEASE_S_MAX:
        raise Malformed(MalformedReason.BAD_SHAPE, "a lease is changed by a second to a year")
    return change


def extension_id(signed: SignedOrder) -> GridId:
    """The id under which an undecided extension is voted down."""
    return GridId(order_id(signed)[:20])


def spec_of(order: Order) -> GridSpec:
    """The specification in an order to bring up or to hold. Raises Malformed if there is none."""
    if order.action is Action.HOLD:
        return hold_terms(order).spec
    return decode(order.body, GridSpec)


def hold_terms(order: Order) -> HoldTerms:
    """What an order to hold says. Raises Malformed."""
    terms = decode(order.body, HoldTerms)
    if not PLAN_HOLD_LEAST_S <= terms.hold_s <= PLAN_HOLD_MOST_S:
        least, most = PLAN_HOLD_LEAST_S, PLAN_HOLD_MOST_S
        why = f"a plan is held for {least:.0f} to {most:.0f} s"
        raise Malformed(MalformedReason.BAD_SHAPE, why)
    return terms


def vni_of(grid: GridId, network: str) -> int:
    """A VXLAN id (24 bits, never 0), derived so that two requesters rarely pick the same.

    If they do, a host refuses the second hold, and that requester's next attempt derives another id.
    """
    return int(short_hash(grid, network, digits=6), 16) or 1


def read_register(value: bytes) -> Register:
    """A register's value. Empty bytes are a register that was never written."""
    return decode(value, Register) if value else Register()


def committing(record: GridRecord) -> Change:
    """Makes the grid, unless its id is void or its name is taken."""

    def change(value: bytes) -> bytes:
        register = read_register(value)
        old = register.record
        if register.is_void(record.id) or (old is not None and old.state is GridState.UP):
            return value
        if old is not None and order_part(old.id) == order_part(record.id):
            return value
        epoch = old.epoch + 1 if old is not None else 1
        made = msgspec.structs.replace(record, epoch=epoch)
        voided = register.voided if old is None else _voiding(register.voided, old, record)
        return encode(Register(made, voided))

    return change


def _voiding(voided: tuple[Void, ...], used: GridRecord, by: GridRecord) -> tuple[Void, ...]:
    """The old id is used up. It is remembered for as long as its order, or any of that age, can be fresh."""
    order = read_order(used.order)
    valid_until_s = order.issued_at_s + order.valid_s
    until_s = max(read_order(by.order).issued_at_s + 2 * MAX_VALID_S, valid_until_s)
    return (*voided, Void(order_part(used.id), until_s))[-VOIDED:]


def voiding(grid: GridId, now_s: float, until_s: float = 0.0) -> Change:
    """Votes an undecided grid down, or all attempts of an order, until then at least. A decided one stays."""

    def change(value: bytes) -> bytes:
        register = read_register(value)
        old = register.record
        if register.is_void(grid) or (old is not None and is_about(old.id, grid)):
            return value
        kept = tuple(void for void in register.voided if void.until_s > now_s)
        void = Void(grid, max(until_s, now_s + 2 * MAX_VALID_S))
        return encode(Register(register.record, (*kept, void)[-VOIDED:]))

    return change


def ending(grid: GridId, order: SignedOrder) -> Change:
    """Takes a grid down. One that is down because its time is over gets the order as well: a host by whose
    clock it is not over goes by that."""

    def change(value: bytes) -> bytes:
        register = read_register(value)
        old = register.record
        if old is None or old.id != grid or _ordered_down(old):
            return value
        ended = msgspec.structs.replace(
            old, epoch=old.epoch + 1, state=GridState.DOWN, changes=(*old.changes, order)
        )
        return encode(Register(ended, register.voided))

    return change


def _ordered_down(record: GridRecord) -> bool:
    down = record.state is GridState.DOWN
    return down and any(read_order(signed).action is Action.DOWN for signed in record.changes)


def lapsing(grid: GridId) -> Change:
    """Takes down a grid whose lease and grace are over. No order is needed: every host's clock says so."""

    def change(value: bytes) -> bytes:
        register = read_register(value)
        old = register.record
        if old is None or old.id != grid or old.state is GridState.DOWN:
            return value
        ended = msgspec.structs.replace(old, epoch=old.epoch + 1, state=GridState.DOWN)
        return encode(Register(ended, register.voided))

    return change


def extending(grid: GridId, order: SignedOrder) -> Change:
    """Extends or shortens a lease, once, unless the change was voted down."""

    def change(value: bytes) -> bytes:
        register = read_register(value)
        old = register.record
        if old is None or old.id != grid or old.state is GridState.DOWN:
            return value
        if order_id(order) in [order_id(changed) for changed in old.changes]:
            return value
        if register.is_void(extension_id(order)) or len(old.changes) >= CHANGES_MOST:
            return value
        longer = msgspec.structs.replace(
            old,
            epoch=old.epoch + 1,
            extra_s=old.extra_s + lease_change(order).by_s,
            changes=(*old.changes, order),
        )
        return encode(Register(longer, register.voided))

    return change


def removing(grid: GridId, workspace: str, order: SignedOrder) -> Change:
    """Takes one workspace out of a grid."""

    def change(value: bytes) -> bytes:
        register = read_register(value)
        old = register.record
        if old is None or old.id != grid or old.state is GridState.DOWN:
            return value
        left = tuple(a for a in old.assignments if a.workspace != workspace)
        if len(left) == len(old.assignments):
            return value
        less = msgspec.structs.replace(
            old, epoch=old.epoch + 1, assignments=left, changes=(*old.changes, order)
        )
        return encode(Register(less, register.voided))

    return change


ALL_ASKED = 2
"""So few stewards are all needed for a majority. If they know nothing of a record, nobody does."""


def restoring(record: GridRecord) -> Change:
    """Writes a record that was decided once into a register that has lost it. Anything there is left alone.

    Only where a majority is everybody (ALL_ASKED): with more stewards one that is away may know more.
    """

    def change(value: bytes) -> bytes:
        register = read_register(value)
        if register.record is not None or register.is_void(record.id):
            return value
        return encode(Register(record, register.voided))

    return change


def unchanged(value: bytes) -> bytes:
    """A read, as a round that changes nothing. Raises Malformed if there is no register to read."""
    read_register(value)
    return value
