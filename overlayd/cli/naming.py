"""Which grid is meant: NAME, SITE/NAME where several sites have one of that name, or an id.

What is only read is shown of all. An order is about the grid of whoever signs it, so that nobody's grid of that
name stands in the way of another's; SITE/NAME and ids say more, and are checked against the identity.
"""

from overlayd.api.views import GridView
from overlayd.cli.client import AMBIGUOUS, Refused, decoded
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.session import Session
from overlayd.cli.words import NAME
from protocol.grid.problem import quoted
from protocol.grid.record import GridState
from protocol.node.rows import GridRow

_PS = "`overlayctl ps` lists the grids there are"


def path_of(name: str) -> str:
    """A grid's path in the API. Raises Failure for what cannot be a name, before it becomes another path."""
    parts = name.split("/")
    if len(parts) > 2 or not all(NAME.fullmatch(part) for part in parts):
        raise failure(f"{quoted(name)} is no grid's name", _PS)
    return f"/grids/{name}"


def views_of(session: Session, name: str) -> list[bytes]:
    """The API's view of each grid that is meant. Raises Failure if there is none."""
    try:
        return [session.client.raw("GET", path_of(name))]
    except Refused as refused:
        if refused.status != AMBIGUOUS:
            raise
    rows = session.client.get("/grids", list[GridRow])
    ids = [row.grid for row in rows if row.name == name.rpartition("/")[2]]
    raw = [view for grid in ids if (view := _view_of(session, grid)) is not None]
    return [view for view in raw if decoded(view, GridView).grid.state == GridState.UP]


def _view_of(session: Session, grid: str) -> bytes | None:
    """The API's view of the grid with that id; None if it has gone meanwhile."""
    try:
        return session.client.raw("GET", f"/grids/{grid}")
    except Refused as refused:
        if refused.status != 404:
            raise
        return None


def grid_of(session: Session, name: str) -> str:
    """What an order names for a whole grid: the name as it is, or for SITE/NAME an id. Raises Failure."""
    if "/" not in name:
        return name
    site, _, grid = name.partition("/")
    found = _of(session, site, grid)
    if found is None:
        raise failure(f"there is no grid {quoted(grid)} of site {quoted(site)}", _PS)
    return found


def target_of(session: Session, target: str) -> tuple[str, str]:
    """Grid, as an order names it, and workspace, empty for all. Raises Failure.

    The target is a grid, GRID/WORKSPACE, SITE/GRID or SITE/GRID/WORKSPACE.
    """
    parts = target.split("/")
    if not all(parts) or len(parts) > 3:
        raise _no_workspace(target)
    match parts:
        case [grid]:
            return grid, ""
        case [site, grid, workspace]:
            return grid_of(session, f"{site}/{grid}"), workspace
        case [first, second]:
            whole = _of(session, first, second) if not _has(session, first, second) else None
            return (whole, "") if whole is not None else (first, second)
    raise _no_workspace(target)


def workspace_of(session: Session, target: str) -> tuple[str, str]:
    """The same of one workspace. Raises Failure if the target is a whole grid."""
    grid, workspace = target_of(session, target)
    if not workspace:
        raise _no_workspace(target)
    return grid, workspace


def _no_workspace(target: str) -> Exception:
    grid = target.partition("/")[0]
    said = f"{target} is not a workspace; write GRID/WORKSPACE"
    return failure(said, f"`overlayctl ps {grid}` lists a grid's workspaces", USAGE)


def _of(session: Session, site: str, grid: str) -> str | None:
    """The id of the grid of that name, or with that id, that is up and of that site."""
    rows = session.client.get("/grids", list[GridRow])
    up = [row for row in rows if row.state == GridState.UP and row.owner_site == site]
    return next((row.grid for row in up if grid in (row.name, row.grid)), None)


def _has(session: Session, grid: str, workspace: str) -> bool:
    """Whether a grid of that name or id has such a workspace."""
    try:
        views = views_of(session, grid)
    except Refused:
        return False
    found = (row for view in views for row in decoded(view, GridView).workspaces)
    return any(row.workspace == workspace for row in found)
