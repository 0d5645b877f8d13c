"""What a grid is now, as its stewards decided it: what a change of it begins with."""

import msgspec

from protocol.grid.history import history
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState, Past
from protocol.node.node import Node
from protocol.terms.ids import GridId
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed


class Placed(msgspec.Struct, frozen=True):
    """A workspace of a grid, and where it is."""

    workspace: str
    host: str
    site: str


class Standing(msgspec.Struct, frozen=True):
    """A grid as the record has it that this peer was shown last."""

    grid: GridId
    name: str
    owner_site: str
    epoch: int
    state: GridState
    spec: GridSpec
    placed: tuple[Placed, ...]
    before: GridSpec | None = None
    """What it was before its last change; None if it was never changed."""
    past: tuple[Past, ...] = ()
    """The changes decided last, the oldest first."""


def standing(node: Node, grid: GridId) -> Standing | None:
    """What a grid is now, by the newest record that this peer was shown or carries; None if it has none."""
    row = node.host.leases.row(grid)
    carried = row.record if row is not None else None
    known = [r for r in (node.requester.decided.get(grid), carried) if r is not None]
    if not known:
        return None
    record = max(known, key=lambda each: each.epoch)
    try:
        return _standing(node, record)
    except (Malformed, Untrusted):
        return None


def _standing(node: Node, record: GridRecord) -> Standing:
    spec, before = node.authority.spec, record.previous
    refs = {host.peer: host for host in record.hosts}
    return Standing(
        grid=record.id,
        name=record.name,
        owner_site=record.owner_site,
        epoch=record.epoch,
        state=record.state,
        spec=spec(record.standing),
        placed=tuple(
            Placed(a.workspace, refs[a.host].name, refs[a.host].site) for a in record.assignments
        ),
        before=spec(before) if before is not None else None,
        past=history(record),
    )
