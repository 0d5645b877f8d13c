"""What deletes data says what it deletes, and asks."""

import sys
from pathlib import Path

import pytest
import typer
from asked_daemon import Daemon

from overlayd.cli import volumes
from overlayd.cli.failure import INTERRUPTED, Failure
from overlayd.cli.session import Output, Session
from protocol.node.rows import VolumeRow

LISTED = "scratch (1 GiB) on h1"


def test_down_deletes_no_volume_unless_it_is_told_to(daemon: Daemon) -> None:
    daemon.up()
    assert daemon.ask("down", "demo", code=2).stderr == (
        f"error: demo has volumes, and `down` deletes them: {LISTED}\n"
        "  would work: overlayctl down demo --delete-volumes\n"
    )
    assert "volumes     scratch (1 GiB) of head-1 on h1" in daemon.ask("show", "demo").stdout
    assert daemon.ask("down", "demo", "--delete-volumes").stdout.endswith("demo is gone\n")


def test_terminate_says_what_becomes_of_the_volumes(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("terminate", "demo/worker-2").stdout
    assert said.endswith("demo/worker-2 is gone\n"), "it had none"
    said = daemon.ask("terminate", "demo/head-1").stdout
    assert said.endswith(f"its volumes stay; `overlayctl down demo` deletes them: {LISTED}\n")
    assert "volumes     scratch (1 GiB) of head-1 on h1" in daemon.ask("show", "demo").stdout


def test_terminate_deletes_them_when_told_to(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("terminate", "demo/head-1", "--delete-volumes").stdout
    assert said.endswith(f"its volumes are deleted: {LISTED}\n")
    assert "volumes  " not in daemon.ask("show", "demo").stdout
    assert daemon.ask("down", "demo").stdout.endswith("demo is gone\n"), (
        "nothing is left to ask about"
    )


@pytest.mark.parametrize("answer", [False, typer.Abort()], ids=["no", "Ctrl-C"])
def test_who_does_not_agree_is_told_that_nothing_was_done(
    monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    def confirm(_: str) -> bool:
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    there = (VolumeRow("scratch", "h1", 1 << 30, "head-1"),)
    monkeypatch.setattr(volumes, "volumes_of", lambda session, grid: there)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", confirm)
    with pytest.raises(Failure) as failed:
        volumes.agree(Session(Path("s"), Output.TABLE, None), "demo", "demo-id")
    assert failed.value.lines[0] == "demo is as it was"
    assert failed.value.code == INTERRUPTED
