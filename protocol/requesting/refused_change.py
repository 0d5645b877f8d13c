"""What stewards and hosts refuse of an order to change a grid, and what ends an attempt all the same.

Stewards that take no change by an order take no vote against it either. So that is seen before anything is
held. If it comes later (a key is revoked meanwhile), it is enough that nobody would begin with the attempt any
more, and that it was not decided.
"""

from collections.abc import Sequence

from protocol.contract.authority import Authority
from protocol.contract.permitting import permit
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridRecord
from protocol.grid.steps import Decline, Step
from protocol.terms.ids import GridId
from protocol.terms.limits import ORDER_LATE_S
from protocol.terms.quantities import format_moment
from protocol.terms.refusal import Constraint, Refusal
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


def not_now(name: str, refused: Sequence[Refusal]) -> list[str]:
    """Why no host changes a grid at this time, where its lease is over; empty if anything else is in the way.

    Then there is no use in asking again. Hosts that carry it say what would work.
    """
    if not refused or any(refusal.constraint is not Constraint.TIME for refusal in refused):
        return []
    why, *works = max((said_lines(refusal) for refusal in refused), key=len)
    return [f"cannot change {name}: {why}", *works]


def over_for_plan(name: str, lease: LeaseTerms, ends_s: float, now: float) -> list[str]:
    """Why a plan would not be made, where nobody is asked to hold it and a lease is over; empty if it is not.

    Of best-effort work that is suspended the time stands still, so nothing is said of that.
    """
    if lease.best_effort or not 0.0 < ends_s <= now:
        return []
    works = f"`overlayctl lease extend {name} 1h`, then the same again"
    over = f"its lease is over since {format_moment(ends_s)}"
    return [f"cannot change {name}: {over}", f"  would work: {works}"]


def said_lines(refusal: Refusal) -> list[str]:
    """What a host says of its refusal, and what would work if it says that, too; no other line of it."""
    why, _, works = refusal.detail.partition("\n")
    return [why, works.replace("\n", " ")] if works.startswith("  would work: ") else [why]


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
