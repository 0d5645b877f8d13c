"""The overlay beside serf: N real daemons and N serf agents, on loopback, in the same run.

    joined     start of the last peer to every peer listing every peer
    event      a line told at one peer to every other peer's log (`overlayctl tell`; serf: a user event)
    killed     SIGKILL of one peer to every other knowing
    stopped    SIGSTOP of one peer to every other knowing; and after SIGCONT, to all having it back
    busy       peers declared dead while another program keeps every core busy for a minute
    idle       resident memory, cpu and bytes a second of each peer with nothing happening
    storm      256 peers started at once: whether, and when, every peer lists every peer

Times are taken where a daemon's log line arrives here over a pipe, as serf's harness (../shared/bench)
does. Peers start one after the other with a pause; ours is longer, since starting a Python process takes
half a second of a core. Everything runs in a network namespace of its own, every part has an end, and
every process started is ended. Figures are fair only on a machine that does nothing else: the load
average is printed with them.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches import serfs
from benches.overlayds import Daemons

INSIDE = "OVERLAYD_BENCH_INSIDE"
ROWS = ("joined", "idle", "event", "killed", "stopped", "busy", "storm")
STORM = 256

Figures = dict[str, float | None]
"""Measured values, by the name of the row; None if it did not happen in the time that it had."""

REACH: dict[str, tuple[str, float | None]] = {
    # What each row is to reach: words, and a limit if it is not a share of serf's.
    "joined": ("no later than serf", None),
    "event p50": ("a quarter of serf's", None),
    "event p99": ("a quarter of serf's", None),
    "event lost": ("0", 0),
    "killed": ("3 s", 3),
    "stopped": ("6 s", 6),
    "back": ("1 s", 1),
    "busy: dead": ("0", 0),
    "MiB resident": ("70", 70),
    "cpu %": ("0.5", 0.5),
    "bytes/s": ("600", 600),
    "storm": ("converge", float("inf")),
}
SHARE = {"joined": 1.0, "event p50": 0.25, "event p99": 0.25}
"""The share of serf's figure that each row is to reach."""


class Progress:
    """Lines on standard error, with time and load."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def say(self, text: str) -> None:
        """Writes one line."""
        took_s, load = time.monotonic() - self._began_s, os.getloadavg()[0]
        print(f"[{took_s:6.1f} s, load {load:4.1f}] {text}", file=sys.stderr, flush=True)


@contextmanager
def daemons(count: int) -> Iterator[Daemons]:
    """N daemons with keys and configurations. Everything that was started is ended."""
    with tempfile.TemporaryDirectory(prefix="ovb-") as folder:
        made = Daemons(count, Path(folder))
        try:
            yield made
        finally:
            made.close()


async def ours(count: int, rows: list[str], options: argparse.Namespace, told: Progress) -> Figures:
    """All rows but the storm, of N daemons."""
    figures: Figures = {}
    with daemons(count) as peers:
        # A start takes half a second of a core, also after it was listed, and everybody takes note of it:
        # 10 ms of a core each. The last one is to be measured, not those before it.
        pause_s = options.pause if options.pause is not None else max(1.0, count / 100)
        told.say(f"overlayd x {count}: starting, {pause_s:.2f} s apart")
        took_s, short = await peers.joined(pause_s, 120)
        figures["joined"] = took_s
        if took_s is None:
            told.say(
                f"overlayd x {count}: after 120 s {short} do not list all; going on regardless"
            )
        if "idle" in rows:
            await asyncio.sleep(options.settle)
            told.say(f"overlayd x {count}: idle for {options.idle:.0f} s")
            resident, cpu, rate = await peers.idle(options.idle)
            figures |= {"MiB resident": resident, "cpu %": cpu, "bytes/s": rate}
        if "event" in rows:
            told.say(f"overlayd x {count}: {options.events} events")
            took, missing = await peers.events(options.events)
            figures |= {"event p50": _part(took, 50), "event p99": _part(took, 99)}
            figures["event lost"] = missing
        if "killed" in rows:
            told.say(f"overlayd x {count}: SIGKILL, {options.kills} times")
            killed = []
            for _ in range(options.kills):
                killed.append((await peers.ended(signal.SIGKILL))[0])
                await asyncio.sleep(3)
            figures["killed"] = _worst(killed)
        if "stopped" in rows:
            told.say(f"overlayd x {count}: SIGSTOP and SIGCONT, {options.stops} times")
            pairs = []
            for _ in range(options.stops):
                pairs.append(await peers.ended(signal.SIGSTOP))
                await asyncio.sleep(3)
            figures["stopped"] = _worst([gone for gone, _ in pairs])
            figures["back"] = _worst([back for _, back in pairs])
        if "busy" in rows:
            told.say(f"overlayd x {count}: every core busy for {options.busy:.0f} s")
            figures["busy: dead"] = await peers.busy(options.busy)
        _report(peers, told)
    return figures


async def our_storm(within_s: float, told: Progress) -> Figures:
    """The row of 256 daemons started at once."""
    with daemons(STORM) as peers:
        told.say(f"overlayd x {STORM}: all at once")
        began_s = time.monotonic()
        took_s, short = await peers.joined(0, within_s)
        said = (
            f"{took_s:.1f} s after the last start"
            if took_s is not None
            else f"{short} do not list all"
        )
        dead = peers.dead_since(began_s)
        told.say(f"overlayd x {STORM}: {said}; declared dead wrongly {dead} times")
        _report(peers, told)
    return {"storm": took_s, "storm: dead": dead}


def their(count: int, rows: list[str], options: argparse.Namespace, told: Progress) -> Figures:
    """The same rows, of N serf agents."""
    told.say(f"serf x {count}: everything but the busy minute")
    result = serfs.measured(
        count,
        options.idle if "idle" in rows else 0,
        options.events if "event" in rows else 0,
        options.kills if "killed" in rows else 0,
        options.stops if "stopped" in rows else 0,
    )
    boot = result["boot"]
    figures: Figures = {
        "joined": boot["all_list_N_after_last_start_s"] if boot["converged"] else None
    }
    if "idle" in result:
        idle = result["idle"]
        figures |= {"MiB resident": idle["rss_MiB"]["p50"], "cpu %": idle["cpu_pct"]["p50"]}
        figures["bytes/s"] = idle["tx_bytes_per_s_per_agent"]
    if "event" in result:
        event = result["event"]
        figures |= {
            "event p50": event["per_agent_s"]["p50"],
            "event p99": event["per_agent_s"]["p99"],
        }
        figures["event lost"] = event["missing"]
    if result.get("kill"):
        figures["killed"] = _worst([k["per_agent_s"].get("max") for k in result["kill"] if k["ok"]])
    if result.get("stop"):
        figures["stopped"] = _worst([s["per_agent_s"].get("max") for s in result["stop"]])
        figures["back"] = _worst([s["rejoin_after_cont_s"].get("max") for s in result["stop"]])
    if "busy" in rows:
        told.say(f"serf x {count}: every core busy for {options.busy:.0f} s")
        figures["busy: dead"] = serfs.busy(count, options.busy)
    return figures


def verdict(name: str, mine: float | None, theirs: float | None) -> bool | None:
    """Whether a row reaches what it is to reach; None if that cannot be said."""
    limit = REACH[name][1]
    if name in SHARE:
        limit = None if theirs is None else SHARE[name] * theirs
    if mine is None:
        return False
    return None if limit is None else mine <= limit


def table_of(title: str, mine: Figures, theirs: Figures) -> tuple[Table, list[str]]:
    """The rows side by side, and what falls short."""
    table = Table(title=title)
    for column in ("", "overlayd", "serf", "ratio", "reach", ""):
        table.add_column(column, justify="left" if column in ("", "reach") else "right")
    short = []
    for name, (words, _) in REACH.items():
        if name not in mine and name not in theirs:
            continue
        ok = verdict(name, mine[name], theirs.get(name)) if name in mine else None
        if ok is False:
            short.append(f"{title}: {name} is {_shown(mine, name)}, to be reached: {words}")
        table.add_row(
            name, _shown(mine, name), _shown(theirs, name), _ratio(mine.get(name), theirs.get(name)),
            words, {True: "reached", False: "SHORT", None: ""}[ok],
        )  # fmt: skip
    return table, short


def main() -> None:
    """The program."""
    options = _options()
    if INSIDE not in os.environ:
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable,
                "-m", "benches.overlay", *sys.argv[1:]]  # fmt: skip
        os.execvpe("/usr/bin/unshare", argv, {**os.environ, INSIDE: "1"})  # noqa: S606
    told, console = Progress(), Console(width=110)
    rows = options.rows or list(ROWS)
    short: list[str] = []
    result: dict[str, dict[str, Figures]] = {}

    def print_table(name: str, mine: Figures, theirs: Figures) -> None:
        load = os.getloadavg()[0]
        table, missed = table_of(f"{name} (load average {load:.1f})", mine, theirs)
        console.print(table)
        short.extend(missed)
        result[name] = {"overlayd": mine, "serf": theirs}

    for count in options.peers if rows != ["storm"] else ():
        theirs = their(count, rows, options, told) if options.only != "overlayd" else {}
        mine = asyncio.run(ours(count, rows, options, told)) if options.only != "serf" else {}
        print_table(f"{count} peers", mine, theirs)
    if "storm" in rows:
        theirs, mine = {}, {}
        if options.only != "overlayd":
            told.say(f"serf x {STORM}: all at once")
            theirs = {"storm": serfs.storm(STORM, options.storm)[0]}
        if options.only != "serf":
            mine = asyncio.run(our_storm(options.storm, told))
        print_table(f"{STORM} peers at once", mine, theirs)
    for line in short:
        console.print(f"falls short: {line}")
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench overlay", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--peers", type=int, nargs="+", default=[32, 64, 128], help="how many (32 64 128)")
    add("--rows", nargs="+", choices=ROWS, help="what is measured (all); `joined` always is")
    add("--only", choices=["overlayd", "serf"], help="one of the two only")
    add("--events", type=int, default=20, help="events (20)")
    add("--kills", type=int, default=3, help="peers killed, one after the other (3)")
    add("--stops", type=int, default=2, help="peers stopped and continued (2)")
    add("--idle", type=float, default=30, help="seconds of doing nothing (30)")
    add("--settle", type=float, default=90, help="seconds before that: links of joins end (90)")
    add("--busy", type=float, default=60, help="seconds of no free core (60)")
    add("--storm", type=float, default=600, help="seconds 256 peers have to converge (600)")
    add(
        "--pause",
        type=float,
        help="seconds between starts of ours (1, or a hundredth for each peer)",
    )
    add("--out", help="write the figures to this file, as JSON")
    options = parser.parse_args()
    if options.only != "overlayd":
        if shutil.which("serf") is None:
            parser.error("serf is not installed; apt-get install serf, or --only overlayd")
        if not serfs.HARNESS.exists():
            parser.error(f"serf's harness is not at {serfs.HARNESS}; --only overlayd works without")
    return options


def _report(peers: Daemons, told: Progress) -> None:
    if gone := peers.ended_by_themselves():
        told.say(f"{gone} daemons ended by themselves")
    for line in peers.shared.odd[:10]:
        told.say(f"odd: {line}")


def _part(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _worst(values: list[float | None]) -> float | None:
    """The largest; None if one never came, or none was measured."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def _shown(figures: Figures, name: str) -> str:
    if name not in figures:
        return "-"
    value = figures[name]
    if value is None:
        return "never"
    return f"{value:.3f}" if name.startswith("event p") else f"{value:.4g}"


def _ratio(mine: float | None, theirs: float | None) -> str:
    return f"{mine / theirs:.2f}" if mine is not None and theirs else "-"


if __name__ == "__main__":
    main()
