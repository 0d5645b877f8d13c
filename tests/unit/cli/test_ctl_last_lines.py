"""What consoles said last of workspaces that are not ready, when `up` ends without them."""

import signal
import subprocess

import pytest
from asked_daemon import Daemon
from test_ctl_terminal import process

from overlayd.cli.last_lines import LINES, last_of
from protocol.grid.lifecycle import Phase
from protocol.hosting.events import Progressed
from protocol.node.messages import ConsoleText
from protocol.node.rows import GridRow
from protocol.requesting.request import RequestState

SAID = b"\x1b[2J\x1b[1;31mKernel panic\x1b[0m\r\n\r\nnot syncing: \x1b]0;evil\x07no root\x00\r\n"


FAILED = "its guest says: scripts_user"


def grid_of(daemon: Daemon) -> GridRow:
    (row,) = daemon.host.view.grids(daemon.host.now())
    return row


def test_ctrl_c_shows_where_each_workspace_hangs(daemon: Daemon) -> None:
    daemon.host.builds = False
    daemon.host.console_says = ConsoleText("", 0, b"line\n" * 1000 + SAID, "")
    with process(daemon, "up", daemon.grid_file) as running:
        assert running.stdout is not None
        while "held" not in running.stdout.readline():
            pass
        daemon.call(lambda: daemon.host.progress(grid_of(daemon).grid, Phase.BOOTING, "again"))
        while "booting" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        _, error = running.communicate()
    told = error.splitlines()
    start = told.index("demo/head-1 on h1 is booting: again; its console said last:")
    wanted = ["    line"] * (LINES - 2) + ["    Kernel panic", "    not syncing: no root?"]
    assert told[start + 1 : start + 1 + LINES] == wanted
    assert "\x1b" not in error
    assert any("is decided already" in line for line in told)
    assert daemon.host.console_asked == [(-4096, b"")] * 3


def test_up_ends_when_a_guest_says_that_its_first_boot_failed(daemon: Daemon) -> None:
    daemon.host.builds = False
    daemon.host.console_says = ConsoleText("", 0, SAID, "")
    with process(daemon, "up", daemon.grid_file) as running:
        fails(daemon, running)
        _, error = running.communicate(timeout=60)
    assert running.returncode == 1
    told = error.splitlines()
    start = told.index(f"demo/head-1 on h1 is reachable: {FAILED}; its console said last:")
    assert told[start + 1 : start + 3] == ["    Kernel panic", "    not syncing: no root?"]
    end = told.index("error: demo is made, but the first boot of head-1 failed")
    assert told[end + 1] == f"  head-1 on h1: {FAILED}"
    assert told[-1].startswith("  would work: mend its user-data, then `overlayctl down demo`")
    (request,) = daemon.host.view.requests()
    assert request.state is RequestState.RUNNING, "its peer goes on, since somebody may mend them"


def test_up_waits_on_for_who_mends_the_guest_if_asked(daemon: Daemon) -> None:
    daemon.host.builds = False
    with process(daemon, "up", daemon.grid_file, "--keep-waiting") as running:
        fails(daemon, running)
        assert running.stdout is not None
        while "reachable" not in running.stdout.readline():
            pass
        daemon.call(lambda: daemon.host.progress(grid_of(daemon).grid, Phase.READY))
        said, _ = running.communicate(timeout=60)
    assert (running.returncode, said.splitlines()[-1]) == (0, "demo is up: 3 workspaces")


def fails(daemon: Daemon, running: "subprocess.Popen[str]") -> None:
    """One of its guests says that its first boot failed, once it is held."""
    assert running.stdout is not None
    while "held" not in running.stdout.readline():
        pass
    failed = Progressed(grid_of(daemon).grid, "head-1", Phase.REACHABLE, FAILED, 1, final=True)
    daemon.call(lambda: daemon.host.submit(failed))


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (b"", []),
        (b"\r\n \r\n", []),
        (b"50 %\r100 %\r\n", ["100 %"]),
        (b"a\xff\x9b31mb\n", ["a\ufffd\ufffd31mb"]),
        (b"\x1b[31", ["?[31"]),
        (b"\n".join(b"%d" % n for n in range(20)), [str(n) for n in range(14, 20)]),
    ],
)
def test_lines_are_harmless_and_few(said: bytes, lines: list[str]) -> None:
    assert last_of(said) == lines
