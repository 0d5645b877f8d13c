"""`overlayctl leave`: this host is to be stopped for good, so what others need of it goes to other hosts."""

import time
from typing import Annotated

import typer

from overlayd.api.views import LeavingBody
from overlayd.cli.failure import failure
from overlayd.cli.session import session_of
from overlayd.cli.show import answer
from overlayd.cli.words import clean
from protocol.node.rows import SelfRow

WAIT_S, LOOK_EVERY_S = 300.0, 2.0


def leave(
    context: typer.Context,
    stay: Annotated[bool, typer.Option("--stay", help="Take it back: this host stays.")] = False,
) -> None:
    """Before this host is stopped for good: has other hosts take its seats as a steward of grids, and waits.

    A grid outlives the loss of one of its stewards, and ten minutes later that of another. A host that leaves
    in order costs it neither. It takes nothing new. Until it is stopped its workspaces run, and end with it.
    That it leaves is remembered across restarts; --stay takes it back.

    It waits for 5 minutes at most. Exit code 1: it still has seats that no other host took.

    A host that is only restarted or upgraded need not leave.

    Example: overlayctl leave

    Example: overlayctl leave --stay
    """
    session = session_of(context)
    client = session.client
    before = client.post("/leaving", LeavingBody(not stay), SelfRow)
    if stay:
        if session.plain:
            answer(session, client.raw("GET", "/self"), SelfRow, lambda _: None)
        else:
            typer.echo(clean(f"{before.name} stays"))
        return
    left, told, end_s = before, 0, time.monotonic() + WAIT_S
    while left.seats and time.monotonic() < end_s:
        if left.seats != told and not session.plain:
            typer.echo(clean(f"{left.name} is one of the stewards of {_grids(left.seats)}"))
            if not told:
                typer.echo(f"waiting for others to take its place, {WAIT_S / 60:.0f} min at most")
        told = left.seats
        time.sleep(LOOK_EVERY_S)
        left = client.get("/self", SelfRow)
    if left.seats:
        raise failure(
            f"{left.name} is still one of the stewards of {_grids(left.seats)}: no other host took its place",
            "another host at a site that carries them, or at their owner's, then `overlayctl leave` again; "
            "`down` and `up` for a grid that was made when there were fewer than three hosts",
        )
    if session.plain:
        answer(session, client.raw("GET", "/self"), SelfRow, lambda _: None)
        return
    typer.echo(clean(f"{left.name} can be stopped for good: no grid's record needs it"))
    if left.carried:
        typer.echo(
            clean(f"it still carries workspaces of {_grids(left.carried)}, which end with it")
        )


def _grids(count: int) -> str:
    return f"{count} grid" if count == 1 else f"{count} grids"
