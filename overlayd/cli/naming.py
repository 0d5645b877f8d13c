"""Which grid is meant: NAME, OWNER/NAME where several have one of that name, or an id. Sites and VOs own grids.

What is only read is shown of all. An order names a grid by its id, so that it is about that one and about no
later grid of the name. The name is looked up at the daemon before the order is signed: it is that of a grid of
whoever signs, so that nobody's grid of that name stands in the way of another's.
"""

from overlayd.api.views import GridView
from overlayd.cli.client import AMBIGUOUS, NOT_FOUND, Refused, decoded
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.session import Session
from overlayd.cli.words import NAME
from protocol.grid.problem import quoted
from protocol.grid.record import GridState
from protocol.node.rows import GridRow
from protocol.requesting.request import UNENDED, RequestView
from protocol.trust.owner import is_called, plain

_PS = "`overlayctl ps` lists the grids there are"
_TOLD_MOST = 8


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
        grid, _, workspace = name.partition("/")
        if refused.status == NOT_FOUND and workspace and _has(session, grid, workspace):
            said = f"{name} is a workspace, and this is about a whole grid"
            raise failure(said, f"the same with {grid}", USAGE) from None
        if refused.status != AMBIGUOUS:
            raise
    site, _, grid = name.rpartition("/")
    ids = _up(session, site, grid)
    return [view for grid in ids if (view := _view_of(session, grid)) is not None]


def requests_name(session: Session, name: str) -> str:
    """By what requests name a grid that is called OWNER/GRID: GRID, unless another owner's is called so."""
    site, _, grid = name.rpartition("/")
    return grid if not site or _up(session, site, grid) == _up(session, "", grid) else name


def _view_of(session: Session, grid: str) -> bytes | None:
    """The API's view of the grid with that id; None if it has gone meanwhile."""
    try:
        return session.client.raw("GET", f"/grids/{grid}")
    except Refused as refused:
        if refused.status != NOT_FOUND:
            raise
        return None


def grid_of(session: Session, name: str) -> str:
    """What an order names for a grid: the id of the one that is meant. Raises Failure if several are.

    One that is being placed by a request of that daemon is named as its order is. If there is neither, the name
    stays, and the daemon says what there is.
    """
    site, _, grid = name.rpartition("/")
    found = _up(session, site or session.label, grid)
    if len(found) > 1:
        each = " or ".join(found)
        raise failure(f"{name} is the name of {len(found)} grids", f"the same with {each}")
    if found:
        return found[0]
    if site:
        raise failure(f"there is no grid {quoted(grid)} of {quoted(plain(site))}", _PS)
    return _asked(session, grid) or name


def target_of(session: Session, target: str) -> tuple[str, str]:
    """Grid, as an order names it, and workspace, empty for all. Raises Failure.

    The target is a grid, GRID/WORKSPACE, SITE/GRID or SITE/GRID/WORKSPACE.
    """
    parts = target.split("/")
    if not all(parts) or len(parts) > 3:
        raise _no_workspace(target)
    match parts:
        case [grid]:
            return grid_of(session, grid), ""
        case [site, grid, workspace]:
            return grid_of(session, f"{site}/{grid}"), workspace
        case [first, second]:
            if not _has(session, first, second) and _up(session, first, second):
                return grid_of(session, target), ""
            return grid_of(session, first), second
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


def _up(session: Session, site: str, grid: str) -> list[str]:
    """The ids of the grids of that name, or with that id, that are up; of that site, if one is named."""
    return _meant([row for row in _rows(session, grid) if is_called(row.owner_site, site)])


def _meant(rows: list[GridRow]) -> list[str]:
    """The ids of those that are up; if no such grid is confirmed, of those that are only told of.

    What is told of these does not count: a host that lies would keep a person from their own grid with it.
    """
    up = [str(row.grid) for row in rows if row.confirmed and row.state == GridState.UP]
    return up or [str(row.grid) for row in rows if not row.confirmed][:_TOLD_MOST]


def _rows(session: Session, grid: str) -> list[GridRow]:
    """The grids of that name, or with that id."""
    rows = session.client.get("/grids", list[GridRow], {"name": grid})
    return [row for row in rows if grid in (row.name, row.grid)]


def _asked(session: Session, name: str) -> str:
    """What the ids of a grid begin with that a request of this daemon is placing; empty if none is."""
    views = session.client.get("/requests", list[RequestView])
    placing = [v for v in views if (v.kind, v.grid) == ("up", name) and v.state in UNENDED]
    return placing[-1].id if placing else ""


def _has(session: Session, grid: str, workspace: str) -> bool:
    """Whether a grid of that name or id has such a workspace."""
    try:
        views = views_of(session, grid)
    except Refused:
        return False
    found = (row for view in views for row in decoded(view, GridView).workspaces)
    return any(row.workspace == workspace for row in found)
