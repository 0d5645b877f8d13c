"""Tables on terminals of any width: columns are left out, names are whole, texts wrap between words."""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest

from overlayd.cli import grids, overlay, show
from overlayd.cli.columns import fitted
from protocol.capacity.quantum import Quantum
from protocol.node.rows import GridRow, PeerRow, SiteRow, WorkspaceRow
from protocol.terms.ids import GridId, PeerId

NAMES = ("argonne-gpu-rack12-node07", "fnal-2", "cern-batch-0001")
SITES = ("argonne", "cern-prevessin")


class Terminal(io.StringIO):
    """What was drawn on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[60, 80, 110, 200])
def wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many columns the terminal has."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def drawn(draw: Callable[[], None]) -> list[str]:
    with redirect_stdout(Terminal()) as shown:
        draw()
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()]


def peer(name: str) -> PeerRow:
    return PeerRow(
        peer=PeerId("0" * 64),
        name=name,
        site="uc",
        address="192.0.2.1:1",
        health="alive",
        neighbour=True,
        reach="nat",
        through="",
        age_s=130.0,
        round_trip_s=0.0,
        distance_s=0.0123,
        driver="qemu",
        accelerator="kvm",
        accelerator_why="",
        free=Quantum(3500, 3 << 30, 20 << 30),
        capacity=Quantum(),
        shapes=(("0.25cpu/128M", 14), ("1cpu/1G", 3)),
        workspaces=2,
        images=(),
    )


def test_peers_has_a_line_for_each_at_60_80_110_and_200_columns(wide: int) -> None:
    said = drawn(lambda: overlay._peers([peer(name) for name in NAMES]))
    head, *rows = said
    assert all(len(line) <= wide for line in said), said
    assert head.split()[:3] == ["NAME", "SITE", "HEALTH"]
    assert [row.split()[:3] for row in rows[:3]] == [[name, "uc", "alive"] for name in NAMES]
    assert all("2.2 min" in row for row in rows[:3])
    note = " ".join(rows[3:])
    assert note.startswith("left out for want of width: ") if wide < 200 else note == ""
    assert "FREE" in head if wide >= 80 else "free" in note


def test_names_are_whole_in_the_other_tables(wide: int) -> None:
    detail = "cern-batch-0001 is not heard for 2 min; `overlayctl terminate` would go on without it"
    rows = tuple(
        WorkspaceRow(
            grid="demo",
            grid_id=GridId("g.0"),
            workspace=name,
            host=name,
            peer=PeerId("0"),
            site="uc",
            phase="reachable",
            detail=detail if name == "fnal-2" else "",
            address="10.42.0.7",
            boot=1,
            age_s=3.0,
            host_health="alive",
            addresses=("10.42.0.7", "10.43.0.7"),
        )
        for name in NAMES
    )
    said = drawn(lambda: grids._workspaces(rows, six=True))
    assert all(len(line) <= wide for line in said), said
    starts = [line.split()[:2] for line in said if line.startswith(NAMES)]
    if wide >= 80:
        assert starts == [[name, name] for name in NAMES], said
    else:
        assert any(line.startswith("argonne-gpu-rac..  argonne-gpu-rack..") for line in said), said
    assert set(detail.split()) <= set(" ".join(said).split()), said


def test_each_row_of_grids_and_sites_starts_with_its_name(wide: int) -> None:
    phases = (("reachable", 12), ("booting", 3), ("lost", 1))
    id_ = GridId("4f2a90c1d2e3f4a5b6c7.0")
    made = [GridRow(id_, name, "uc", "up", 1, 16, phases, 5, 2, (), 7200.0) for name in NAMES]
    room = Quantum(3500, 1 << 30, 1 << 40)
    said = drawn(lambda: grids._grids(made))
    said += drawn(lambda: overlay._sites([SiteRow(n, 3, 3, room, room, 2, 9.0) for n in SITES]))
    assert all(len(line) <= wide for line in said), said
    both = [line.split()[0] for line in said if line.startswith((*NAMES, *SITES))]
    assert both == [*NAMES, *SITES], said


def test_a_list_of_hosts_wraps_between_names(wide: int) -> None:
    rows = [("guest", ", ".join(NAMES * 3))]
    said = drawn(lambda: show.print_table(("name", "hosts"), rows, "none"))
    words = " ".join(said[1:]).replace(",", "").split()
    assert words == ["guest", *NAMES * 3]


def test_what_cannot_be_left_out_is_shortened_and_marked() -> None:
    table = fitted(("name", "digest"), [("a" * 30, "b" * 12)], 30)
    assert table.rows == (("a" * 14 + "..", "b" * 12),)
    assert table.widths == (16, 12)
    assert fitted(("name",), [], 3).rows == ()


def test_a_column_that_fits_beside_the_rest_is_not_left_out() -> None:
    rows = [("h1", "3 ms", "x" * 60)]
    table = fitted(("name", "distance", "fits"), rows, 40, ("distance", "fits"))
    assert table.columns == ("name", "distance")
    assert table.left_out == ("fits",)
