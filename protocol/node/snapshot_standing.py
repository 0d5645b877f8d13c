"""How this peer knows what a grid is now: from the newest decision that it was shown, or carries."""

from protocol.grid.history import history
from protocol.grid.record import GridRecord, absent
from protocol.node.node import Node
from protocol.node.standing import Placed, Standing
from protocol.terms.ids import GridId
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed


def standing(node: Node, grid: GridId) -> Standing | None:
    """What a grid is now, by the newest record that this peer was shown or carries.

    None if it has none, or knows of a later one: what was shown to a host before it carried a grid is old once
    a change has left the host out.
    """
    row = node.host.leases.row(grid)
    carried = row.record if row is not None else None
    known = [r for r in (node.requester.decided.get(grid), carried) if r is not None]
    if not known:
        return None
    record = max(known, key=lambda each: each.epoch)
    newest = node.notices.newest(grid) if node.notices.confirmed(grid) else None
    if newest is not None and newest.epoch > record.epoch:
        return None
    try:
        return _standing(node, record)
    except (Malformed, Untrusted):
        return None


def _standing(node: Node, record: GridRecord) -> Standing:
    spec, before = node.authority.spec, record.previous
    refs = {host.peer: host for host in record.hosts}
    told = node.notices.about(record.id).values()
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
        ends_s=max((heard.notice.ends_s for heard in told), default=0.0),
        before_without=absent(before) if before is not None else (),
    )
