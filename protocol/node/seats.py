"""In how many registers of living grids this host is a steward.

It knows those that it keeps. A steward that was away when a grid was decided keeps nothing of that, and is one
all the same: hosts of the grid tell it. Anybody can tell such a thing, so what is told counts once it was seen
decided, and until then only while it can still be checked.
"""

from protocol.grid.record import GridState, order_part
from protocol.node.node import Node


def seats(node: Node, now: float, *, unchecked: bool = False) -> int:
    """How many. With `unchecked` also those that are told and have yet to be checked."""
    notices, confirming = node.directory.notices, node.requester.confirming
    told = 0
    for grid in notices.grids():
        newest = notices.newest(grid)
        if newest is None or newest.state is not GridState.UP or node.me not in newest.stewards:
            continue
        kept = node.registers.acceptor.get(order_part(grid))
        if kept is not None and kept.register.record is not None:
            continue
        told += notices.confirmed(grid) or (unchecked and confirming.open(grid, now))
    return node.registers.seats + told
