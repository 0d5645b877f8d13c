"""Grids as their orders ask for them. Each is read once; every hold, record and notice needs it again."""

import msgspec

from protocol.grid.addresses import Card, plan, seated
from protocol.grid.expand import providers, workspace_name, workspaces
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import ApplyTerms, GridRecord, Places, change_terms, hold_terms
from protocol.terms.ids import GridId
from protocol.terms.limits import CARDS_KEPT, HOLD_S, ORDERS_READ_BYTES
from protocol.trust.order import Action, Order, SignedOrder

_WORKSPACE_BYTES = 512


class OrderedGrid(msgspec.Struct, frozen=True):
    """The grid in an `up` order, in one that only holds, or in one to apply."""

    spec: GridSpec
    workspaces: tuple[Workspace, ...]
    """In starting order."""
    members: dict[str, Workspace]
    """The same, by name."""
    waits: dict[str, tuple[str, ...]]
    """For each cluster that waits for others, all their workspaces."""
    hold_s: float
    """How long a host holds for it at most, in seconds, if nothing follows."""
    sensible: bool
    """False if it was not checked now, but believed when it was stored."""
    applies: ApplyTerms | None = None
    """All that an order to apply, or to hold a change, says of it; None for other orders."""

    @property
    def without(self) -> tuple[str, ...]:
        """The workspaces that are not to be there, though their clusters have them."""
        return self.applies.without if self.applies is not None else ()


def ordered(order: Order, spec: GridSpec, *, sensible: bool) -> OrderedGrid:
    """The grid in an order. Raises ValueError if its clusters wait for each other."""
    members = workspaces(spec)
    counts = {cluster.name: cluster.count for cluster in spec.clusters}
    return OrderedGrid(
        spec=spec,
        workspaces=members,
        members={workspace.name: workspace for workspace in members},
        waits={
            cluster: tuple(
                workspace_name(provider, index + 1)
                for provider in needed
                for index in range(counts[provider])
            )
            for cluster, needed in providers(spec).items()
            if needed
        },
        hold_s=hold_terms(order).hold_s if order.action is Action.HOLD else HOLD_S,
        sensible=sensible,
        applies=change_terms(order),
    )


def cards_of(record: GridRecord, spec: GridSpec) -> tuple[Card, ...]:
    """Where each workspace is on each network, by network and then in file order. `spec` is of the record's
    standing order: by its rule, or by the record's own places if it was changed."""
    return plan(spec) if record.applied is None else seated(spec, record.applied.places)


class RecordCards:
    """The cards of records, made once for each grid: every notice and every frame needs them."""

    def __init__(self) -> None:
        self._made: dict[GridId, tuple[SignedOrder, tuple[Places, ...], tuple[Card, ...]]] = {}
        self._cards = 0

    def of(self, record: GridRecord, spec: GridSpec) -> tuple[Card, ...]:
        """The same as `cards_of`."""
        order, places = record.standing, record.applied.places if record.applied is not None else ()
        made = self._made.get(record.id)
        if made is not None and made[:2] == (order, places):
            return made[2]
        self._drop(record.id)
        made = self._made[record.id] = order, places, cards_of(record, spec)
        self._cards += len(made[2])
        while self._cards > CARDS_KEPT and len(self._made) > 1:
            self._drop(next(iter(self._made)))
        return made[2]

    def _drop(self, grid: GridId) -> None:
        old = self._made.pop(grid, None)
        self._cards -= len(old[2]) if old is not None else 0


class OrderedGrids:
    """The grids read last, by the payload of their orders: ORDERS_READ_BYTES of them, and at least one."""

    def __init__(self) -> None:
        self._read: dict[bytes, OrderedGrid] = {}
        self._bytes = 0

    def get(self, payload: bytes) -> OrderedGrid | None:
        """The grid in the order with that payload; None if it is not kept."""
        return self._read.get(payload)

    def put(self, payload: bytes, grid: OrderedGrid) -> None:
        """Keeps a grid that was read, perhaps again, and drops the oldest that are too many."""
        self._drop(payload)
        self._read[payload] = grid
        self._bytes += _size_bytes(payload, grid)
        while self._bytes > ORDERS_READ_BYTES and len(self._read) > 1:
            self._drop(next(iter(self._read)))

    def _drop(self, payload: bytes) -> None:
        old = self._read.pop(payload, None)
        if old is not None:
            self._bytes -= _size_bytes(payload, old)


def _size_bytes(payload: bytes, grid: OrderedGrid) -> int:
    """About how much memory it takes."""
    return 2 * len(payload) + _WORKSPACE_BYTES * len(grid.workspaces)
