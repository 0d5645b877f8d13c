"""What follows from what stewards decided of a request's order, or of the grid that has its name.

A request looks, for one of four reasons, what grid of its name there is. If its own order has made it, the
request follows that grid, whatever the reason was. The table says what follows otherwise. A grid that another
order made is compared with what is asked for: one that is the same is as good as one of this order, and of any
other is said what differs.
"""

from collections.abc import Iterable
from enum import Enum, auto

from protocol.contract.notices import Notice
from protocol.grid.decision import Decision
from protocol.grid.differences import Difference, difference_lines, differences
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import GridRecord, GridState, order_part, spec_of
from protocol.requesting.request import Planned
from protocol.requesting.steps import (
    Begin,
    Conclusion,
    Fail,
    Follow,
    Look,
    Reason,
    TryLater,
    Unchanged,
)
from protocol.terms.ids import GridId
from protocol.terms.quantities import counted
from protocol.trust.order import read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed

ANOTHER_NAME = "  would work: take it down with `overlayctl down`, or choose another name"


class Found(Enum):
    """What the stewards have under that name, if it is no grid of this order."""

    NOTHING = auto()
    """No grid that is up."""
    SAME = auto()
    """A grid that another order made, as it is asked for."""
    ANOTHER = auto()
    """A grid that another order made, otherwise than it is asked for."""
    UNKNOWN = auto()
    """No majority of the stewards answered."""


class Next(Enum):
    """What a request does next."""

    BEGIN = auto()
    TRY_LATER = auto()
    FOLLOW = auto()
    """It follows that grid as if its own order had made it."""
    SAY_LINES = auto()
    """Its answer is the lines of the look."""
    SAY_UNCHANGED = auto()
    """Its answer is that nothing would change."""
    SAY_DIFFERENCES = auto()
    """Its answer is what that grid has otherwise."""


FOLLOWS: dict[tuple[Reason, Found], Next] = {
    (Reason.NAME_IS_UP, Found.NOTHING): Next.TRY_LATER,
    (Reason.NAME_IS_UP, Found.SAME): Next.FOLLOW,
    (Reason.NAME_IS_UP, Found.ANOTHER): Next.SAY_DIFFERENCES,
    (Reason.NAME_IS_UP, Found.UNKNOWN): Next.SAY_LINES,
    (Reason.GIVEN_BEFORE, Found.NOTHING): Next.BEGIN,
    (Reason.GIVEN_BEFORE, Found.SAME): Next.FOLLOW,
    (Reason.GIVEN_BEFORE, Found.ANOTHER): Next.SAY_DIFFERENCES,
    # The request does not wait for silent stewards: its commit would find the grid, or fail with them.
    (Reason.GIVEN_BEFORE, Found.UNKNOWN): Next.BEGIN,
    (Reason.CANNOT_BEGIN, Found.NOTHING): Next.SAY_LINES,
    (Reason.CANNOT_BEGIN, Found.SAME): Next.SAY_LINES,
    (Reason.CANNOT_BEGIN, Found.ANOTHER): Next.SAY_LINES,
    (Reason.CANNOT_BEGIN, Found.UNKNOWN): Next.SAY_LINES,
    (Reason.IS_PLANNED, Found.NOTHING): Next.BEGIN,
    (Reason.IS_PLANNED, Found.SAME): Next.SAY_UNCHANGED,
    (Reason.IS_PLANNED, Found.ANOTHER): Next.SAY_DIFFERENCES,
    (Reason.IS_PLANNED, Found.UNKNOWN): Next.SAY_LINES,
}
"""What follows for each combination; all are there."""


def concluded(
    decision: Decision | None, grid: GridId, wanted: GridSpec, look: Look | None, cancelled: bool
) -> Conclusion:
    """What follows from what stewards decided, of this order or of the grid that has the name; None: nothing.

    `grid` is the id that the attempt would have. Without a `look` the attempt was before the stewards just now.
    `cancelled` says that the person wants it no more.
    """
    record = decision.register.record if decision is not None else None
    if decision is not None and record is not None:
        if record.id == grid:
            return Follow(record, decision, ours=True)
        if order_part(record.id) == order_part(grid):
            return _made_before(record, decision, wanted.name)
    if look is not None:
        return _looked(look, decision, wanted)
    if cancelled:
        return Fail(("cancelled; nothing is held",))
    return TryLater("the holds ran out before the stewards decided")


def unanswered(look: Look) -> Conclusion:
    """What follows when no majority of stewards answers a request that only looks."""
    found = Found.NOTHING if look.hearsay else Found.UNKNOWN
    return _without(look, FOLLOWS[look.reason, found])


def kept_for(conclusion: Conclusion) -> GridRecord | None:
    """The grid for which promises of this attempt are kept; None if they are all let go.

    It may not have all of them, if another peer was given the same order.
    """
    if isinstance(conclusion, Follow) and conclusion.ours:
        return conclusion.record
    return None


def up_already(record: GridRecord) -> str:
    """What is up, in a line."""
    carriers = record.carriers()
    hosts = counted(len(carriers), "host")
    sites = counted(len({record.host(peer).site for peer in carriers}), "site")
    many = counted(len(record.assignments), "workspace")
    return f"{record.name} is up already: {many} on {hosts} at {sites}"


def as_made(workspaces: Iterable[Workspace], record: GridRecord) -> tuple[Planned, ...]:
    """Where a grid is that the request did not place itself, or does not remember to have placed."""
    host_of = {each.workspace: record.host(each.host) for each in record.assignments}
    return tuple(
        Planned(
            workspace=workspace.name,
            host=host.name,
            site=host.site,
            peer=host.peer,
            cpus_milli=workspace.cpus_milli,
            memory_bytes=workspace.memory_bytes,
            image=workspace.image.name,
            image_cached=True,  # or on its way there
            scratch_bytes=workspace.root_bytes + workspace.scratch_bytes,
            console_bytes=workspace.console_bytes,
        )
        for workspace in workspaces
        if (host := host_of.get(workspace.name)) is not None
    )


def taken(there: Notice) -> tuple[str, ...]:
    """Lines for people about a grid that has the name."""
    return f"a grid named {there.name} exists already, id {there.grid}", ANOTHER_NAME


def _looked(look: Look, decision: Decision | None, wanted: GridSpec) -> Conclusion:
    there = decision.register.record if decision is not None else None
    if decision is None or there is None or there.state is not GridState.UP:
        return _without(look, FOLLOWS[look.reason, Found.NOTHING])
    differs = _differences(there, wanted)
    match FOLLOWS[look.reason, Found.ANOTHER if differs is None or differs else Found.SAME]:
        case Next.FOLLOW:
            return Follow(there, decision, ours=False)
        case Next.SAY_UNCHANGED:
            return Unchanged(there)
        case Next.SAY_DIFFERENCES:
            return Fail(_otherwise(there, differs or ()), differs or ())
        case other:
            return _without(look, other)


def _without(look: Look, following: Next) -> Conclusion:
    """What follows if it takes no other grid's record."""
    match following:
        case Next.BEGIN:
            return Begin()
        case Next.TRY_LATER:
            return TryLater()
        case _:
            return Fail(look.lines)


def _differences(there: GridRecord, wanted: GridSpec) -> tuple[Difference, ...] | None:
    """What the grid has otherwise than it is wanted; None if its order cannot be read."""
    try:
        standing = spec_of(read_order(there.standing))
    except (Malformed, Untrusted):
        return None
    return differences(wanted, standing, [a.workspace for a in there.assignments])


def _otherwise(there: GridRecord, differs: tuple[Difference, ...]) -> tuple[str, ...]:
    if not differs:
        return _exists(there)
    name = there.name
    return (
        f"{name} is up, and not as the file has it",
        *difference_lines(differs),
        "  would work: `overlayctl up` again, which changes what is up once it is told of it",
    )


def _made_before(record: GridRecord, decision: Decision, name: str) -> Follow | Fail:
    if record.state is GridState.UP:
        return Follow(record, decision, ours=False)
    line = f"this order has made a grid already, id {record.id}, and makes no second one"
    return Fail((line, f"  would work: sign a new order for {name}"))


def _exists(there: GridRecord) -> tuple[str, ...]:
    name = there.name
    return f"cannot make {name}: a grid named {name} exists already, id {there.id}", ANOTHER_NAME
