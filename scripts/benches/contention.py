"""Contention, simulated: gangs that ask for the same hosts at once, beside everybody taking the best fit.

    load 80, 90, 97 %   64 hosts of 16 slots, gangs of 4-16 that run 30 s on average; 5-40 ms apart, one way
    crashes             the same at 80 %, with 5 % of requesters dying right after they asked for holds
    crowd               1,000 hosts, 200 gangs of 4 a second at 1,000 requesters, 10 % more than there is room
                        for, and every 10 s one of 64, which is queued. What gives it its turn:
                        protocol/hosting/claims.py

success: committed within 30 s of being asked for, of those whose requester lived; at once: and no host refused
a hold. lost: share of all slots held for requesters that were dead; large: share of the gangs of 64 that were
placed while others still came. Adverts are one second old on average. The load is kept, not offered: see
protocol/sim/experiments/contention.py. What is simulated is the negotiation's own code; the overlay is left out
(protocol/sim/experiments/market.py). No time here is this machine's.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from protocol.sim.experiments.contention import Contended, Load, contend

REACH = {
    "80 %": "99.9 %, p99 0.4 s",
    "90 %": "p99 8 s",
    "80 %, 5 % crash": "lost 3 %",
    "crowd": "leaked 0, large 100 %",
}


def rows_of(options: argparse.Namespace) -> list[tuple[str, Load]]:
    """The loads that are run, each with the name of its row."""
    plain = Load(seconds=options.seconds)
    rows = [
        (f"{round(100 * load)} %", Load(load=load, seconds=options.seconds))
        for load in options.loads
    ]
    if options.crashes:
        rows.append(("80 %, 5 % crash", Load(seconds=plain.seconds, crashes=0.05)))
    if options.crowd:
        crowd = Load(
            hosts=1000, load=1.1, least=4, most=4, life_s=22.0, per_s=200.0, seconds=options.crowd,
            large=64,
        )  # fmt: skip
        rows.append(("crowd", crowd))
    return rows


def runs_of(options: argparse.Namespace) -> Iterator[tuple[str, Load, str, int]]:
    """Each run: its row, its load, how hosts are chosen, its seed."""
    for name, load in rows_of(options):
        for choice, best_fit in (("weighted lot", False), ("best fit", True)):
            if best_fit and (options.no_best_fit or load.crashes or load.per_s):
                continue
            for seed in options.seeds:
                yield name, msgspec.structs.replace(load, best_fit=best_fit), choice, seed


def main() -> None:
    """The program."""
    options = _options()
    # A run leaves no garbage in cycles, and to look for some takes a quarter of a crowd's time.
    gc.set_threshold(500_000, 50, 1000)
    table = Table(title="contention, simulated")
    for column in (
        "",
        "choice",
        "gangs",
        "success",
        "at once",
        "p50 s",
        "p99 s",
        "in use",
        "lost",
        "leaked",
        "large",
        "reach",
    ):
        table.add_column(column, justify="left" if column in ("", "choice", "reach") else "right")
    result: dict[str, dict[str, float]] = {}
    try:
        for name, load, choice, seed in runs_of(options):
            began_s = time.monotonic()
            found = contend(seed, load, _Told(name))
            shown = name if len(options.seeds) == 1 else f"{name}, seed {seed}"
            print(f"\r{shown}, {choice}: {time.monotonic() - began_s:.0f} s", file=sys.stderr)
            _row(table, shown, choice, found, "" if load.best_fit else REACH.get(name, ""))
            result[f"{shown} {choice}"] = {
                "gangs": len(found.survivors), "success": found.success, "at_once": found.at_once,
                "p50_s": found.part_s(50), "p99_s": found.part_s(99), "used": found.used,
                "lost": found.orphaned, "leaked": found.leaked, "large": found.had_turn,
            }  # fmt: skip
    finally:
        Console(width=130).print(table)
        if options.out:
            Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


class _Told:
    """A line on standard error that says how far it is."""

    def __init__(self, name: str) -> None:
        self._name, self._said_s = name, 0.0

    def __call__(self, virtual_s: float, asked: int) -> None:
        if time.monotonic() > self._said_s + 1:
            self._said_s = time.monotonic()
            print(f"\r{self._name}: {virtual_s:.0f} s, {asked} gangs ", end="", file=sys.stderr)


def _row(table: Table, name: str, choice: str, found: Contended, reach: str) -> None:
    large = f"{100 * found.had_turn:.0f} %" if found.large else ""
    table.add_row(
        name, choice, str(len(found.survivors)), f"{100 * found.success:.1f} %",
        f"{100 * found.at_once:.0f} %",
        f"{found.part_s(50):.2f}", f"{found.part_s(99):.2f}", f"{100 * found.used:.1f} %",
        f"{100 * found.orphaned:.1f} %", str(found.leaked), large, reach,
    )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench contention", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--loads", type=float, nargs="*", default=[0.8, 0.9, 0.97], help="loads (0.8 0.9 0.97)")
    add("--seconds", type=float, default=300, help="virtual seconds of each load (300)")
    add("--crowd", type=float, default=20, help="virtual seconds of the crowd (20); 0: without it")
    add("--crashes", action=argparse.BooleanOptionalAction, default=True, help="with the crashes")
    add("--no-best-fit", action="store_true", help="without everybody taking the best fit")
    add("--seeds", type=int, nargs="*", default=[1], help="of the simulation (1)")
    add("--out", help="write the figures to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
