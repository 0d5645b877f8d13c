"""Which workspace is reached by one of its ports, and why not if it cannot be."""

import msgspec

from overlayd.api.views import GridView
from overlayd.cli.client import decoded
from overlayd.cli.failure import failure
from overlayd.cli.naming import views_of, workspace_of
from overlayd.cli.session import Session
from overlayd.cli.words import clean
from protocol.grid.lifecycle import Phase
from protocol.grid.problem import listed, quoted
from protocol.node.rows import WorkspaceRow

NOT_THERE = (
    *(Phase.HELD, Phase.IMAGE, Phase.NETWORK, Phase.SAVING, Phase.SUSPENDED, Phase.OFF),
    *(Phase.EXPIRED, Phase.ENDING, Phase.GONE, Phase.LOST),
)
"""Phases in which no port of a workspace can answer."""


class Reached(msgspec.Struct, frozen=True):
    """One workspace of one grid."""

    grid: str
    """The grid's id."""
    name: str
    """The grid's name."""
    workspace: str
    row: WorkspaceRow

    @property
    def alias(self) -> str:
        """What its host key is known by: another grid's workspace of that name is another machine."""
        return f"{self.workspace}.{self.grid}"


def reached(session: Session, target: str) -> Reached:
    """The workspace that is meant, if one of its ports could answer. Raises Failure."""
    grid, workspace = workspace_of(session, target)
    view = view_of(session, grid)
    row = next((row for row in view.workspaces if row.workspace == workspace), None)
    if row is None:
        names = listed([row.workspace for row in view.workspaces])
        said = f"there is no workspace of {view.grid.name} named {quoted(workspace)}"
        raise failure(f"{said}; there are {names}")
    if row.phase in NOT_THERE:
        detail = f": {clean(row.detail)}" if row.detail else ""
        said = f"{view.grid.name}/{workspace} is {row.phase}, so no port of it answers{detail}"
        raise failure(said, f"`overlayctl show {view.grid.name}` says how far it is")
    if not row.address:
        said = f"{view.grid.name}/{workspace} has no network, so no port of it can be reached"
        raise failure(said, f"`overlayctl console {view.grid.name}/{workspace} --interactive`")
    return Reached(view.grid.grid, view.grid.name, workspace, row)


def view_of(session: Session, grid: str) -> GridView:
    """The grid of that name or id that the identity may reach into. Raises Failure."""
    views = [decoded(raw, GridView) for raw in views_of(session, grid)]
    own = [view for view in views if view.grid.owner_site == session.label]
    return (own or views)[0]
