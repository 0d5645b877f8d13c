"""The last lines of the consoles of workspaces that are not ready, for who waited for them in vain."""

import re
from collections.abc import Iterable, Iterator

import typer

from overlayd.api.views import ConsoleRequest, ConsoleView, GridView
from overlayd.cli.failure import Failure
from overlayd.cli.session import Session
from overlayd.cli.words import clean
from protocol.grid.lifecycle import Phase
from protocol.grid.record import order_part
from protocol.node.rows import GridRow, WorkspaceRow
from protocol.terms.ids import RequestId
from protocol.trust.order import Action

LINES = 6
SHOWN = 6
"""Of so many workspaces the lines are shown."""
_TAIL_BYTES = 4096
_TOLD = (Phase.BOOTING, Phase.RUNNING, Phase.REACHABLE, Phase.FAILED, Phase.NO_ROOM, Phase.STALLED)
"""Phases of those that are on their way, and have a console that may say why they get no further."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def tell_last_lines(session: Session, request: RequestId) -> None:
    """Writes to standard error what those workspaces of a request's grid said last that are not ready.

    Nothing if it made no grid. What cannot be read is said, and fails nothing.
    """
    if session.plain:
        return
    try:
        rows = members_of(session, request)
    except Failure:
        return
    late = [row for row in rows if row.phase in _TOLD]
    for row in late[:SHOWN]:
        for line in _of(session, row):
            typer.echo(line, err=True)
    if len(late) > SHOWN:
        said = f"{len(late) - SHOWN} more are not ready; `overlayctl ps {late[0].grid}` lists them"
        typer.echo(said, err=True)


def members_of(session: Session, request: RequestId) -> tuple[WorkspaceRow, ...]:
    """What hosts tell of the grid that a request made, if it made one. Its id starts with the request's.

    Raises Failure: it is gone between two looks, or the daemon is away.
    """
    for row in session.client.get("/grids", list[GridRow]):
        if order_part(row.grid) == request:
            return session.client.get(f"/grids/{row.grid}", GridView).workspaces
    return ()


def last_of(said: bytes, most: int = LINES) -> list[str]:
    """The last lines of a console that say something, without what moves a terminal."""
    text = _ESCAPES.sub("", said.decode(errors="replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return [clean(line.rstrip()) for line in lines if line.strip()][-most:]


def _of(session: Session, row: WorkspaceRow) -> Iterator[str]:
    name = f"{row.grid}/{row.workspace}"
    head = clean(f"{name} on {row.host} is {row.phase}{f': {row.detail}' if row.detail else ''}")
    try:
        lines: Iterable[str] = last_of(_tail(session, row))
    except Failure as error:
        yield f"{head}; its console cannot be read: {clean(error.lines[0])}"
        return
    if not lines:
        yield f"{head}; its console has said nothing"
        return
    yield f"{head}; its console said last:"
    yield from (f"    {line}" for line in lines)


def _tail(session: Session, row: WorkspaceRow) -> bytes:
    order = session.sign(Action.CONSOLE, row.grid_id, row.workspace, via=session.peer)
    return session.client.post("/console", ConsoleRequest(order, -_TAIL_BYTES), ConsoleView).data
