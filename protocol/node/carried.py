"""Which grid carried here an order to look into is about: a console, a commit, a stream."""

from protocol.contract.permitting import permit
from protocol.grid.record import is_about
from protocol.hosting.lease import Lease
from protocol.node.node import Node
from protocol.trust.order import CheckedOrder
from protocol.trust.owner import admin


class NotYours(Exception):
    """The grid is another owner's, or the site lets its owner in no more. The text says which, to people."""


def carried(node: Node, checked: CheckedOrder) -> Lease | None:
    """The grid of whoever signed the order, as this host carries it; None if it carries none.

    Raises NotYours, or Untrusted if the order is not about that grid.
    """
    for row in node.host.leases.rows():
        record = row.record
        if not is_about(record.id, checked.order.grid):
            continue
        if record.owner != checked.owner.key:
            said = f"{record.name} belongs to {admin(record.owner_site)}; use that identity"
            raise NotYours(said)
        permit(checked, record)
        if why := node.host.admitting.operates(checked):
            raise NotYours(why)
        return row
    return None
