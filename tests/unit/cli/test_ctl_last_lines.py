"""What consoles said last of workspaces that are not ready, when `up` ends without them."""

import signal

import pytest
from asked_daemon import Daemon
from test_ctl_terminal import process

from overlayd.cli.last_lines import LINES, last_of
from protocol.grid.lifecycle import Phase
from protocol.node.messages import ConsoleText
from protocol.node.rows import GridRow

SAID = b"\x1b[2J\x1b[1;31mKernel panic\x1b[0m\r\n\r\nnot syncing: \x1b]0;evil\x07no root\x00\r\n"


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
