"""What follows from the record that the stewards have under a request's name, after a commit or a mere look.

A request looks, for one of three reasons, whether its order has made a grid already. If it has, the request
follows that grid, whatever the reason was. The table says what follows otherwise.
"""

from enum import Enum, auto

from protocol.grid.record import GridRecord, GridState, order_part
from protocol.requesting.steps import (
    Begin,
    Conclusion,
    Fail,
    Follow,
    Look,
    Reason,
    TryLater,
)
from protocol.terms.ids import GridId

ANOTHER_NAME = "  would work: take it down with `overlayctl down`, or choose another name"


class Found(Enum):
    """What the stewards have under that name, if it is no grid of this order."""

    NOTHING = auto()
    """No grid that is up."""
    ANOTHER = auto()
    """A grid that another order made."""
    UNKNOWN = auto()
    """No majority of the stewards answered."""


class Next(Enum):
    """What a request does next."""

    BEGIN = auto()
    TRY_LATER = auto()
    SAY_LINES = auto()
    """Its answer is the lines of the look."""
    SAY_ANOTHER = auto()
    """Its answer is that there is another grid of that name."""


FOLLOWS: dict[tuple[Reason, Found], Next] = {
    (Reason.NAME_IS_UP, Found.NOTHING): Next.TRY_LATER,
    (Reason.NAME_IS_UP, Found.ANOTHER): Next.SAY_LINES,
    (Reason.NAME_IS_UP, Found.UNKNOWN): Next.SAY_LINES,
    (Reason.GIVEN_BEFORE, Found.NOTHING): Next.BEGIN,
    (Reason.GIVEN_BEFORE, Found.ANOTHER): Next.SAY_ANOTHER,
    # The request does not wait for silent stewards: its commit would find the grid, or fail with them.
    (Reason.GIVEN_BEFORE, Found.UNKNOWN): Next.BEGIN,
    (Reason.CANNOT_BEGIN, Found.NOTHING): Next.SAY_LINES,
    (Reason.CANNOT_BEGIN, Found.ANOTHER): Next.SAY_LINES,
    (Reason.CANNOT_BEGIN, Found.UNKNOWN): Next.SAY_LINES,
}
"""What follows for each combination; all are there."""


def concluded(
    record: GridRecord | None, grid: GridId, name: str, look: Look | None, cancelled: bool
) -> Conclusion:
    """What follows from `record`, which the stewards have under `name`.

    `grid` is the id that the attempt would have. Without a `look` the attempt was before the stewards just now.
    `cancelled` says that the person wants it no more.
    """
    if record is not None and record.id == grid:
        return Follow(record, ours=True)
    if record is not None and order_part(record.id) == order_part(grid):
        return _made_before(record, name)
    another = record.id if record is not None and record.state is GridState.UP else GridId("")
    if look is not None:
        return _looked(look, Found.ANOTHER if another else Found.NOTHING, name, another)
    if another:
        return _exists(name, another)
    if cancelled:
        return Fail(("cancelled; nothing is held",))
    return TryLater("the holds ran out before the stewards decided")


def unanswered(look: Look, name: str) -> Conclusion:
    """What follows when no majority of stewards answers a request that only looks."""
    return _looked(look, Found.UNKNOWN, name, GridId(""))


def kept_for(conclusion: Conclusion) -> GridRecord | None:
    """The grid for which promises of this attempt are kept; None if they are all let go.

    It may not have all of them, if another peer was given the same order.
    """
    if isinstance(conclusion, Follow) and conclusion.ours:
        return conclusion.record
    return None


def _looked(look: Look, found: Found, name: str, another: GridId) -> Conclusion:
    match FOLLOWS[look.reason, found]:
        case Next.BEGIN:
            return Begin()
        case Next.TRY_LATER:
            return TryLater()
        case Next.SAY_LINES:
            return Fail(look.lines)
        case Next.SAY_ANOTHER:
            return _exists(name, another)


def _made_before(record: GridRecord, name: str) -> Follow | Fail:
    if record.state is GridState.UP:
        return Follow(record, ours=False)
    line = f"this order has made a grid already, id {record.id}, and makes no second one"
    return Fail((line, f"  would work: sign a new order for {name}"))


def _exists(name: str, another: GridId) -> Fail:
    line = f"cannot make {name}: a grid named {name} exists already, id {another}"
    return Fail((line, ANOTHER_NAME))
