"""What the shell completes from the daemon: it asks briefly, and is silent if the daemon does not answer."""

import os
from pathlib import Path
from typing import TypeVar

import typer

from overlayd.api.views import GridView, ImageRow
from overlayd.cli.client import DEFAULT_SOCKET, Client
from overlayd.cli.failure import Failure
from protocol.node.rows import GridRow
from protocol.requesting.request import RequestView
from protocol.trust.owner import plain

T = TypeVar("T")

_WITHIN_S = 1.0


def complete_grid(context: typer.Context, incomplete: str) -> list[str]:
    """Names of grids; with the site where several have one of that name."""
    rows = _get(context, "/grids", list[GridRow]) or []
    names = [row.name for row in rows]
    long = [f"{plain(row.owner_site)}/{row.name}" for row in rows if names.count(row.name) > 1]
    return _starting([*names, *long], incomplete)


def complete_workspace(context: typer.Context, incomplete: str) -> list[str]:
    """GRID, or GRID/WORKSPACE once the grid is named."""
    grid, slash, _ = incomplete.partition("/")
    if not slash:
        return complete_grid(context, incomplete)
    view = _get(context, f"/grids/{grid}", GridView)
    names = [f"{grid}/{row.workspace}" for row in view.workspaces] if view else []
    return _starting(names, incomplete)


def complete_request(context: typer.Context, incomplete: str) -> list[str]:
    """Grids, and requests."""
    views = _get(context, "/requests", list[RequestView]) or []
    ids = _starting([view.id for view in views], incomplete)
    return [*complete_grid(context, incomplete), *ids]


def complete_quote(context: typer.Context, incomplete: str) -> list[str]:
    """Quotes that can be taken up, newest first."""
    views = _get(context, "/requests", list[RequestView]) or []
    return _starting([view.id for view in reversed(views) if view.until_s], incomplete)


def complete_image(context: typer.Context, incomplete: str) -> list[str]:
    """Names of this host's images."""
    rows = _get(context, "/images", list[ImageRow]) or []
    return _starting([row.name for row in rows if row.here and row.name], incomplete)


def _starting(names: list[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _get(context: typer.Context, path: str, kind: type[T]) -> T | None:
    """An answer; None if there is none.

    The root command has not run, so its option is read from the line or the environment.
    """
    named = context.find_root().params.get("peer") or os.environ.get("OVERLAYD_SOCKET")
    try:
        return Client(Path(named or DEFAULT_SOCKET), _WITHIN_S).get(path, kind)
    except Failure:
        return None
