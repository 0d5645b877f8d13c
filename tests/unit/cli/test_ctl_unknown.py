"""`overlayctl ps` shows what the host found and does not remember, and what becomes of it."""

import json

import pytest
from asked_daemon import Daemon

from overlayd.cli.unknown import unknown_lines
from protocol.capacity.quantum import Quantum
from protocol.grid.lifecycle import Power
from protocol.hosting.events import Found
from protocol.node.rows import UnknownRow
from protocol.terms.ids import GridId

GRID = GridId("4f2a90c1d2e3f4a5b6c7.0")
ROW = UnknownRow(
    GRID, "star", ("machine ovl-1 runs",), ("head-1",), Quantum(1500, 1 << 30, 0), ("h2", "h3"), 3,
    "too few of its stewards answer", 90.0,
)  # fmt: skip


def test_ps_shows_what_is_unknown_to_this_host(daemon: Daemon) -> None:
    machine = Found(
        GRID, "machine ovl-1", "head-1", "runs\x1b[2J", Power.RUNNING, 1, 0, 500, 64 << 20
    )
    daemon.call(lambda: daemon.host.submit(machine))
    daemon.call(lambda: daemon.host.submit(Found(GRID, "disk data", disk_bytes=1 << 30)))
    said = daemon.ask("ps").stdout
    assert said == (
        "no grids\n"
        "\n"
        f"{GRID} is unknown to this host, which keeps 0.5 cpus, 64 MiB, 1 GiB disk for it:\n"
        "  machine ovl-1 runs?[2J\n"
        "  disk data\n"
        "  nothing says who its stewards are\n"
        f"  by hand, with the daemon stopped: overlayd recover --forget {GRID}\n"
    )
    assert json.loads(daemon.ask("ps", "--output", "json").stdout) == []


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (
            ROW,
            [
                "star is unknown to this host, which keeps 1.5 cpus, 1 GiB for it:",
                "  machine ovl-1 runs",
                "  too few of its stewards answer (h2, h3); asked 3 times in 1.5 min",
                f"  by hand, with the daemon stopped: overlayd recover --forget {GRID}",
            ],
        ),
        (
            UnknownRow(GridId(""), "?", (), (), Quantum(), (), 0, "nobody knows", 1.0),
            [
                "? is unknown to this host, which promised part of it before:",
                "  nobody knows",
            ],
        ),
    ],
)
def test_lines_of_what_is_unknown(row: UnknownRow, lines: list[str]) -> None:
    assert unknown_lines(row) == lines
