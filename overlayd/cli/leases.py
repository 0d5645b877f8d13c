"""`overlayctl lease extend` and `lease shorten`."""

from typing import Annotated

import typer

from overlayd.cli.completing import complete_grid
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.life import NoWait, give
from overlayd.cli.session import session_of
from overlayd.config.values import Duration
from protocol.grid.limits import LEASE_S_MAX
from protocol.grid.problem import quoted
from protocol.grid.record import LeaseChange
from protocol.terms.quantities import format_duration
from protocol.trust.order import Action
from protocol.wire.codec import encode

lease_app = typer.Typer(no_args_is_help=True, help="How long a grid is wanted.")

Name = Annotated[
    str, typer.Argument(help="A grid's name, SITE/NAME or id.", autocompletion=complete_grid)
]
By = Annotated[str, typer.Argument(help="By how much: 30m, 2h, 1d.", metavar="DURATION")]


@lease_app.command()
def extend(context: typer.Context, name: Name, by: By, no_wait: NoWait = False) -> None:
    """Gives a grid more time, on the hosts it is on: all of them, or none.

    A lease that has ended, but whose state is still kept, goes on with it.

    Example: overlayctl lease extend star 2h
    """
    _change(context, name, _seconds(by), no_wait)


@lease_app.command()
def shorten(context: typer.Context, name: Name, by: By, no_wait: NoWait = False) -> None:
    """Gives time back; others are promised it at once.

    Example: overlayctl lease shorten star 30m
    """
    _change(context, name, -_seconds(by), no_wait)


def _seconds(by: str) -> int:
    said = f"a lease cannot be changed by {quoted(by)}"
    try:
        seconds = int(Duration.from_written(by))
    except ValueError as error:
        raise failure(said, str(error), USAGE) from None
    if not 0 < seconds <= LEASE_S_MAX:
        raise failure(said, f"a second to {format_duration(LEASE_S_MAX)}", USAGE)
    return seconds


def _change(context: typer.Context, name: str, by_s: int, no_wait: bool) -> None:
    session = session_of(context)
    give(session, Action.LEASE, name, no_wait, encode(LeaseChange(by_s)))
