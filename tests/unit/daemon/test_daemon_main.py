"""`run` goes a short way; everything else, help and mistakes too, is the command line's."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from overlayd import running
from overlayd.assembly import Assembly
from overlayd.config.daemonfile import DEFAULT_CONFIG
from overlayd.daemon import plain_run
from overlayd.telemetry import supervisor

HEAVY = ("typer", "litestar", "uvicorn", "httpx", "libvirt", "pyroute2", "pycdlib", "yaml")


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        (["run"], DEFAULT_CONFIG),
        (["run", "-c", "a.toml"], Path("a.toml")),
        (["run", "--config", "a.toml"], Path("a.toml")),
        (["run", "--config=a.toml"], Path("a.toml")),
    ],
)
def test_plain_ways_to_run(arguments: list[str], config: Path) -> None:
    assert plain_run(arguments) == config


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["run", "--help"],
        ["run", "-c"],
        ["run", "-c", "--help"],
        ["run", "--config="],
        ["run", "a.toml"],
        ["run", "-c", "a.toml", "more"],
        ["check-config", "a.toml"],
    ],
)
def test_the_rest_is_for_the_command_line(arguments: list[str]) -> None:
    assert plain_run(arguments) is None


@pytest.mark.parametrize(
    ("loads", "not_these"),
    [
        # The time from start to joined, and the memory of a daemon nobody asks.
        ("import overlayd.running", (*HEAVY, "protocol.node.snapshot")),
        # The memory of a host that carries nothing.
        ("import overlayd.hosting", ("pyroute2", "pycdlib", "litestar")),
        # A command that shows what a daemon says; it runs none.
        ("import overlayd.cli.overlay", ("protocol.node.node", "protocol.node.snapshot")),
        # The time to the first answer.
        ("from overlayd.api.app import create_app; create_app(None, Path('up'))", ("pydantic",)),
    ],
)
def test_what_can_wait_is_not_loaded(
    tmp_path: Path, loads: str, not_these: tuple[str, ...]
) -> None:
    script = f"import sys; from pathlib import Path; {loads}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert [name for name in done.stdout.split() if name in not_these] == []


@pytest.mark.parametrize("way", [["run"], ["run", "--help"], ["check-config", "--help"]])
def test_help_says_how(way: list[str]) -> None:
    argv = [sys.executable, "-m", "overlayd.daemon", *way[:-1], "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "Example" in done.stdout or "check-config" in done.stdout


async def test_a_folder_that_the_hosts_side_cannot_use_is_told_in_words(tmp_path: Path) -> None:
    async def open_host() -> None:
        (tmp_path / "images").touch()
        (tmp_path / "images").mkdir()

    opening = asyncio.create_task(open_host())
    await asyncio.wait([opening])
    with pytest.raises(running.Unfit, match=rf"{tmp_path}/images: file exists; host.state \(/s\)"):
        running.require_opened(opening, "/s", "/a")


async def test_an_api_that_could_not_be_served_is_served_at_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "_AGAIN_S", (0.0,))
    peer, tries, served = Assembly.__new__(Assembly), [], asyncio.Event()
    peer.supervisor = supervisor.Supervisor()

    async def serve() -> None:
        tries.append(True)
        if len(tries) == 1:
            raise OSError(24, "Too many open files")
        served.set()

    monkeypatch.setattr(peer, "_serve", serve)
    peer._knocked()
    async with asyncio.timeout(5):
        await served.wait()
    await peer.supervisor.close()
