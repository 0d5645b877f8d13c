"""In how many registers this host is a steward: by what it keeps, and by what others tell of it."""

import msgspec
from one_peer import ADMIN, NOW, YOU, Alone, started

from protocol.contract.notices import notice_of
from protocol.contract.told import known_of
from protocol.grid.record import GridRecord, GridState
from protocol.node.node import Node
from protocol.node.seats import seats
from protocol.requesting.events import OrderGiven
from protocol.sim.people import grid_spec
from protocol.terms.ids import PeerId, RequestId

SPEC = grid_spec("shop", 1)


def carried() -> tuple[Node, GridRecord]:
    """A peer that is the steward of a grid, and keeps its register."""
    alone = Alone(started())
    alone.feed(OrderGiven(RequestId("up"), ADMIN.up(SPEC, NOW)))
    alone.until(lambda: alone.peer.host.leases.rows() != [], 5.0)
    (row,) = alone.peer.host.leases.rows()
    return alone.peer, row.record


def told(by: PeerId, state: GridState = GridState.UP) -> tuple[Node, GridRecord]:
    """Another life of that peer, which knows nothing by itself, and hears of that grid."""
    _, record = carried()
    node = started()
    record = msgspec.structs.replace(record, state=state)
    node.directory.notices.put(by, notice_of(record, SPEC), NOW)
    return node, record


def both(node: Node) -> tuple[int, int]:
    """What counts, and what may."""
    return seats(node, NOW), seats(node, NOW, unchecked=True)


def test_what_it_keeps_counts_once_whoever_tells_of_it() -> None:
    node, record = carried()
    assert both(node) == (1, 1)
    node.directory.notices.put(YOU, notice_of(record, SPEC), NOW)
    assert both(node) == (1, 1)


def test_what_is_told_counts_when_it_was_seen_decided() -> None:
    node, record = told(YOU)
    assert both(node) == (0, 1), "until it is checked, it may be so"
    known = known_of(record, SPEC, b"")
    everybody = msgspec.structs.replace(known, hosts=(YOU,))
    node.directory.notices.know(everybody)
    assert both(node) == (1, 1)


def test_what_is_down_or_others_keep_does_not_count() -> None:
    node, record = told(YOU, GridState.DOWN)
    assert both(node) == (0, 0)
    others = msgspec.structs.replace(notice_of(record, SPEC), state=GridState.UP, stewards=(YOU,))
    node.directory.notices.put(YOU, others, NOW)
    assert both(node) == (0, 0)
