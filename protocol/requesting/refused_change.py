"""What stewards refuse of an order to change a grid, and what ends an attempt all the same.

Stewards that take no change by an order take no vote against it either. So that is seen before anything is
held. If it comes later (a key is revoked meanwhile), it is enough that nobody would begin with the attempt any
more, and that it was not decided.
"""

from protocol.contract.authority import Authority
from protocol.contract.permitting import permit
from protocol.grid.record import GridRecord
from protocol.grid.steps import Decline, Step
from protocol.terms.ids import GridId
from protocol.terms.limits import ORDER_LATE_S
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import SignedOrder, read_order
from protocol.trust.signing import Reason, Untrusted


def not_permitted(authority: Authority, order: SignedOrder, record: GridRecord) -> list[str]:
    """Why stewards would refuse the order, and a vote against it; empty if they would not."""
    try:
        permit(authority.signed(order), record)
    except Untrusted as error:
        lines = [f"cannot change {record.name}: {error.detail}"]
        if error.reason is Reason.EXPIRED:
            lines.append("  would work: the same again, signed where the clock is right")
        return lines
    return []


class VotesAgainst:
    """What stewards are asked about an attempt of which nobody knows whether it was decided."""

    def __init__(self) -> None:
        self._looks = False

    def next(
        self, grid: GridId, attempt: GridId, order: SignedOrder | None, now: float
    ) -> Step | None:
        """A vote against it; once no steward's clock lets the order begin, in turn with a mere look (None)."""
        assert order is not None
        late = now > read_order(order).fresh_until_s + ORDER_LATE_S + CLOCK_TOLERANCE_S
        self._looks = late and not self._looks
        return None if self._looks else Decline(grid, attempt, order)
