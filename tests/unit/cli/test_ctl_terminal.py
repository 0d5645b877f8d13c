"""overlayctl as a process: on a terminal, and interrupted."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asked_daemon import Daemon


def command(daemon: Daemon, *words: object) -> list[str]:
    options = ["--peer", str(daemon.socket), "--identity", str(daemon.host.site_dir)]
    return [sys.executable, "-m", "overlayd.cli.main", *options, *map(str, words)]


@contextmanager
def process(daemon: Daemon, *words: object) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    # Whoever runs the tests in the background may have them ignore Ctrl-C.
    asked = ["env", "--default-signal=INT", *command(daemon, *words)]
    with subprocess.Popen(asked, stdout=pipe, stderr=pipe, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def on_terminal(daemon: Daemon, *words: object) -> tuple[int, str]:
    """Exit code and everything that was shown."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(
        command(daemon, *words), stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as running:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # Linux's way of saying that nobody has the terminal any more
            pass
        os.close(ours)
    return running.returncode, shown.decode()


def test_up_on_a_terminal_shows_a_table_that_moves(daemon: Daemon) -> None:
    code, shown = on_terminal(daemon, "up", daemon.grid_file)
    assert code == 0, shown
    for text in ("WORKSPACE", "PHASE", "ready", "3 workspaces: 3 ready"):
        assert text in shown
    assert "\x1b[" in shown
    assert shown.rstrip().endswith("demo is up: 3 workspaces")


def test_a_problem_on_a_terminal_has_a_caret(daemon: Daemon) -> None:
    daemon.grid_file.write_text(daemon.grid_file.read_text().replace("guest", "tools", 1))
    code, shown = on_terminal(daemon, "plan", daemon.grid_file)
    assert code == 2
    assert [line.rstrip() for line in shown.splitlines()[-2:]] == [
        "        image: tools",
        "               ^",
    ]


@pytest.mark.parametrize(
    ("still", "line", "said"),
    [
        (True, "asking 1 host for quotes", "error: cancelled; nothing is held"),
        (
            False,
            "held",
            "error: demo is decided already and goes on being built\n"
            "  would work: `overlayctl down demo` takes it down",
        ),
    ],
)
def test_ctrl_c_lets_go_of_what_is_not_decided(
    daemon: Daemon, still: bool, line: str, said: str
) -> None:
    daemon.host.still, daemon.host.builds = still, False
    daemon.call(lambda: daemon.host.tell("wake", "the loop"))
    with process(daemon, "up", daemon.grid_file) as running:
        assert running.stdout is not None
        for shown in running.stdout:
            if shown.rstrip().endswith(line):
                break
        running.send_signal(signal.SIGINT)
        _, error = running.communicate()
    assert error.rstrip().splitlines()[0] == "interrupted; asking the daemon to let go of it"
    assert error.rstrip().partition("\n")[2] == said
    assert running.returncode == 130


def test_ctrl_c_while_waiting_for_an_order_leaves_it_standing(daemon: Daemon) -> None:
    daemon.up()
    daemon.host.builds = False
    with process(daemon, "pause", "demo") as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, error = running.communicate()
    assert error.startswith("error: stopped waiting; the order to pause demo stands\n")
    assert running.returncode == 130


def test_a_pipe_that_is_closed_early_is_no_error(daemon: Daemon) -> None:
    daemon.call(lambda: daemon.host.tell("first", "x"))
    with process(daemon, "events", "--follow") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        daemon.call(lambda: [daemon.host.tell("more", "x" * 100) for _ in range(100)])
        assert running.wait(10) == 0
        assert running.stderr.read() == ""


def test_a_console_is_typed_into_and_left_by_its_escape(daemon: Daemon) -> None:
    daemon.up()
    ours, theirs = pty.openpty()
    words = command(daemon, "console", "demo/head-1", "--interactive")
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        try:
            assert b"demo/head-1: Ctrl-] ends it" in os.read(ours, 4096)
            os.write(ours, b"ls\r\x03\x1dnot this")
            assert running.wait(10) == 0
        finally:
            running.kill()
            os.close(ours)
    typed = b"".join(keys for _, keys in daemon.host.console_asked)
    assert typed == b"ls\r\x03"
