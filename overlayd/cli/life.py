"""`overlayctl pause`, `resume`, `suspend`, `restore`, `restart`, `terminate`, `down`: orders about what is."""

from typing import Annotated

import typer

from overlayd.api.views import Accepted
from overlayd.cli.asking import StoryLines, as_told, ended, follow, waiting
from overlayd.cli.completing import complete_grid, complete_workspace
from overlayd.cli.failure import INTERRUPTED, USAGE, failure
from overlayd.cli.naming import target_of, workspace_of
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import print_lines
from overlayd.cli.volumes import agree, listed, volumes_of
from protocol.grid.stopping import StopTerms
from protocol.grid.volumes import TerminateTerms
from protocol.requesting.request import RequestState
from protocol.trust.order import Action
from protocol.wire.codec import encode

Target = Annotated[
    str,
    typer.Argument(
        metavar="GRID/WORKSPACE",
        help="One workspace, or a grid's name, SITE/NAME or id for all of them.",
        autocompletion=complete_workspace,
    ),
]
One = Annotated[
    str,
    typer.Argument(
        metavar="GRID/WORKSPACE", help="One workspace.", autocompletion=complete_workspace
    ),
]
Now = Annotated[
    bool, typer.Option("--now", help="Pull the plug: do not ask guests to shut down first.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Hand the order over and go.")]


def pause(context: typer.Context, target: Target, no_wait: NoWait = False) -> None:
    """Stops a workspace's cpus; its memory stays where it is.

    Example: overlayctl pause star/worker-1
    """
    give(session_of(context), Action.PAUSE, target, no_wait)


def resume(context: typer.Context, target: Target, no_wait: NoWait = False) -> None:
    """Lets a paused workspace go on.

    Example: overlayctl resume star/worker-1
    """
    give(session_of(context), Action.RESUME, target, no_wait)


def suspend(context: typer.Context, target: Target, no_wait: NoWait = False) -> None:
    """Saves a workspace to disk: its cpus and memory are free, its disks and its lease stay.

    Example: overlayctl suspend star/worker-1
    """
    give(session_of(context), Action.SUSPEND, target, no_wait)


def restore(context: typer.Context, target: Target, no_wait: NoWait = False) -> None:
    """Lets a suspended workspace go on where it stopped, if its host has room for it again.

    Example: overlayctl restore star/worker-1
    """
    give(session_of(context), Action.RESTORE, target, no_wait)


def restart(
    context: typer.Context, target: Target, now: Now = False, no_wait: NoWait = False
) -> None:
    """Starts a workspace anew; its disks stay as they are. What runs is asked to shut down first.

    Example: overlayctl restart star/worker-1

    Example: overlayctl restart star/worker-1 --now
    """
    give(session_of(context), Action.RESTART, target, no_wait, _stopping(now))


def terminate(
    context: typer.Context,
    target: One,
    delete_volumes: Annotated[
        bool,
        typer.Option("--delete-volumes", help="Its volumes, too."),
    ] = False,
    no_wait: NoWait = False,
) -> None:
    """Takes one workspace out of its grid, for good. Its volumes stay on its host until the grid is taken down.

    Example: overlayctl terminate star/worker-4

    Example: overlayctl terminate star/worker-4 --delete-volumes
    """
    session = session_of(context)
    grid, workspace = workspace_of(session, target)
    volumes = tuple(v for v in volumes_of(session, grid) if v.workspace == workspace)
    body = encode(TerminateTerms(delete_volumes=True)) if delete_volumes else b""
    give(session, Action.TERMINATE, target, no_wait, body, (grid, workspace))
    if volumes and not session.plain:
        named = target.removesuffix(f"/{workspace}")
        become = (
            "are deleted" if delete_volumes else f"stay; `overlayctl down {named}` deletes them"
        )
        print_lines([f"its volumes {become}: {listed(volumes)}"])


def down(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A grid's name, SITE/NAME or id.", autocompletion=complete_grid)
    ],
    delete_volumes: Annotated[
        bool, typer.Option("--delete-volumes", help="Do not ask before its volumes are deleted.")
    ] = False,
    now: Now = False,
    no_wait: NoWait = False,
) -> None:
    """Takes a grid down: nothing of it is left on any host. One still being placed is cancelled.

    Its volumes are deleted, so it asks first if there are any. Its guests are asked to shut down, and have the
    time that the grid file gives them (stop-within).

    Example: overlayctl down star

    Example: overlayctl down star --delete-volumes
    """
    session = session_of(context)
    grid, workspace = target_of(session, name)
    if workspace:
        said = f"{name} is one workspace; down takes a whole grid down"
        raise failure(said, f"overlayctl terminate {name}", USAGE)
    if not delete_volumes:
        agree(session, name, grid)
    give(session, Action.DOWN, name, no_wait, _stopping(now), (grid, ""))


def _stopping(now: bool) -> bytes:
    """The body of an order that ends guests."""
    return encode(StopTerms(at_once=True)) if now else b""


def give(
    session: Session,
    action: Action,
    target: str,
    no_wait: bool,
    body: bytes = b"",
    about: tuple[str, str] | None = None,
) -> None:
    """Gives an order about what exists, and follows it to its answer.

    `about` is what the target means, if that was looked up already: (grid, workspace).
    """
    grid, workspace = about or target_of(session, target)
    accepted = session.client.post("/orders", session.sign(action, grid, workspace, body), Accepted)
    if no_wait and not session.plain:
        typer.echo(f"request {accepted.request}")
        return
    if not no_wait:
        watch = (lambda view: None) if session.plain else StoryLines()
        try:
            with waiting(session, watch) as shown:
                view = follow(session, accepted.request, shown)
        except KeyboardInterrupt:
            said = f"stopped waiting; the order to {action} {target} stands"
            tells = f"`overlayctl explain {accepted.request}` tells what becomes of it"
            raise failure(said, tells, INTERRUPTED) from None
        if view.state is not RequestState.DONE or not session.plain:
            ended(view)
            return
    as_told(session, accepted.request)
