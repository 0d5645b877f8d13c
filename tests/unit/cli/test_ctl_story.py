"""What happened to a grid is shown where its owner looks, also by `ps`."""

import time

import pytest
from asked_daemon import Daemon

from overlayd.api.views import GridView
from overlayd.cli.story import print_story
from protocol.grid.lifecycle import Phase
from protocol.hosting.events import Progressed
from protocol.node.rows import GridRow, StoryRow
from protocol.terms.ids import GridId


def view(lines: int) -> GridView:
    row = GridRow(GridId("g"), "demo", "ams", "up", 1, 0, (), 1, 1, ("h1",), 60.0)
    story = tuple(
        StoryRow(1e9 + n, "h1", "lease.warning", f"line {n}\x1b[2J") for n in range(lines)
    )
    return GridView(row, (), story)


def test_a_story_is_shown_with_its_hosts_and_made_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_story(view(7), 2)
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "what happened to it lately; `overlayctl explain demo` tells more:"
    assert [line.split("  ")[-1] for line in said[2:]] == ["line 5?[2J", "line 6?[2J"]
    print_story(view(7))
    assert len(capsys.readouterr().out.splitlines()) == 9
    print_story(view(0))
    assert capsys.readouterr().out == ""


def test_show_explain_and_ps_tell_what_happened_to_a_grid(daemon: Daemon) -> None:
    daemon.up()
    head = daemon.ask("ps").stdout.splitlines()[0]
    assert not head.endswith("DETAIL"), "nothing is the matter"
    (row,) = daemon.host.node.host.leases.rows()
    failed = Progressed(row.record.id, "worker-1", Phase.FAILED, "no such image", 1)
    daemon.call(lambda: daemon.host.submit(failed))
    text = "worker-1: failed no such image"
    until_s = time.monotonic() + 10
    while text not in daemon.ask("show", "demo").stdout:
        assert time.monotonic() < until_s, "no such line"
        time.sleep(0.02)
    assert text in daemon.ask("explain", "demo").stdout
    assert (
        '"text": "worker-1: failed no such image"'
        in daemon.ask("-o", "json", "show", "demo").stdout
    )
