"""Time that runs while one waits, whether news comes or not."""

import io
import sys
import time
from pathlib import Path

import msgspec
import pytest
from asked_daemon import Daemon
from rich.console import Console

from overlayd.cli import asking, progress
from overlayd.cli.changing import Change
from overlayd.cli.progress import Line, Screen, Watched, elapsed_s, lines_of
from overlayd.cli.session import Output, Session
from overlayd.cli.standing import standing_of
from overlayd.cli.words import elapsed
from protocol.requesting.request import RequestState, RequestView, StoryLine
from protocol.terms.ids import RequestId


def view(started_s: float, state: RequestState = RequestState.RUNNING) -> RequestView:
    story = (StoryLine(started_s + 2.0, "held"),)
    return RequestView(RequestId("r"), "up", "demo", state, "building", started_s, (), story)


def test_the_time_on_the_screen_runs_while_no_news_comes() -> None:
    now_s = [1000.0]
    screen = Screen(lambda: now_s[0])
    screen.console = Console(file=io.StringIO(), width=80)
    screen.show(view(1000.0), [Line("head-1", "h1", "uc", "booting")])
    heads = []
    for now_s[0] in (1003.0, 1075.9):
        with screen.console.capture() as shown:
            screen.console.print(screen.drawn())
        heads.append(shown.get().splitlines()[0])
    assert heads == ["demo: building, 3 s - held", "demo: building, 1 min 15 s - held"]


def test_what_has_ended_tells_how_long_it_took() -> None:
    assert elapsed_s(view(1000.0, RequestState.DONE), 5000.0) == 2.0
    assert elapsed_s(view(1000.0), 999.0) == 0.0, "clocks that step back"


@pytest.mark.parametrize(
    ("spent_s", "said"),
    [(0.9, "0 s"), (59.9, "59 s"), (185.0, "3 min 05 s"), (7629.0, "2 h 07 min 09 s")],
)
def test_elapsed_time_is_told_to_the_second(spent_s: float, said: str) -> None:
    assert elapsed(spent_s) == said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "clock"), [(Terminal, True), (io.StringIO, False)])
def test_an_order_that_is_waited_for_has_a_clock_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], clock: bool
) -> None:
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    session = Session(Path("s"), Output.TABLE, None)
    with asking.waiting(session, lambda _: print("told")) as shown:
        shown(view(time.time() - 65.0))
    assert "told\n" in out.getvalue()
    assert ("up demo: building, 1 min 05 s" in out.getvalue()) is clock
    assert out.getvalue().endswith("\r\x1b[K") is clock
    assert progress.Screen is Screen


def test_a_change_shows_where_those_are_that_it_touches_and_how(daemon: Daemon) -> None:
    daemon.up()
    session = Session(daemon.socket, Output.TABLE, daemon.host.site_dir)
    standing = standing_of(session, "demo")
    head, worker = standing.spec.clusters
    more = msgspec.structs.replace(head, cpus_milli=1000), msgspec.structs.replace(worker, count=3)
    change = Change(standing, msgspec.structs.replace(standing.spec, clusters=more))
    assert change.touched == ("head-1", "worker-3")
    before = lines_of(session, Watched(change.touched, standing), view(1000.0))
    assert (before[0].host, before[0].site) == ("h1", "ams")
    assert before[0].phase in ("running", "reachable", "ready", "booting", "network", "held")
    assert before[1] == Line("worker-3")


def test_what_comes_back_is_not_shown_as_gone(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.up()
    session = Session(daemon.socket, Output.TABLE, daemon.host.site_dir)
    watched = Watched(("worker-1",), standing_of(session, "demo"))
    there = progress._members(session, watched, view(1000.0))
    gone = tuple(msgspec.structs.replace(row, phase="gone") for row in there)
    monkeypatch.setattr(progress, "_members", lambda *_: gone)
    assert lines_of(session, watched, view(1000.0)) == [Line("worker-1")]


def test_no_workspace_is_shown_in_a_phase_before_its_host_tells_of_it() -> None:
    screen = Screen(lambda: 1000.0)
    screen.console = Console(file=io.StringIO(), width=80)
    screen.show(view(1000.0), [Line("worker-3")])
    with screen.console.capture() as shown:
        screen.console.print(screen.drawn())
    assert shown.get().count("building") == 1, "only the head of it says what the request does"
    screen.show(view(1000.0), [])
    with screen.console.capture() as shown:
        screen.console.print(screen.drawn())
    assert len(shown.get().splitlines()) == 1
