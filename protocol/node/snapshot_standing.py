"""How this peer knows what a grid is now: from the newest decision that it was shown, or carries."""

import msgspec

from protocol.grid.carrier import carriers_of
from protocol.grid.history import history
from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import missing_in
from protocol.grid.record import GridRecord, absent, terminated
from protocol.node.node import Node
from protocol.node.standing import PastRow, Placed, Standing
from protocol.terms.ids import GridId
from protocol.trust.order import Action, read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed


def standing(node: Node, grid: GridId) -> Standing | None:
    """What a grid is now, by the newest record that this peer was shown or carries.

    None if it has none, or knows of a later one: what was shown to a host before it carried a grid is old once
    a change has left the host out.
    """
    record = _newest(node, grid)
    try:
        return _standing(node, record) if record is not None else None
    except (Malformed, Untrusted):
        return None


def carriers(node: Node, grid: GridId) -> tuple[tuple[str, str], ...]:
    """(network, what carries it between hosts), by that record; nothing if there is none."""
    record = _newest(node, grid)
    try:
        if record is None:
            return ()
        networks = node.authority.ordered(record).spec.networks
        return tuple(carriers_of(record, networks, node.authority.cards(record)).items())
    except (Malformed, Untrusted):
        return ()


def _newest(node: Node, grid: GridId) -> GridRecord | None:
    """The newest record of a grid here, unless a later one is known of."""
    row = node.host.leases.row(grid)
    carried = row.record if row is not None else None
    known = [r for r in (node.requester.decided.get(grid), carried) if r is not None]
    if not known:
        return None
    record = max(known, key=lambda each: each.epoch)
    newest = node.notices.newest(grid) if node.notices.confirmed(grid) else None
    return None if newest is not None and newest.epoch > record.epoch else record


def _standing(node: Node, record: GridRecord) -> Standing:
    spec = node.authority.spec(record.standing)
    before, missing = _before(node, record, spec)
    refs = {host.peer: host for host in record.hosts}
    told = node.notices.about(record.id).values()
    return Standing(
        grid=record.id,
        name=record.name,
        owner_site=record.owner_site,
        epoch=record.epoch,
        state=record.state,
        spec=spec,
        placed=tuple(
            Placed(a.workspace, refs[a.host].name, refs[a.host].site) for a in record.assignments
        ),
        before=before,
        past=tuple(
            PastRow(each.epoch, each.action, each.at_s, each.by, each.said)
            for each in history(record)
        ),
        ends_s=max((heard.notice.ends_s for heard in told), default=0.0),
        before_without=missing,
        out=tuple(dict.fromkeys((*absent(record.standing), *terminated(record)))),
    )


def _before(
    node: Node, record: GridRecord, spec: GridSpec
) -> tuple[GridSpec | None, tuple[str, ...]]:
    """(What a grid was before its last change, the workspaces of that which were not there).

    `spec` is what it is by its standing order. Raises Malformed or Untrusted.
    """
    orders = [read_order(signed) for signed in record.changes[record.folded :]]
    ended = [order.workspace for order in orders if order.action is Action.TERMINATE]
    if ended:
        # What was applied before that stands still, and had that workspace.
        return spec, tuple(name for name in missing_in(record, spec) if name != ended[-1])
    previous, applied = record.previous, record.applied
    if previous is None or applied is None:
        return None, ()
    missing = applied.missing
    return node.authority.spec(previous), absent(previous) if missing is msgspec.UNSET else missing
