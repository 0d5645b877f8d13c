"""Progress of an `up` or a change by workspace: a live table on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from overlayd.api.views import GridView
from overlayd.cli.asking import StoryLines, Watch
from overlayd.cli.failure import Failure
from overlayd.cli.last_lines import members_of
from overlayd.cli.session import Session
from overlayd.cli.show import print_lines, table
from overlayd.cli.words import clean, elapsed
from protocol.grid.expand import workspaces
from protocol.grid.lifecycle import Phase
from protocol.grid.model import GridSpec
from protocol.node.rows import WorkspaceRow
from protocol.node.standing import Standing
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.quantities import counted

_COLUMNS = ("workspace", "host", "site", "phase", "detail")


class Line(msgspec.Struct, frozen=True):
    """One workspace on its way."""

    workspace: str
    host: str = ""
    site: str = ""
    phase: str = ""
    detail: str = ""


class Watched(msgspec.Struct, frozen=True):
    """What is made or changed."""

    names: tuple[str, ...]
    """The workspaces that are waited for, in the order of the file."""
    standing: Standing | None = None
    """The grid that is changed; None if one is made."""


def made(spec: GridSpec) -> Watched:
    """A grid that is made."""
    return Watched(tuple(workspace.name for workspace in workspaces(spec)))


@contextmanager
def watching(session: Session, watched: Watched) -> Iterator[Watch]:
    """What `follow` is to call. On exit the last state stays on the terminal."""
    if session.plain:
        yield lambda view: None
    elif not sys.stdout.isatty():
        yield _Plain(session, watched)
    else:
        screen = Screen()
        with Live(get_renderable=screen.drawn, console=screen.console, refresh_per_second=4):
            yield lambda view: screen.show(view, lines_of(session, watched, view))


class Screen:
    """What is on the terminal, drawn anew several times a second: the time runs while nothing comes."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.console = Console()
        self._now = now
        self._news: tuple[RequestView, list[Line]] | None = None

    def show(self, view: RequestView, lines: list[Line]) -> None:
        """Takes news. Another thread draws it."""
        self._news = view, lines

    def drawn(self) -> Group:
        """What is known now, and for how long the request has been under way."""
        if self._news is None:
            return Group()
        return _screen(*self._news, self.console.width, self._now())


def elapsed_s(view: RequestView, now_s: float) -> float:
    """For how long a request has been under way; once it has ended, how long it took."""
    if view.state is RequestState.RUNNING or not view.story:
        return max(0.0, now_s - view.started_s)
    return max(0.0, view.story[-1].at_s - view.started_s)


class _Plain:
    """Prints each change once."""

    def __init__(self, session: Session, watched: Watched) -> None:
        self._session, self._watched = session, watched
        self._wide = max(map(len, watched.names), default=0)
        self._story = StoryLines(lambda text: text.split(" ", 1)[0] in watched.names)
        self._shown: dict[str, tuple[str, ...]] = {}

    def __call__(self, view: RequestView) -> None:
        """Prints what is new in this view."""
        self._story(view)
        for line in lines_of(self._session, self._watched, view):
            news = (line.host, line.phase, line.detail if line.phase == Phase.FAILED else "")
            if line.phase and self._shown.get(line.workspace) != news:
                self._shown[line.workspace] = news
                where = f"{line.host} ({line.site})" if line.site else line.host
                detail = f"  {line.detail}" if line.detail else ""
                print_lines([f"{line.workspace:<{self._wide}}  {where}  {line.phase}{detail}"])


def lines_of(session: Session, watched: Watched, view: RequestView) -> list[Line]:
    """Every workspace: once it is there as its host tells, and before that where it would go. What a change
    brings may have been there before: that this is gone says nothing of what comes."""
    told: dict[str, WorkspaceRow] = {}
    with suppress(Failure):  # Gone between two looks: the code that follows the request finds out.
        told = {row.workspace: row for row in _members(session, watched, view)}
    planned = {row.workspace: row for row in view.placement}
    lines = []
    for name in watched.names:
        row, plan = told.get(name), planned.get(name)
        if row is not None and not (watched.standing is not None and row.phase == Phase.GONE):
            lost = row.host_health in ("dead", "left", "suspect", "unknown")
            host = f"{row.host} ({row.host_health})" if lost else row.host
            lines.append(Line(name, host, row.site, row.phase, row.detail))
        elif plan is not None:
            lines.append(Line(name, plan.host, plan.site))
        else:
            lines.append(Line(name))
    return lines


def _members(session: Session, watched: Watched, view: RequestView) -> tuple[WorkspaceRow, ...]:
    if watched.standing is None:
        return members_of(session, view.id)
    return session.client.get(f"/grids/{watched.standing.grid}", GridView).workspaces


def _screen(view: RequestView, lines: list[Line], wide: int, now_s: float) -> Group:
    newest = view.story[-1] if view.story else None
    head = f"{view.grid}: {view.stage}, {elapsed(elapsed_s(view, now_s))}"
    if newest is not None and view.state is RequestState.RUNNING:
        head += f" - {newest.text}"
    rows = [(x.workspace, x.host, x.site, x.phase, x.detail) for x in lines]
    if not lines:
        return Group(Text(clean(head), style="bold"))
    return Group(
        Text(clean(head), style="bold"),
        table(_COLUMNS, rows, wide, ("site",))[0],
        Text(_count(lines), style="dim"),
    )


def _count(lines: list[Line]) -> str:
    phases: dict[str, int] = {}
    for line in lines:
        if line.phase:
            phases[line.phase] = phases.get(line.phase, 0) + 1
    said = ", ".join(f"{count} {phase}" for phase, count in phases.items())
    return f"{counted(len(lines), 'workspace')}{': ' if said else ''}{said}"
