"""What reservations cost the work around them, simulated, beside Haizea's experiment.

    trace       jobs as a parallel machine gets them, for a day; then reservations on 10, 20, 30 % of its time
    suspends    hosts that save jobs to disk for a reservation and restore them after it, or hosts that cannot:
                there a job starts only where it is over before the next reservation

slowdown: time until the last job is done, over the same without reservations. turnaround: from asking for a job
until it is done, likewise. stops: how often a job was suspended. late: how long after its start the last of a
reservation's machines ran, at worst. used: share of all time, until the last job is done, in which jobs did
their work or places were reserved.

Whole nodes are simulated, overlay and all (protocol/sim/experiments/leasing.py), with a trace that is drawn
(workload.py).
Published: Sotomayor, Keahey, Foster: Combining Batch Execution and Leasing Using Virtual Machines, HPDC 2008;
figures as they were quoted to this project. No time here is this machine's. A run takes some minutes of a core.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benches.ideal import show
from protocol.sim.experiments.leasing import Leased, Leasing, lease
from protocol.sim.experiments.workload import Mix

PUBLISHED = {(0.3, False): "+23.9 %", (0.3, True): "+4.1 to +10.4 %"}
_COLUMNS = (
    *("reserved", "suspends", "slowdown", "published", "turnaround", "stops"),
    *("kept", "late s", "used", "jobs done"),
)

Case = tuple[float, bool]
"""The share of the time that is reserved, and whether hosts suspend."""
_IDEAL_SEEDS = 10
NONE: Case = (0.0, True)


def cases(options: argparse.Namespace) -> dict[Case, Leasing]:
    """The runs. Without reservations nothing is suspended, so one run serves both kinds of host."""
    plain = Leasing(
        Mix(
            seed=options.seed, places=options.places, hours=options.hours, load=options.load,
            wide=options.wide,
        ),
        hosts=options.hosts,
        memory_bytes=options.memory << 20,
        disk_bytes_s=options.rate * 1e6,
    )  # fmt: skip
    return {
        (share, suspends): msgspec.structs.replace(
            plain, suspends=suspends, mix=msgspec.structs.replace(plain.mix, reserved=share)
        )
        for share, suspends in [NONE, *((s, on) for s in options.reserved for on in (False, True))]
    }


def main() -> None:
    """The program."""
    options = _options()
    if options.ideal:
        mix = Mix(places=options.places, load=options.load, wide=1.0)
        show(mix, options.reserved, options.ideal, range(1, 1 + _IDEAL_SEEDS))
        return
    runs = cases(options)
    found: dict[Case, Leased] = {}
    for (share, suspends), got, took_s in _run(runs, options.jobs):
        found[share, suspends] = got
        how = "" if suspends else "out"
        told = f"{100 * share:.0f} % reserved, with{how} suspension: {got.all_done_s / 3600:.2f} h"
        print(f"{told}, {got.steps} steps, {took_s:.0f} s of a core", file=sys.stderr)
    title = f"{options.places} places on {options.hosts} hosts, {options.hours:g} h, seed {options.seed}"
    table = Table(title=f"Haizea's experiment, simulated: {title}")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "published" else "right")
    for case in runs:
        table.add_row(*_row(case, found[case], found[NONE]))
    Console(width=130).print(table)
    if options.out:
        rows = [
            {"reserved": share, "suspends": suspends, **msgspec.to_builtins(one)}
            for (share, suspends), one in found.items()
        ]
        Path(options.out).write_text(json.dumps(rows, indent=1) + "\n")


def _run(runs: dict[Case, Leasing], most: int) -> Iterator[tuple[Case, Leased, float]]:
    with ProcessPoolExecutor(most, mp_context=get_context("fork")) as pool:
        waiting = {pool.submit(_timed, run): case for case, run in runs.items()}
        for done in as_completed(waiting):
            yield waiting[done], *done.result()


def _timed(run: Leasing) -> tuple[Leased, float]:
    began_s = time.process_time()
    return lease(run), time.process_time() - began_s


def _row(case: Case, one: Leased, plain: Leased) -> list[str]:
    share, suspends = case
    return [
        f"{100 * share:.0f} %",
        "" if case == NONE else "yes" if suspends else "no",
        f"{100 * (one.all_done_s / plain.all_done_s - 1):+.1f} %",
        PUBLISHED.get(case, ""),
        f"{100 * (one.turnaround_s / plain.turnaround_s - 1):+.0f} %",
        str(one.suspensions),
        f"{one.kept} of {one.bookings}",
        f"{one.late_s:.1f}",
        f"{100 * one.used:.0f} %",
        f"{one.done} of {one.jobs}",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench haizea", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    shares = [0.1, 0.2, 0.3]
    add(
        "--reserved", type=float, nargs="*", default=shares, help="shares of the time (0.1 0.2 0.3)"
    )
    add("--hours", type=float, default=24, help="virtual hours in which jobs come (24)")
    add("--load", type=float, default=0.75, help="what jobs ask for, of all time (0.75)")
    add("--wide", type=float, default=1.0, help="share of the places of one reservation (1.0)")
    add("--places", type=int, default=16, help="machines that run at once (16)")
    add("--hosts", type=int, default=4, help="hosts they are on (4)")
    add("--memory", type=int, default=1024, help="MiB of each machine (1024)")
    add("--rate", type=float, default=50, help="MB/s at which a host saves and restores (50)")
    add("--seed", type=int, default=1, help="of the trace and the simulation (1)")
    add(
        "--ideal", type=float, nargs="+", metavar="HOURS",
        help="instead: what traces of so many hours cost an ideal scheduler (benches/ideal.py)",
    )  # fmt: skip
    add("--jobs", type=int, default=2, help="runs at once (2)")
    add("--out", help="write the figures to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
