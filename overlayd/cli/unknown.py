"""What the daemon's host found and does not remember, in lines for people."""

from collections.abc import Sequence

from overlayd.cli.show import print_lines
from overlayd.cli.words import size_of
from protocol.node.rows import UnknownRow
from protocol.terms.quantities import format_duration


def print_unknown(rows: Sequence[UnknownRow]) -> None:
    """Prints every grid of which the host found something; nothing if there is none."""
    for row in rows:
        print_lines(["", *unknown_lines(row)])


def unknown_lines(row: UnknownRow) -> list[str]:
    """What was found of one grid, what it takes, and what its stewards say."""
    if not row.things:
        head = f"{row.name} is unknown to this host, which promised part of it before"
    else:
        head = f"{row.name} is unknown to this host, which keeps {size_of(row.quantum)} for it"
    asked = f"asked {row.asked} times in {format_duration(round(row.age_s))}" if row.asked else ""
    who = f" ({', '.join(row.stewards)})" if row.stewards else ""
    why = "; ".join(filter(None, [f"{row.why}{who}", asked]))
    things = [f"  {thing}" for thing in row.things]
    forget = f"  by hand, with the daemon stopped: overlayd recover --forget {row.grid}"
    ends = [forget] if row.grid and row.things else []
    return [f"{head}:", *things, f"  {why}", *ends]
