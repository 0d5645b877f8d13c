"""The grid record: what a grid's stewards keep.

There is one register for each `up` order, and the order names its stewards. Its value is a `Register`: the
record of the one grid that the order made, if any, and the first attempt that may still become it. The others
were voted down because their holds ran out undecided. The record is the contract: once a majority of stewards
has it, all its holds are leases. steps.py has the changes it may undergo.

Each change carries an epoch, one more than before. Hosts act only on the newest epoch they have seen.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.capacity.allotments import Allotments
from protocol.grid.grant import SignedGrant, read_grant
from protocol.grid.limits import (
    APPLY_ORDER_BYTES,
    LEASE_S_MAX,
    PLACES_MOST,
    VOLUMES_KEPT_MOST,
    WORKSPACES_MAX,
)
from protocol.grid.model import GridSpec
from protocol.grid.seal import Closing, Seal, Seats, Signature, seats_of
from protocol.terms.ids import GridId, KeyId, PeerId, short_hash
from protocol.terms.limits import (
    ATTEMPT_MOST,
    PAST_CHARACTERS,
    PAST_MOST,
    PLAN_HOLD_LEAST_S,
    PLAN_HOLD_MOST_S,
    SEALS_MOST,
    VOIDED,
)
from protocol.terms.ranges import Amount, Count, Moment, Name, Number, Size
from protocol.trust.order import Action, Order, SignedOrder, order_key, read_order
from protocol.wire.codec import Malformed, MalformedReason, decode


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


class Past(msgspec.Struct, frozen=True, array_like=True):
    """A change that was decided, in the words of `overlayctl history`. It allows nothing."""

    epoch: Number
    action: Name
    at_s: Moment
    """When it was ordered, Unix seconds."""
    by: Name
    """The name of who signed it."""
    said: Annotated[str, Meta(max_length=PAST_CHARACTERS)] = ""
    """What it changed: `+2 worker, head-1 memory 4G > 8G`."""


class Places(msgspec.Struct, frozen=True, array_like=True):
    """The places of a cluster's workspaces on a network, from the first one on, each from 0 (addresses.py)."""

    network: Name
    cluster: Name
    positions: Annotated[tuple[Count, ...], Meta(max_length=WORKSPACES_MAX)]


class KeptVolume(msgspec.Struct, frozen=True, array_like=True):
    """A volume that has data: where it is, and which workspace uses it, or used it last."""

    volume: Name
    host: PeerId
    size_bytes: Size
    workspace: Name


class Applied(msgspec.Struct, frozen=True):
    """What a grid became after it was made: the last of the orders to apply a file to it."""

    order: SignedOrder
    attempt: GridId
    """The attempt of that order that was decided (`grid_id`). The grants it brought name it."""
    before: SignedOrder | None = None
    """The order by which the grid was what it was before; None for the one that made it."""
    places: Annotated[tuple[Places, ...], Meta(max_length=PLACES_MOST)] = ()
    """Where everything is on its networks: what stays keeps its address."""
    volumes: Annotated[tuple[KeptVolume, ...], Meta(max_length=VOLUMES_KEPT_MOST)] = ()
    """Every volume that had data then, also those that no workspace uses any more."""
    folded: Count = 0
    """How many of the record's `changes` are from before it was applied."""
    past: Annotated[tuple[Past, ...], Meta(max_length=PAST_MOST)] = ()
    """The changes decided last, this one included, the oldest first."""
    missing: Annotated[tuple[Name, ...], Meta(max_length=WORKSPACES_MAX)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """The workspaces of the order before that were not there when this was applied: left out, or terminated
    since. Without any, and in what older builds decided, there is no such field."""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """A host's word that it asked another one, or itself, for that attempt (asked.py)."""

    host: PeerId
    """Who was asked."""
    by: PeerId
    """A host of the grid."""
    attempt: GridId
    asked: Signature


class Scaled(msgspec.Struct, frozen=True):
    """How room changed the size of an elastic grid since its standing order (elastic.py)."""

    epoch: Number
    """In which epoch it did last."""
    attempt: GridId
    """The attempt of that. Its number is the epoch before, so what hosts granted for it is for no other."""
    steps: Count
    """How many epochs since the standing order room made."""
    words: Annotated[tuple[Word, ...], Meta(max_length=2 * WORKSPACES_MAX)] = ()
    """For each host whose grant is for such an attempt: which of the grid's hosts asked for it, and which other
    one called it first."""
    told: Count = 0
    """How many of the record's `changes` are from before the last of them, and told of in `past`."""
    past: Annotated[tuple[Past, ...], Meta(max_length=PAST_MOST)] = ()
    """The changes decided last since the standing order, the oldest first."""


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
    """What each of `hosts` promised last, in the same order. Records of older builds have none."""
    became: Applied | msgspec.UnsetType = msgspec.UNSET
    """What it became since, as `applied` answers it. A grid that is as it was made has no such field: what was
    decided of it by older builds stays the same, byte for byte."""
    room: Scaled | msgspec.UnsetType = msgspec.UNSET
    """What room made of it since, as `scaled` answers it; there is no such field where it changed nothing."""

    @property
    def scaled(self) -> Scaled | None:
        """How room changed its size since its standing order; None if it did not."""
        return self.room if isinstance(self.room, Scaled) else None

    @property
    def applied(self) -> Applied | None:
        """What it became since; None while it is as it was made."""
        return self.became if isinstance(self.became, Applied) else None

    @property
    def standing(self) -> SignedOrder:
        """The order that says what the grid is now: its own, or the last one that was applied to it."""
        return self.applied.order if self.applied is not None else self.order

    @property
    def previous(self) -> SignedOrder | None:
        """The order that said what the grid was before the last apply; None if nothing was applied to it."""
        return (self.applied.before or self.order) if self.applied is not None else None

    @property
    def applied_epoch(self) -> int:
        """The epoch in which the last order was applied, or in which it was made."""
        return apply_terms(read_order(self.applied.order)).epoch + 1 if self.applied else 1

    @property
    def steps_by_room(self) -> int:
        """How many epochs since its standing order came by room, and by no order."""
        return self.scaled.steps if self.scaled is not None else 0

    @property
    def folded(self) -> int:
        """How many of `changes` are from before the last apply."""
        return self.applied.folded if self.applied is not None else 0

    @property
    def placed(self) -> dict[str, PeerId]:
        """Which host carries each workspace, in the order of `assignments`. Built anew each time."""
        return {a.workspace: a.host for a in self.assignments}

    def host(self, peer: PeerId) -> HostRef:
        """A host of this record. Raises KeyError if it carries nothing."""
        for host in self.hosts:
            if host.peer == peer:
                return host
        raise KeyError(peer)

    def names(self, peer: PeerId) -> bool:
        """Whether a peer is a host of this record."""
        return any(host.peer == peer for host in self.hosts)

    def on(self, peer: PeerId) -> tuple[str, ...]:
        """The names of the workspaces a host carries."""
        return tuple(a.workspace for a in self.assignments if a.host == peer)

    def carriers(self) -> tuple[PeerId, ...]:
        """Hosts that carry anything, each once."""
        return tuple(dict.fromkeys(a.host for a in self.assignments))


class ApplyTerms(msgspec.Struct, frozen=True):
    """Body of an order to make a grid what `spec` says, if it is at that epoch still."""

    spec: GridSpec
    epoch: Number
    """The epoch that the signer saw. Another change that was faster makes the order void."""
    without: Annotated[tuple[Name, ...], Meta(max_length=WORKSPACES_MAX)] = ()
    """Workspaces that are not to be there, though their clusters have them: they go, or stay gone."""
    until_s: Moment = 0.0
    """When its lease ends, Unix seconds, as the signer saw it. A host of which nothing was asked before ends it
    then; 0: as long after it takes part as the grid was ordered for."""


class LeaseChange(msgspec.Struct, frozen=True):
    """Body of an order to extend a lease or, if negative, to shorten it."""

    by_s: int


class HoldTerms(msgspec.Struct, frozen=True):
    """Body of an order to hold what an `up` of this grid would need, for so long by each host's clock.

    With an epoch it is about a grid that is up, and holds what an `apply` of the same terms would need.
    """

    spec: GridSpec
    hold_s: float
    epoch: Number = 0
    """The epoch that the signer saw of the grid that is to be changed; 0 for a new grid."""
    without: Annotated[tuple[Name, ...], Meta(max_length=WORKSPACES_MAX)] = ()
    until_s: Moment = 0.0
    """`without` and `until_s` as in `ApplyTerms`."""


class Void(msgspec.Struct, frozen=True, array_like=True):
    """An extension that was voted down, remembered until no fresh order can ask for it."""

    extension: GridId
    until_s: float


class Register(msgspec.Struct, frozen=True):
    """The value of an order's register. It names its order, in the record or beside it."""

    record: GridRecord | None = None
    """The grid that the order made; None while none of its attempts was decided."""
    first: Annotated[int, Meta(ge=0, le=ATTEMPT_MOST)] = 0
    """The first attempt that was not voted down."""
    declined: Annotated[tuple[Void, ...], Meta(max_length=VOIDED)] = ()
    order: SignedOrder | None = None
    """The order, while there is no record."""
    seals: Annotated[tuple[Seal, ...], Meta(max_length=SEALS_MOST)] = ()
    """How the present set of stewards came from that which the order names; nothing if it is that one."""
    closed: Closing | None = None
    """Who follows the present set. Nothing but that is decided of it any more."""
    allotments: Allotments | msgspec.UnsetType = msgspec.UNSET
    """Of an order to count: what each host of its site may use. Other registers have no such field."""

    @property
    def counted(self) -> Allotments:
        """The allotments of an order to count; none of any other order."""
        return self.allotments if isinstance(self.allotments, Allotments) else Allotments()

    def is_void(self, grid: GridId) -> bool:
        """Whether that attempt was voted down."""
        made = self.record is not None and self.record.id == grid
        return not made and attempt_of(grid) < self.first

    def is_declined(self, extension: GridId) -> bool:
        """Whether that extension was voted down."""
        return any(void.extension == extension for void in self.declined)

    @property
    def ordered(self) -> SignedOrder:
        """The order that the register belongs to. Raises Malformed if it does not say."""
        order = self.record.order if self.record is not None else self.order
        if order is None:
            raise Malformed(MalformedReason.BAD_SHAPE, "a register of no order")
        return order

    @property
    def term(self) -> int:
        """How often its stewards were replaced."""
        return len(self.seals)

    @property
    def seats(self) -> Seats:
        """Of the stewards that decide this value. Raises Malformed or Untrusted if its order is unreadable."""
        return self.seals[-1].seats if self.seals else seats_of(read_order(self.ordered))

    @property
    def keepers(self) -> tuple[PeerId, ...]:
        """The stewards that decide this value. Raises as `seats` does."""
        return self.seats.members

    @property
    def stewards(self) -> tuple[PeerId, ...]:
        """The stewards that decide what comes next. Raises Malformed if it names no order."""
        return self.closed.heirs if self.closed is not None else self.keepers


def name_key(owner: KeyId, name: str) -> str:
    """What a grid's name is known by: names of one owner do not clash with another's."""
    return f"{owner}/{name}"


def grid_id(order: SignedOrder, attempt: int = 0, requester: str = "") -> GridId:
    """The id of the grid that an `up` order makes at that attempt of that requester.

    An attempt that was voted down can never become a grid, so the next one has an id of its own. So has
    another requester with the same order: a workspace of one grid must not be on two hosts. An order to apply
    makes no grid: hosts hold under the id of an attempt at it until that is decided, or voted down.
    """
    tag = f"-{short_hash(requester, digits=6)}" if requester else ""
    return GridId(f"{order_key(order)}.{attempt}{tag}")


def order_part(grid: GridId) -> str:
    """The part that the ids of all attempts of one order share. It is the key of the order's register."""
    return grid.partition(".")[0]


def is_about(grid: GridId, said: str) -> bool:
    """Whether an order that names `said` is about that grid.

    It names its id, or what the ids of all attempts of its order begin with. Either
    follows from the signed order that made it, so no order names a later grid.
    """
    return said in (grid, order_part(grid))


def register_key(order: SignedOrder) -> str:
    """The key of an order's register."""
    return order_key(order)


def attempt_of(grid: GridId) -> int:
    """The number of an attempt. Beyond all numbers if the id has none, so that nothing is believed void."""
    number = grid.partition(".")[2].partition("-")[0]
    plain = number.isascii() and number.isdigit() and len(number) <= 10
    return min(int(number), ATTEMPT_MOST) if plain else ATTEMPT_MOST


def lease_change(signed: SignedOrder) -> LeaseChange:
    """What an order to change a lease says. Raises Malformed."""
    change = decode(read_order(signed).body, LeaseChange)
    if not 0 < abs(change.by_s) <= LEASE_S_MAX:
        raise Malformed(MalformedReason.BAD_SHAPE, "a lease is changed by a second to a year")
    return change


def extension_id(signed: SignedOrder) -> GridId:
    """The id under which an undecided extension is voted down."""
    return GridId(order_key(signed))


def was_decided(record: GridRecord, attempt: GridId) -> bool:
    """Whether an attempt to change a grid was decided, as far as its record tells.

    It is the last one that was, or a host still carries something by it. Raises Malformed if a grant cannot be
    read.
    """
    if record.applied is None and record.scaled is None:
        return False
    last = [one.attempt for one in (record.applied, record.scaled) if one is not None]
    return attempt in last or attempt in (read_grant(grant).change for grant in record.grants)


def spec_of(order: Order) -> GridSpec:
    """The specification in an order to bring up, hold or apply. Raises Malformed if there is none."""
    match order.action:
        case Action.HOLD:
            return hold_terms(order).spec
        case Action.APPLY:
            return apply_terms(order).spec
        case _:
            return decode(order.body, GridSpec)


def apply_terms(order: Order) -> ApplyTerms:
    """What an order to apply says. Raises Malformed."""
    return decode(order.body, ApplyTerms, limit_bytes=APPLY_ORDER_BYTES)


def change_terms(order: Order) -> ApplyTerms | None:
    """What an order to apply, or to hold a change, says of it; None for any other order. Raises Malformed."""
    match order.action:
        case Action.APPLY:
            return apply_terms(order)
        case Action.HOLD:
            held = hold_terms(order)
            if held.epoch:
                return ApplyTerms(held.spec, held.epoch, held.without, held.until_s)
    return None


def absent(signed: SignedOrder) -> tuple[str, ...]:
    """The workspaces that a standing order leaves out of its clusters. Raises Malformed or Untrusted."""
    order = read_order(signed)
    return apply_terms(order).without if order.action is Action.APPLY else ()


def terminated(record: GridRecord) -> tuple[str, ...]:
    """The workspaces that were ordered gone since the standing order."""
    orders = [read_order(signed) for signed in record.changes[record.folded :]]
    return tuple(order.workspace for order in orders if order.action is Action.TERMINATE)


def hold_terms(order: Order) -> HoldTerms:
    """What an order to hold says. Raises Malformed."""
    terms = decode(order.body, HoldTerms)
    if not PLAN_HOLD_LEAST_S <= terms.hold_s <= PLAN_HOLD_MOST_S:
        least, most = PLAN_HOLD_LEAST_S, PLAN_HOLD_MOST_S
        why = f"a plan is held for {least:.0f} to {most:.0f} s"
        raise Malformed(MalformedReason.BAD_SHAPE, why)
    if terms.epoch and len(order.body) > APPLY_ORDER_BYTES:
        why = f"{len(order.body)} bytes, at most {APPLY_ORDER_BYTES} for a change"
        raise Malformed(MalformedReason.OVERSIZED, why)
    return terms


def vni_of(grid: GridId, network: str) -> int:
    """A VXLAN id (24 bits, never 0), derived so that two requesters rarely pick the same.

    If they do, a host refuses the second hold, and that requester's next attempt derives another id.
    """
    return int(short_hash(grid, network, digits=6), 16) or 1


def read_register(value: bytes) -> Register:
    """A register's value. Empty bytes are a register that was never written. Raises Malformed."""
    return decode(value, Register) if value else Register()
