"""`overlayctl console`: a workspace's serial console, read through the overlay and typed into."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from overlayd.api.views import KEYS_MAX_BYTES, ConsoleRequest, ConsoleView
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.life import One
from overlayd.cli.naming import workspace_of
from overlayd.cli.session import Session, session_of
from protocol.trust.order import Action

EVERY_S = 0.4
TYPING_EVERY_S = 0.1
ESCAPE = b"\x1d"
"""Ctrl-], as telnet and virsh have it."""


def console(
    context: typer.Context,
    target: One,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")
    ] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Type into it; Ctrl-] ends it.")
    ] = False,
) -> None:
    """Prints a workspace's serial console, wherever it runs.

    Example: overlayctl console star/head-1

    Example: overlayctl console star/head-1 --interactive
    """
    session = session_of(context)
    reader = _Reader(session, *workspace_of(session, target))
    if interactive:
        _interact(reader, target)
        return
    try:
        while reader.read() or follow:
            if follow and reader.idle:
                time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return


class _Reader:
    """Reads on from where it stopped, and prints what there is."""

    def __init__(self, session: Session, grid: str, workspace: str) -> None:
        self._session, self._grid, self._workspace = session, grid, workspace
        self._offset = 0
        self.idle = False

    def read(self, keys: bytes = b"") -> bool:
        """Whether anything new was printed. Every read is signed anew, so that no order is kept around."""
        via = self._session.peer
        order = self._session.sign(Action.CONSOLE, self._grid, self._workspace, via=via)
        body = ConsoleRequest(order, self._offset, keys)
        view = self._session.client.post("/console", body, ConsoleView)
        self._offset = view.offset + len(view.data)
        self.idle = not view.data
        sys.stdout.buffer.write(view.data)
        sys.stdout.buffer.flush()
        return bool(view.data)


def _interact(reader: _Reader, target: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        said = "a console is typed into from a terminal, and this is none"
        raise failure(said, f"overlayctl console {target} --follow", USAGE)
    with _raw_terminal():
        typer.echo(f"{target}: Ctrl-] ends it\r", err=True)
        while True:
            keys = _typed(0.0 if not reader.idle else TYPING_EVERY_S)
            before, escape, _ = keys.partition(ESCAPE)
            reader.read(before)
            if escape:
                break
    typer.echo(err=True)


def _typed(within_s: float) -> bytes:
    """What was typed meanwhile; empty if nothing was."""
    ready, _, _ = select.select([sys.stdin], [], [], within_s)
    return os.read(sys.stdin.fileno(), KEYS_MAX_BYTES) if ready else b""


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Gives keys as they are typed. Afterwards the terminal is as before, whatever happens."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    try:
        tty.setraw(stdin)
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
