"""What was decided of a grid so far, in lines for people: who, when, what, and in which epoch.

The lines of changes that are folded into an applied record are in it. What came after is read from its orders.
"""

from protocol.grid.apply import delta
from protocol.grid.change_words import summary
from protocol.grid.model import GridSpec
from protocol.grid.record import ApplyTerms, GridRecord, Past, lease_change
from protocol.grid.volumes import deletes
from protocol.terms.limits import PAST_CHARACTERS, PAST_MOST
from protocol.terms.quantities import format_duration
from protocol.terms.ranges import shown
from protocol.trust.order import Action, SignedOrder, claimed, read_order
from protocol.trust.owner import plain


def history(record: GridRecord) -> tuple[Past, ...]:
    """Every change that the record tells of, the oldest first: from its making on, unless there were too many.

    Raises Malformed or Untrusted if an order in it cannot be read.
    """
    told = record.applied.past if record.applied is not None else ()
    told += record.scaled.past if record.scaled is not None else ()
    made = (line_of(record.order, 1, ""),) if len(told) < PAST_MOST else ()
    return (*made, *told, *lines_since(record))


def lines_since(record: GridRecord) -> tuple[Past, ...]:
    """A line for each order that changed a grid since it was made, or since the last one was applied to it, or
    since room changed its size."""
    scaled = record.scaled
    since = record.changes[scaled.told if scaled is not None else record.folded :]
    first = (scaled.epoch if scaled is not None else record.applied_epoch) + 1
    return tuple(
        line_of(signed, epoch, _said(signed)) for epoch, signed in enumerate(since, start=first)
    )


def line_of(signed: SignedOrder, epoch: int, said: str) -> Past:
    """The line of an order that was carried out in that epoch."""
    order = read_order(signed)
    owner = claimed(signed)
    by = owner.member or plain(owner.label)
    return Past(epoch, order.action, order.issued_at_s, by, said)


def _said(signed: SignedOrder) -> str:
    order = read_order(signed)
    match order.action:
        case Action.LEASE:
            by_s = lease_change(signed).by_s
            return f"{'-' if by_s < 0 else '+'}{format_duration(abs(by_s))}"
        case Action.TERMINATE:
            return f"-{order.workspace}{', with its volumes' if deletes(signed) else ''}"
        case _:
            return ""


def said_of(before: GridRecord, old: GridSpec, terms: ApplyTerms) -> str:
    """What an order to apply changes of a grid, in one line: `+2 worker, head-1 memory 4 GiB > 8 GiB`."""
    placed = [a.workspace for a in before.assignments]
    change = delta(placed, old, terms.spec, frozenset(terms.without))
    return shown(summary(change, old, terms.spec), PAST_CHARACTERS)
