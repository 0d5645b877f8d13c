"""What a command deletes is said before it does, and a person is asked."""

import sys

import typer

from overlayd.api.views import GridView
from overlayd.cli.client import Refused, decoded
from overlayd.cli.failure import INTERRUPTED, USAGE, failure
from overlayd.cli.naming import views_of
from overlayd.cli.session import Session
from overlayd.cli.show import print_lines
from protocol.node.rows import VolumeRow
from protocol.terms.quantities import format_size


def agree(session: Session, name: str, grid: str) -> None:
    """Asks, if the grid has volumes, whether they may go. Raises Failure if not, or if nobody can be asked.

    `name` is what was typed, `grid` the id of what that means.
    """
    volumes = volumes_of(session, grid)
    if not volumes:
        return
    said = f"{name} has volumes, and `down` deletes them: {listed(volumes)}"
    command, question = f"overlayctl down {name}", f"take {name} down and delete them?"
    confirm(session, name, said, question, command, "--delete-volumes")


def confirm(
    session: Session, name: str, said: str, question: str, command: str, unasked: str
) -> None:
    """Asks whether data may go. Raises Failure if not, or if nobody can be asked.

    `said` is what goes, `command` what was typed, and `unasked` its option that asks nobody.
    """
    if session.plain or not sys.stdin.isatty():
        raise failure(said, f"{command} {unasked}", USAGE)
    print_lines([said])
    try:
        agreed = typer.confirm(question)
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        agreed = False
    if not agreed:
        raise failure(f"{name} is as it was", command, INTERRUPTED)


def volumes_of(session: Session, grid: str) -> tuple[VolumeRow, ...]:
    """What the hosts of a grid keep for it, as they tell; nothing if nobody tells of such a grid.

    Of several grids of that name an order is about that of whoever signs it.
    """
    try:
        views = [decoded(raw, GridView).grid for raw in views_of(session, grid)]
    except Refused as refused:
        if refused.status != 404:
            raise
        return ()
    mine = views if len(views) == 1 else [v for v in views if v.owner_site == session.label]
    return tuple(volume for view in mine for volume in view.volumes)


def listed(volumes: tuple[VolumeRow, ...]) -> str:
    """`data (2 GiB) on uc-1, ...`."""
    return ", ".join(f"{v.name} ({format_size(v.size_bytes)}) on {v.host}" for v in volumes)
