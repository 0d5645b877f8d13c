"""`overlayctl timetable`: bars of what is promised from now on."""

import json

import pytest
from asked_daemon import Daemon
from msgspec.structs import replace

from overlayd.cli.timetable import WIDE, fitting, lines
from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.capacity.rates import Rates
from protocol.capacity.room import Step
from protocol.node.rows import TimetableRow

G = 1 << 30


def row(name: str, *steps: Step, health: str = "alive", age_s: float = 4.0) -> TimetableRow:
    return TimetableRow(
        name=name,
        site="uc",
        health=health,
        age_s=age_s,
        now_s=0.0,
        capacity=Quantum(8000, 8 * G, 0),
        steps=steps,
        rates=Rates(),
    )


def test_bars_are_the_fullest_moment_of_their_time() -> None:
    free, half, tight = Quantum(8000, 8 * G), Quantum(4000, 6 * G), Quantum(0, 0)
    busy = row("uc-1", Step(0.0, half), Step(WIDE / 2, tight), Step(WIDE / 2 + 1.5, free))
    _, cpus, memory, disk = lines([busy], WIDE)
    half_wide = WIDE // 2
    blank = " " * (half_wide - 2)
    assert cpus == f"uc-1  cpus    {'▄' * half_wide}██{blank}  of 8 cpus, told 4 s"
    assert memory == f"      memory  {'▂' * half_wide}██{blank}  of 8 GiB"
    assert disk == f"      disk    {' ' * WIDE}  of 0 B"


def test_a_rate_has_bars_where_it_is_counted() -> None:
    free, half = Quantum(8000, 8 * G, 0, (), 10**9), Quantum(8000, 8 * G, 0, (), 5 * 10**8)
    counted = replace(row("h", Step(0.0, half), Step(WIDE, free)), capacity=free)
    assert lines([counted], WIDE)[-1] == f"   rate    {'▄' * WIDE}  of 1 Gbit/s"
    endless = Quantum(8000, 8 * G, 0, (), UNCOUNTED)
    assert "rate" not in "\n".join(lines([replace(counted, capacity=endless)], WIDE))


def test_rates_of_disks_have_bars_likewise() -> None:
    whole = Quantum(8000, 8 * G, disk_bytes_s=G, disk_operations_s=1000)
    half = replace(whole, disk_bytes_s=G // 2)
    said = lines([replace(row("h", Step(0.0, half)), capacity=whole)], WIDE)
    assert said[-2:] == [
        f"   disk/s  {'▄' * WIDE}  of 1 GiB/s",
        f"   ops/s   {' ' * WIDE}  of 1000 operations/s",
    ]


def test_a_little_is_seen_too() -> None:
    _, cpus, _, _ = lines([row("h", Step(0.0, Quantum(7990, 8 * G)), health="self")], WIDE)
    assert cpus == f"h  cpus    {'▁' * WIDE}  of 8 cpus"


@pytest.mark.parametrize(("columns", "bars"), [(60, 24), (80, 24), (110, 48), (None, 48)])
def test_a_narrow_terminal_has_fewer_bars_and_no_line_wraps(columns: int | None, bars: int) -> None:
    said = fitting([row("uc-1", Step(0.0, Quantum(0, 0)))], WIDE * 60, columns)
    assert all(len(line) <= (columns or 200) for line in said)
    assert said[1].count("█") == bars
    assert said[0].count("|") == bars // 12


def test_of_a_daemon(daemon: Daemon) -> None:
    daemon.up()
    scale, *bars = daemon.ask("timetable", "--for", "2d").stdout.splitlines()
    assert scale.count("|") == 4
    assert [line.split()[0] for line in bars] == ["h1", "memory", "disk"]
    (told,) = json.loads(daemon.ask("timetable", "h1", "-o", "json").stdout)
    assert len(told["steps"]) == 3, "a lease, the volumes it leaves, nothing"
    assert told["steps"][0][1]["cpus_milli"] < told["steps"][1][1]["cpus_milli"]


def test_what_cannot_be_drawn_is_said(daemon: Daemon) -> None:
    said = daemon.ask("timetable", "h9", code=1).stderr
    assert 'no host "h9" has told its timetable; known: h1' in said
    assert "--for" in daemon.ask("timetable", "--for", "soon", code=2).stderr
    assert "too short to draw" in daemon.ask("timetable", "--for", "5s", code=2).stderr
