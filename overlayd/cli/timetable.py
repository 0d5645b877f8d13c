"""`overlayctl timetable`: how full each host is promised to be, from now on, as bars."""

import sys
from shutil import get_terminal_size
from typing import Annotated

import typer

from overlayd.cli.failure import USAGE, failure
from overlayd.cli.session import session_of
from overlayd.cli.show import print_lines, unchanged
from overlayd.cli.words import age, shows
from overlayd.config.values import Duration
from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.capacity.room import Room
from protocol.grid.problem import listed, quoted
from protocol.node.rows import TimetableRow
from protocol.terms.quantities import (
    cpus_in_words,
    format_byte_rate,
    format_moment,
    format_operations,
    format_rate,
    format_size,
)

BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " 12345678"
"""For a terminal that cannot show blocks."""

_RATES = (
    ("network_bits_s", "rate", format_rate),
    ("disk_bytes_s", "disk/s", format_byte_rate),
    ("disk_operations_s", "ops/s", format_operations),
)
"""Fields of a quantum that not every host counts, each with its bar's name and words."""

WIDE = 48
"""Bars in one line. For a day each bar is half an hour. A narrow terminal has half of them, or a quarter."""

_MARK_EVERY = 12


def timetable(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="A host's name; all if left out.")] = "",
    over: Annotated[str, typer.Option("--for", help="How far ahead.")] = "24h",
) -> None:
    """How much of each host is promised from now on: holds, leases, reservations, kept disks.

    Each bar is the fullest moment of its time; a blank is nothing, a full block is everything.

    Example: overlayctl timetable

    Example: overlayctl timetable uc-1 --for 2h

    Example: overlayctl timetable --output json
    """
    session = session_of(context)
    try:
        span_s = int(Duration.from_written(over))
    except ValueError as error:
        raise failure(f"--for {quoted(over)}: {error}", code=USAGE) from None
    if span_s < WIDE:
        raise failure(f"--for {over} is too short to draw", f"--for {WIDE}s or more", USAGE)
    rows = session.client.get("/timetable", list[TimetableRow])
    if host and host not in [row.name for row in rows]:
        known = listed([row.name for row in rows]) or "none yet"
        raise failure(f"no host {quoted(host)} has told its timetable; known: {known}")
    if session.plain:
        unchanged(session, session.client.raw("GET", "/timetable", params={"host": host}))
        return
    shown = [row for row in rows if host in ("", row.name)]
    if not shown:
        typer.echo("no host has told its timetable yet")
        return
    print_lines(
        fitting(shown, span_s, get_terminal_size().columns if sys.stdout.isatty() else None)
    )


def fitting(rows: list[TimetableRow], span_s: int, columns: int | None) -> list[str]:
    """The lines with as many bars as a terminal has room for; None for a pipe, which has room for all."""
    for wide in (WIDE, WIDE // 2):
        said = lines(rows, span_s, wide)
        if columns is None or max(map(len, said)) <= columns:
            return said
    return lines(rows, span_s, WIDE // 4)


def lines(rows: list[TimetableRow], span_s: int, bars_wide: int = WIDE) -> list[str]:
    """A scale, and three bars for each host, and one for each rate that it counts."""
    wide = max(len(row.name) for row in rows)
    said = [f"{'':<{wide}}  UTC     {_scale(rows[0].now_s, span_s, bars_wide)}"]
    for row in rows:
        whole, most = row.capacity, _used(row, span_s, bars_wide)
        bars: tuple[tuple[str, list[int], int], ...] = (
            ("cpus", [u.cpus_milli for u in most], whole.cpus_milli),
            ("memory", [u.memory_bytes for u in most], whole.memory_bytes),
            ("disk", [u.disk_bytes for u in most], whole.disk_bytes),
        )
        sums: tuple[str, ...] = (
            cpus_in_words(whole.cpus_milli),
            format_size(whole.memory_bytes),
            format_size(whole.disk_bytes),
        )
        for field, name, words in _RATES:
            if 0 < (total := getattr(whole, field)) < UNCOUNTED:
                bars = (*bars, (name, [getattr(used, field) for used in most], total))
                sums = (*sums, words(total))
        for i, ((name, used, total), amount) in enumerate(zip(bars, sums, strict=True)):
            head = row.name if i == 0 else ""
            told = f", told {age(row.age_s, row.health)}" if i == 0 and row.health != "self" else ""
            bar = "".join(_bar(u, total) for u in used)
            said.append(f"{head:<{wide}}  {name:<6}  {bar}  of {amount}{told}")
    return said


def _used(row: TimetableRow, span_s: int, wide: int) -> list[Quantum]:
    """The most that is promised during each bar."""
    room, each_s = Room.heard(row.steps, 0.0), span_s / wide
    return [row.capacity - room.over(i * each_s, (i + 1) * each_s) for i in range(wide)]


def _bar(used: int, total: int) -> str:
    if used <= 0 or total <= 0:
        return BARS[0]
    bars = BARS if shows(BARS) else PLAIN_BARS
    return bars[max(1, min(8, round(8 * used / total)))]


def _scale(now_s: float, span_s: int, wide: int) -> str:
    """The time of day at every twelfth bar, or the month and day."""
    shown = slice(11, 16) if span_s <= 2 * 86400 else slice(5, 10)
    marks = [now_s + span_s * i / wide for i in range(0, wide, _MARK_EVERY)]
    return "".join(f"|{format_moment(at_s)[shown]:<11}" for at_s in marks)
