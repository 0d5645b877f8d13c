"""`overlayctl image gc`."""

from typing import Annotated

import typer

from overlayd.cli.failure import USAGE, failure
from overlayd.cli.session import session_of
from overlayd.cli.show import answer, print_lines
from overlayd.ports.images import Collected, Unused
from protocol.grid.problem import listed, quoted
from protocol.terms.quantities import format_size, parse_size


def collect(
    context: typer.Context,
    keep: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="How much of them may stay; as `cache` says in the daemon's configuration if left out.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Removes images that nothing on this host uses, those used longest ago first, down to a limit.

    The daemon does it by itself when room is short. One that was added here stays; `image remove` removes it.

    Example: overlayctl image gc --keep 0
    """
    params = {"keep": str(_bytes(keep))} if keep else {}
    session = session_of(context)
    raw = session.client.raw("POST", "/images/gc", params=params, within_s=None)
    answer(session, raw, Collected, lambda collected: print_lines(_said(collected)))


def _bytes(written: str) -> int:
    try:
        return parse_size(written)
    except ValueError:
        raise failure(
            f"--keep: {quoted(written)} is no size", "--keep 0, 512M or 20G", USAGE
        ) from None


def _said(collected: Collected) -> list[str]:
    lines = [f"removed {_one(each)}" for each in collected.removed] or ["nothing to remove"]
    left = sum(each.size_bytes for each in collected.kept)
    limit = format_size(collected.limit_bytes)
    freed = format_size(collected.freed_bytes)
    lines.append(f"{freed} freed; {format_size(left)} that nobody here uses are left, of {limit}")
    added = [each.name for each in collected.kept if each.added]
    if left > collected.limit_bytes and added:
        why = "since they were added here; `overlayctl image remove` removes one"
        lines.append(f"kept beyond it, {why}: {listed(added)}")
    return lines


def _one(each: Unused) -> str:
    what = f"an unfinished fetch of {each.name}" if each.unfinished else each.name
    return f"{what}  {format_size(each.size_bytes)}  {each.digest[:12]}"
