"""What there is no room for now is made once there is, by a command that was asked to wait."""

import json

import pytest
from asked_daemon import Daemon

from overlayd.cli import room


@pytest.fixture
def full(daemon: Daemon) -> Daemon:
    """A host of which another grid, `other`, has so much that `demo` has no room for more."""
    daemon.up()
    other = daemon.folder / "other.yaml"
    text = daemon.grid_file.read_text().replace("grid: demo", "grid: other")
    other.write_text(text.replace("memory: 256M", "memory: 3G"))
    daemon.ask("up", other)
    return daemon


@pytest.fixture
def slept(full: Daemon, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it was waited each time. The second time `other` is taken down meanwhile."""
    times: list[float] = []

    def sleep(seconds: float) -> None:
        times.append(seconds)
        assert len(times) < 5
        if len(times) == 2:
            full.ask("down", "other", "--delete-volumes")

    monkeypatch.setattr(room, "time", type("Clock", (), {"sleep": staticmethod(sleep)}))
    return times


def names(daemon: Daemon, grid: str = "demo") -> list[str]:
    shown = json.loads(daemon.ask("show", grid, "--output", "json").stdout)
    return sorted(row["workspace"] for row in shown["workspaces"])


def test_a_change_waits_for_room_and_says_once_that_it_does(
    full: Daemon, slept: list[float]
) -> None:
    file = full.grid_file
    file.write_text(file.read_text().replace("count: 2", "count: 6"))
    full.ask("up", file, "-y", code=1)
    said = full.ask("up", file, "-y", "--wait")
    assert said.stderr.count("cannot place") == 1
    assert said.stderr.count("waiting for room; it is tried every 30 s") == 1
    assert said.stdout.count("asking hosts to hold") + said.stdout.count("to hold") == 1
    assert slept == [room.TRY_EVERY_S] * 2
    assert len(names(full)) == 7


def test_scale_and_resize_wait_as_well(full: Daemon, slept: list[float]) -> None:
    full.ask("resize", "demo/head", "--memory", "1G", "-y", code=1)
    full.ask("scale", "demo/worker=+4", "-y", "--wait")
    assert len(names(full)) == 7
    full.ask("resize", "demo/head", "--memory", "1G", "-y", "--wait")
    assert len(slept) == 2, "there was room at once"


def test_a_grid_that_is_new_waits_as_well(full: Daemon, slept: list[float]) -> None:
    third = full.folder / "third.yaml"
    text = full.grid_file.read_text().replace("grid: demo", "grid: third")
    third.write_text(text.replace("memory: 256M", "memory: 2G"))
    full.ask("up", third, "--wait")
    assert len(names(full, "third")) == 3
    assert len(slept) == 2


def test_what_no_time_mends_is_not_waited_for(full: Daemon, slept: list[float]) -> None:
    said = full.ask("scale", "demo/worker=0", "--wait", "-y", code=2).stderr
    assert "the fewest are 1" in said
    said = full.ask("up", "--quote", "quote-1", "--wait", code=2).stderr
    assert "nothing to wait for" in said
    assert slept == []
    file = full.grid_file
    file.write_text(
        file.read_text()
        .replace(
            "image: guest\n    cpus: 0.5",
            "image: guest\n    labels: {required: [gpu]}\n    cpus: 0.5",
        )
        .replace("grid: demo", "grid: fourth")
    )
    said = full.ask("up", file, "--wait", code=1).stderr
    assert "label" in said
    assert len(slept) == 2, "until room was not in the way any more"
