"""Whether the signer of an order may change the grid that it is about. So far, only its owner may.

A site's own policy, and grants to virtual organisations, will enter here.
"""

from protocol.grid.record import GridRecord
from protocol.trust.order import CheckedOrder
from protocol.trust.signing import Reason, Untrusted


def permit(checked: CheckedOrder, record: GridRecord) -> None:
    """Raises Untrusted if a believed order is not from the record's owner, or is about another grid."""
    if checked.principal.key != record.owner:
        raise Untrusted(
            Reason.WRONG_ROLE,
            f"{record.name} belongs to another site's admin than {checked.principal.site}'s",
        )
    if checked.order.grid not in (record.id, record.name):
        raise Untrusted(Reason.MALFORMED, f"an order about {checked.order.grid}, not {record.name}")
