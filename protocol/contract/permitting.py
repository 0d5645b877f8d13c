"""Whether the signer of an order may change the grid that it is about. So far, only its owner may.

An order names a grid by its id, never by its name: an old order to take a grid down does nothing to the next
one of that name. The id follows from the order that made the grid, so nobody can have named it before that.

A site's own policy, and grants to virtual organisations, will enter here.
"""

from protocol.grid.record import GridRecord, is_about
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import CheckedOrder, read_order
from protocol.trust.signing import Reason, Untrusted


def permit(checked: CheckedOrder, record: GridRecord, *, kept: bool = False) -> None:
    """Raises Untrusted if a believed order is not from the record's owner, or is about another grid.

    One that is `kept` changed the grid before, by this peer's own store. A build before this one may have taken
    it by the grid's name.
    """
    if checked.principal.key != record.owner:
        raise Untrusted(
            Reason.WRONG_ROLE,
            f"{record.name} belongs to another site's admin than {checked.principal.site}'s",
        )
    said = checked.order.grid
    if not is_about(record.id, said) and not (kept and said == record.name):
        raise Untrusted(Reason.MALFORMED, f"an order about {said}, not {record.id}")
    if checked.order.issued_at_s + CLOCK_TOLERANCE_S < read_order(record.order).issued_at_s:
        raise Untrusted(Reason.EXPIRED, "the order is older than the grid")
