"""Elastic clusters, as people ask for them: what is said, what grows, and where room was faster."""

import time

import msgspec
import pytest
from asked_daemon import Daemon

from overlayd.cli.changing import Change, make
from overlayd.cli.session import Output, Session
from overlayd.cli.standing import standing_of
from protocol.node.standing import Standing


@pytest.fixture
def elastic(daemon: Daemon) -> Daemon:
    """A daemon with a grid of an elastic cluster: three workers, one at least."""
    text = daemon.grid_file.read_text()
    text = text.replace("for: 6h", "for: 6h, best-effort: true")
    text = text.replace("count: 2", "count: 3\n    min: 1\n    elastic: true")
    daemon.grid_file.write_text(text)
    daemon.up()
    return daemon


def standing(daemon: Daemon) -> Standing:
    return standing_of(Session(daemon.socket, Output.TABLE, daemon.host.site_dir), "demo")


def grown(daemon: Daemon, workers: int) -> Standing:
    """The grid once it has so many workers."""
    until_s = time.monotonic() + 30.0
    while time.monotonic() < until_s:
        now = standing(daemon)
        if sum(row.workspace.startswith("worker") for row in now.placed) == workers:
            return now
        time.sleep(0.1)
    raise AssertionError(f"it did not grow: {standing(daemon).placed}")


def test_a_scale_says_how_many_there_may_be(elastic: Daemon) -> None:
    said = elastic.ask("scale", "demo/worker=5", code=2).stderr
    assert "~ clusters.worker.count 3 > 5 (as room comes)" in said
    assert "would work: overlayctl scale demo/worker=5 -y" in said
    said = elastic.ask("scale", "demo/worker=1", code=2).stderr
    assert (
        "demo cannot have 1 of worker; the fewest are 2, one more than its `min`, since it is elastic"
        in said
    )
    elastic.ask("scale", "demo/worker=2", "-y")
    assert len(standing(elastic).placed) == 3


def test_it_grows_by_itself_and_history_says_so(elastic: Daemon) -> None:
    seen = standing(elastic)
    elastic.ask("scale", "demo/worker=+2", "-y")
    now = grown(elastic, 5)
    assert (now.past[-1].action, now.past[-1].by) == ("elastic", "room that came")
    assert "room that came" in elastic.ask("history", "demo").stdout
    assert "by room that came" in elastic.ask("explain", "demo").stdout
    assert "elastic     worker 5, 1 to 5 as there is room" in elastic.ask("show", "demo").stdout
    assert now.epoch > seen.epoch


def test_what_was_terminated_stays_away_when_something_else_is_scaled(elastic: Daemon) -> None:
    elastic.ask("terminate", "demo/worker-2")
    assert standing(elastic).out == ("worker-2",)
    elastic.ask("resize", "demo/head", "--cpus", "0.75", "-y")
    assert standing(elastic).out == ("worker-2",)
    assert len(standing(elastic).placed) == 3


def test_where_room_was_faster_it_is_asked_again(
    elastic: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    elastic.ask("scale", "demo/worker=4", "-y")
    seen = standing(elastic)
    now = grown(elastic, 4)
    assert now.epoch > seen.epoch
    session = Session(elastic.socket, Output.TABLE, elastic.host.site_dir)
    (head, worker) = seen.spec.clusters
    spec = msgspec.structs.replace(
        seen.spec, clusters=(msgspec.structs.replace(head, stop_within_s=5), worker)
    )
    make(session, Change(seen, spec), "overlayctl up demo.yaml", yes=True, no_wait=False)
    assert "by room that came); asked again" in capsys.readouterr().err
    assert len(standing(elastic).placed) == 5
