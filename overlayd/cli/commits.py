"""`overlayctl image commit`: an image of what was installed on a workspace."""

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from overlayd.cli.client import decoded
from overlayd.cli.failure import INTERRUPTED, failure
from overlayd.cli.life import One
from overlayd.cli.naming import workspace_of
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import answer, print_lines
from protocol.grid.syntax import image_name_problem
from protocol.image.commit import CommitStage, CommitTerms, CommitView
from protocol.terms.quantities import format_size
from protocol.trust.order import Action
from protocol.wire.codec import encode

EVERY_S = 0.5

_WORDS = {
    CommitStage.WAITS: "waits for another on its host",
    CommitStage.IMAGE: "copying the image it began as",
    CommitStage.DISK: "copying what was written",
    CommitStage.HASH: "hashing what was written",
}


def commit(
    context: typer.Context,
    target: One,
    name: Annotated[
        str, typer.Option("--name", help="What grid files will call it.", show_default=False)
    ],
) -> None:
    """Makes an image of a workspace's root disk, as it is now: you describe it by installing it.

    Its guest stands still for as long as it takes to copy what it has written to its disk. With the QEMU guest
    agent in it its file systems are whole; without, they are as after a power cut. The image is on the
    workspace's host, and other hosts fetch it from there when a grid names it.

    Example: overlayctl image commit star/head-1 --name analysis-1
    """
    session = session_of(context)
    if problem := image_name_problem(name):
        raise failure(f"--name: {problem}")
    grid, workspace = workspace_of(session, target)
    terms = CommitTerms(name, secrets.token_hex(8))
    raw = _followed(session, grid, workspace, terms, target)
    view = decoded(raw, CommitView)
    if view.stage is CommitStage.FAILED:
        raise failure(f"no image was made of {target}: {view.detail}")
    answer(session, raw, CommitView, lambda made: _said(name, made))


def _said(name: str, view: CommitView) -> None:
    size = format_size(view.size_bytes)
    print_lines([f"made {name}  {size}  {view.digest}", f"  {view.detail}"])


def _followed(
    session: Session, grid: str, workspace: str, terms: CommitTerms, target: str
) -> bytes:
    """Asks until it is over. Every order is signed anew, and names the same commit."""
    try:
        with _progress(session) as show:
            while True:
                body, via = encode(terms), session.peer
                order = session.sign(Action.COMMIT, grid, workspace, body, via=via)
                raw = session.client.raw("POST", "/commits", msgspec.json.encode(order))
                view = decoded(raw, CommitView)
                if view.over:
                    return raw
                show(view)
                time.sleep(EVERY_S)
    except KeyboardInterrupt:
        said = f"the image of {target} is being made all the same"
        raise failure(said, "overlayctl image list shows it when it is", INTERRUPTED) from None


@contextmanager
def _progress(session: Session) -> Iterator[Callable[[CommitView], None]]:
    """Shows how far it is: a bar on a terminal, else nothing."""
    if session.plain or not sys.stdout.isatty():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task("", total=None)
        stage: list[CommitStage] = []

        def show(view: CommitView) -> None:
            if view.stage not in stage[-1:]:
                stage.append(view.stage)
                progress.reset(task, description=_WORDS.get(view.stage, ""))
            progress.update(task, completed=view.done_bytes, total=view.total_bytes or None)

        yield show
