"""Whether the signer of an order may change the grid that it is about. Only its owner may.

Of a virtual organisation's grid that is whoever ordered it, and all who are above them in the chain of grants
by which they did: who granted may do what they granted, up to the organisation itself. Who is beside or below
may not, whatever else they were granted.

One more may end it, and do nothing else: another key that the federation certified for a site of the same
name. A site whose key was revoked, or lost, gets a new one, and its grids would else run to the end of their
leases with nobody to stop them.

An order names a grid by its id, never by its name: an old order to take a grid down does nothing to the next
one of that name. The id follows from the order that made the grid, so nobody can have named it before that.
"""

from protocol.grid.record import GridRecord, is_about
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import Action, CheckedOrder, Order, claimed, read_order
from protocol.trust.owner import admin
from protocol.trust.signing import Reason, Untrusted

ENDS = (Action.DOWN, Action.TERMINATE)
"""What a site's next key may do to grids that its key before ordered."""


def permit(checked: CheckedOrder, record: GridRecord) -> None:
    """Raises Untrusted if a believed order is not from the record's owner, or is about another grid."""
    owner = checked.owner
    heir = owner.site == record.owner_site and checked.order.action in ENDS
    if owner.key != record.owner and not heir:
        theirs, mine = admin(record.owner_site), admin(owner.label)
        if theirs == mine:  # VOs choose their names, and a site may have a new key.
            theirs, mine = f"{theirs} of key {record.owner[:16]}", f"{mine} of key {owner.key[:16]}"
        raise Untrusted(Reason.WRONG_ROLE, f"{record.name} belongs to {theirs}, not to {mine}")
    if owner.key == record.owner and not owner.may_change(claimed(record.order).line):
        raise Untrusted(
            Reason.NOT_GRANTED,
            f"{record.name} was ordered by another member of {admin(record.owner_site)}; who ordered it, "
            "and who granted that, may change it",
        )
    said = checked.order.grid
    if not is_about(record.id, said):
        raise Untrusted(Reason.MALFORMED, f"an order about {said}, not {record.id}")
    require_younger(checked.order, read_order(record.order))


def require_younger(order: Order, up: Order) -> None:
    """Raises Untrusted if an order about a grid was signed before the one that made the grid."""
    if order.issued_at_s + CLOCK_TOLERANCE_S < up.issued_at_s:
        raise Untrusted(Reason.EXPIRED, "the order is older than the grid")


def require_later(order: Order, record: GridRecord) -> None:
    """Raises Untrusted if a workspace is to be terminated by an order from before the last one applied.

    The record forgets who was terminated once a file has them again. So whoever kept such an order could give
    it again otherwise, and end what the file has brought back.
    """
    if order.action is not Action.TERMINATE or record.applied is None:
        return
    if order.issued_at_s < read_order(record.applied.order).issued_at_s:
        why = "the order is older than the last change of its grid; sign it again"
        raise Untrusted(Reason.EXPIRED, why)
