"""Grids as their orders ask for them, read once: each hold, record and notice needs the order again."""

import msgspec

from protocol.grid.expand import workspaces
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import hold_terms
from protocol.terms.limits import HOLD_S, ORDERS_READ_BYTES
from protocol.trust.order import Action, Order

_WORKSPACE_BYTES = 512


class OrderedGrid(msgspec.Struct, frozen=True):
    """The grid in an order to bring up, or only to hold."""

    spec: GridSpec
    workspaces: tuple[Workspace, ...]
    """In start order."""
    members: dict[str, Workspace]
    """The same by name."""
    hold_s: float
    """How long at most a host holds for it without more."""
    sensible: bool
    """False: it was not checked, but believed when it was stored."""


def ordered(order: Order, spec: GridSpec, *, sensible: bool) -> OrderedGrid:
    """The grid in an order. ValueError if its clusters wait for each other."""
    members = workspaces(spec)
    return OrderedGrid(
        spec=spec,
        workspaces=members,
        members={workspace.name: workspace for workspace in members},
        hold_s=hold_terms(order).hold_s if order.action is Action.HOLD else HOLD_S,
        sensible=sensible,
    )


class OrderedGrids:
    """The newest few, by the payload of their orders: as many as take ORDERS_READ_BYTES, and at least one."""

    def __init__(self) -> None:
        self._read: dict[bytes, OrderedGrid] = {}
        self._bytes = 0

    def get(self, payload: bytes) -> OrderedGrid | None:
        """The grid in that order, if it was read."""
        return self._read.get(payload)

    def put(self, payload: bytes, grid: OrderedGrid) -> None:
        """It was read, perhaps again."""
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
    """About what is kept for it."""
    return 2 * len(payload) + _WORKSPACE_BYTES * len(grid.workspaces)
