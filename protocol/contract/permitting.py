"""Whether an order about a grid that exists is given by somebody who may: whoever made it, so far.

A site's own policy, and grants to virtual organisations, enter here.
"""

from protocol.grid.record import GridRecord
from protocol.trust.order import CheckedOrder
from protocol.trust.signing import Reason, Untrusted


def permit(checked: CheckedOrder, record: GridRecord) -> None:
    """Untrusted if a believed order is not its owner's, or about another grid."""
    if checked.principal.key != record.owner:
        raise Untrusted(
            Reason.WRONG_ROLE,
            f"{record.name} belongs to another site's admin than {checked.principal.site}'s",
        )
    if checked.order.grid not in (record.id, record.name):
        raise Untrusted(Reason.MALFORMED, f"an order about {checked.order.grid}, not {record.name}")
