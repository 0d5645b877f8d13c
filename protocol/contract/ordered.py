"""Grids as their orders ask for them. Each is read once; every hold, record and notice needs it again."""

import msgspec

from protocol.grid.addresses import Card, plan
from protocol.grid.expand import providers, workspace_name, workspaces
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import hold_terms
from protocol.terms.limits import HOLD_S, ORDERS_READ_BYTES
from protocol.trust.order import Action, Order

_WORKSPACE_BYTES = 512


class OrderedGrid(msgspec.Struct, frozen=True):
    """The grid in an `up` order, or in one that only holds."""

    spec: GridSpec
    workspaces: tuple[Workspace, ...]
    """In starting order."""
    members: dict[str, Workspace]
    """The same, by name."""
    cards: tuple[Card, ...]
    """Where each is on each of its networks, by network and then in file order."""
    waits: dict[str, tuple[str, ...]]
    """For each cluster that waits for others, all their workspaces."""
    hold_s: float
    """How long a host holds for it at most, in seconds, if nothing follows."""
    sensible: bool
    """False if it was not checked now, but believed when it was stored."""


def ordered(order: Order, spec: GridSpec, *, sensible: bool) -> OrderedGrid:
    """The grid in an order. Raises ValueError if its clusters wait for each other."""
    members = workspaces(spec)
    counts = {cluster.name: cluster.count for cluster in spec.clusters}
    return OrderedGrid(
        spec=spec,
        workspaces=members,
        members={workspace.name: workspace for workspace in members},
        cards=plan(spec),
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
    )


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
