"""overlayctl's other commands: who is there, what happens, images, consoles; and no daemon at all."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from asked_daemon import Daemon
from one_host import image_file
from typer.main import get_command
from typer.testing import CliRunner

from overlayd.api.views import KEYS_MAX_BYTES
from overlayd.cli.failure import Failure
from overlayd.cli.main import app, hoisted
from overlayd.cli.overlay import _peers
from overlayd.cli.words import age, clean, shapes
from protocol.capacity.quantum import Quantum
from protocol.node.messages import ConsoleText
from protocol.node.rows import PeerRow
from protocol.terms.ids import PeerId


def test_peers_and_sites(daemon: Daemon) -> None:
    head, row = daemon.ask("peers").stdout.splitlines()
    assert (
        " ".join(head.split())
        == "NAME SITE HEALTH REACH DISTANCE AGE RUNS GUESTS BY FREE FITS WORKSPACES"
    )
    assert " ".join(row.split()) == (
        "h1 ams this one public 0 ms - test/test 4 cpus, 4 GiB, 20 GiB disk"
        " 16 x 0.25cpu/128M, 4 x 1cpu/1G, 1 x 2cpu/4G 0"
    )
    _, row = daemon.ask("sites").stdout.splitlines()
    assert (
        " ".join(row.split())
        == "ams 1 1 4 cpus, 4 GiB, 20 GiB disk 4 cpus, 4 GiB, 20 GiB disk 0 now"
    )
    assert json.loads(daemon.ask("peers", "-o", "json").stdout)[0]["health"] == "self"


def test_rows_of_other_hosts_say_how_old_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    def row(
        name: str, health: str, age_s: float, driver: str = "qemu", through: str = ""
    ) -> PeerRow:
        return PeerRow(
            peer=PeerId("0" * 64),
            name=name,
            site="uc",
            address="192.0.2.1:1",
            health=health,
            neighbour=True,
            reach="nat" if through else "public",
            through=through,
            age_s=age_s,
            round_trip_s=0.0,
            distance_s=0.0123,
            driver=driver,
            accelerator="kvm",
            accelerator_why="",
            free=Quantum(500, 1 << 30, 0),
            capacity=Quantum(),
            shapes=(("1cpu/1G", 0),),
            workspaces=1,
            images=(),
        )

    _peers(
        [row("a", "alive", 0.2), row("b\x1b[2J", "dead", 130.0), row("c", "alive", -1.0, "", "a")]
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        "a uc alive public 12 ms now qemu/kvm 0.5 cpus, 1 GiB none 1",
        "b?[2J uc dead public 12 ms 2.2 min qemu/kvm 0.5 cpus, 1 GiB none 1",
        "c uc alive nat by a 12 ms never - - - 1",
    ]
    ahead = msgspec.structs.replace(row("d", "alive", 0.2), clock_ahead_s=90_000.0)
    behind = msgspec.structs.replace(row("e", "alive", 0.2), clock_ahead_s=-3600.4)
    _peers([ahead, behind])
    said = capsys.readouterr().out
    assert "alive, clock 1 d ahead" in said
    assert "alive, clock 1 h behind" in said
    _peers(
        [msgspec.structs.replace(row("f", "alive", 0.2), confined="root\x1b, seccomp")], wide=True
    )
    assert "root?, seccomp" in capsys.readouterr().out


def test_words() -> None:
    assert [age(4.0, "self"), age(-1.0), age(0.9), age(4.7), age(7200.0)] == [
        "-",
        "never",
        "now",
        "4 s",
        "2 h",
    ]
    assert shapes((("a", 2), ("b", 0))) == "2 x a"
    assert clean("a\x1b]0;b\x07\n") == "a?]0;b??"


def test_events_are_kept_and_numbered(daemon: Daemon) -> None:
    daemon.up()
    lines = daemon.ask("events").stdout.splitlines()
    assert any(" h1       grid.decided       demo  epoch 1, up  [" in line for line in lines), lines
    events = [json.loads(line) for line in daemon.ask("events", "-o", "json").stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    since = daemon.ask("events", "--since", len(events) - 1, "-o", "yaml").stdout
    assert [e["seq"] for e in yaml.safe_load_all(since)] == [len(events)]


def test_a_line_for_everybody(daemon: Daemon) -> None:
    assert daemon.ask("tell", "back at 18:00").stdout == ""
    assert daemon.ask("tell", "", code=1).stderr == "error: there is nothing to tell\n"


def test_events_are_followed_until_the_daemon_goes(daemon: Daemon) -> None:
    """The command is a process of its own. What it prints into a pipe comes line by line."""
    command = [sys.executable, "-m", "overlayd.cli.main", "--peer", str(daemon.socket)]
    since = len(daemon.host.events(0))
    with subprocess.Popen(
        [*command, "events", "--follow", "--since", str(since)], stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        for kind in ("one", "two"):
            daemon.call(lambda kind=kind: daemon.host.tell(kind, "thing", "detail", "cause"))
            assert following.stdout.readline().split()[3:] == [
                "h1",
                kind,
                "thing",
                "detail",
                "[cause]",
            ]
        following.terminate()


def test_images(daemon: Daemon, tmp_path: Path) -> None:
    said = daemon.ask("image", "add", image_file(tmp_path / "b.img", "x"), "--name", "tools").stdout
    words = said.split()
    assert words[:2] == ["added", "tools"]
    digest = words[-1]
    lines = [line.split() for line in daemon.ask("image", "list").stdout.splitlines()]
    assert lines[0] == [
        "NAME",
        "DIGEST",
        "KIND",
        "SIZE",
        "VIRTUAL",
        "HERE",
        "USED",
        "BY",
        "HOSTS",
        "AGE",
    ]
    assert [(line[0], line[-4:]) for line in lines[1:]] == [
        ("guest", ["yes", "-", "h1", "-"]),
        ("tools", ["yes", "-", "h1", "-"]),
    ]
    assert daemon.ask("image", "remove", digest[:12]).stdout.startswith("removed tools  ")
    assert daemon.ask("image", "remove", "tools", code=1).stderr == (
        'error: there is no image "tools" on this host; there is guest\n'
    )
    (tmp_path / "no.img").write_bytes(b"nothing")
    assert daemon.ask("image", "add", tmp_path / "no.img", code=1).stderr.startswith(
        "error: not an image: "
    )
    assert daemon.ask("image", "add", tmp_path / "none", code=1).stderr == (
        f"error: {tmp_path}/none cannot be read: no such file or directory\n"
    )


def test_a_console_is_printed_as_it_is(daemon: Daemon) -> None:
    daemon.up()
    daemon.host.console_says = ConsoleText("", 0, b"boot\r\nlogin: \xff", "")
    assert daemon.ask("console", "demo/head-1").stdout_bytes == b"boot\r\nlogin: \xff"
    assert daemon.host.console_asked == [(0, b""), (14, b"")]
    assert daemon.ask("console", "demo/head-9", code=1).stderr == (
        'error: there is no workspace of demo named "head-9"; there are head-1,'
        " worker-1 and worker-2\n"
    )
    assert KEYS_MAX_BYTES == 4096


def test_the_schema_is_printed() -> None:
    result = CliRunner().invoke(app, ["schema"])
    assert json.loads(result.stdout)["title"] == "overlayd grid file"
    result = CliRunner().invoke(app, ["schema", "-o", "yaml"])
    assert yaml.safe_load(result.stdout)["title"] == "overlayd grid file"


# -- no daemon


def asked(path: Path) -> str:
    result = CliRunner().invoke(app, ["--peer", str(path), "peers"])
    assert result.exit_code == 1
    return result.stderr


NAME_IT = (
    "  would work: start overlayd on this host, or name its socket with --peer or OVERLAYD_SOCKET\n"
)


def test_no_socket(tmp_path: Path) -> None:
    assert asked(tmp_path / "s") == (
        f"error: no daemon answers on {tmp_path}/s: there is no such socket\n{NAME_IT}"
    )
    (tmp_path / "s").write_text("")
    assert asked(tmp_path / "s") == f"error: {tmp_path}/s is not a socket\n{NAME_IT}"
    (tmp_path / "s").unlink()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    assert asked(tmp_path / "s") == (
        f"error: no daemon answers on {tmp_path}/s: its socket is there, but nobody listens\n"
        f"{NAME_IT}"
    )


def test_no_permission() -> None:
    """Root may do anything, so somebody else asks."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as other:
        path = Path(folder, "s")
        other.bind(str(path))
        other.listen()
        path.chmod(0o660)
        Path(folder).chmod(0o711)
        error = _as_nobody(lambda: asked(path))
    assert error == (
        f"error: you may not use {path}: its mode is 0660, its group root\n"
        "  would work: being in that group ([api] group names another), or root\n"
    )


def _as_nobody(what: Callable[[], str]) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            said = what()
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as answer:
        return answer.read()


def test_something_else_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        client = os.fork()
        if client == 0:
            connection, _ = other.accept()
            connection.recv(4096)
            connection.close()
            os._exit(0)
        assert asked(tmp_path / "s") == (
            f"error: the daemon on {tmp_path}/s went away in the middle\n"
            "  would work: try again when it runs; repeating an order is safe\n"
        )
        os.waitpid(client, 0)


# -- the line itself


def test_global_options_may_follow_the_command() -> None:
    assert hoisted(["peers", "-o", "json"]) == ["-o", "json", "peers"]
    assert hoisted(["up", "f", "--peer=s", "--identity", "d"]) == [
        "--peer=s",
        "--identity",
        "d",
        "up",
        "f",
    ]
    assert hoisted(["show", "--", "--peer"]) == ["show", "--", "--peer"]
    offline = ["site", "add", "x", "--output", "folder"]
    assert hoisted(offline) == offline


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command there is, groups left out."""
    group = group or get_command(app)
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield *path, name


def test_a_command_is_waited_for_without_what_it_does_not_use() -> None:
    code = "import sys, overlayd.cli.main, overlayd.cli.placing; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "protocol.requesting.request" in found.stdout.split()
    idle = (
        "httpx",
        "litestar",
        "nacl",
        "rich.console",
        "protocol.node.node",
        "overlayd.cli.images",
    )
    assert not set(idle) & set(found.stdout.split())


def test_a_mistyped_command_is_told_what_is_like_it() -> None:
    result = CliRunner().invoke(app, ["plna"])
    assert result.exit_code == 2
    assert "Did you mean 'plan'" in result.stderr


def test_every_command_has_help_with_an_example() -> None:
    there = list(commands())
    assert {("up",), ("image", "add"), ("host", "enrol")} <= set(there)
    for command in there:
        result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert f"Example: overlayctl {' '.join(command)}" in " ".join(result.stdout.split())


def test_help_shows_every_word_that_was_written() -> None:
    """What stands in square brackets would be taken for markup and vanish."""
    for command in commands():
        written: Any = get_command(app)
        for name in command:
            written = written.get_command(None, name)
        shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).stdout
        assert [word for word in written.help.split() if word not in shown] == []


def test_the_shell_completes_commands_and_names(daemon: Daemon) -> None:
    daemon.up()

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        env = {
            **os.environ,
            "OVERLAYD_SOCKET": str(daemon.socket),
            "_OVERLAYCTL_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        command = [sys.executable, "-m", "overlayd.cli.main"]
        said = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        return said.stdout.split()

    assert completed("overlayctl pa") == ["pause"]
    assert completed("overlayctl show ") == ["demo"]
    assert completed("overlayctl pause demo/w") == ["demo/worker-1", "demo/worker-2"]
    assert completed(f"overlayctl --peer {daemon.folder}/none show ") == []


def test_a_failure_is_its_lines() -> None:
    assert str(Failure(["a", "  b"])) == "a\n  b"
