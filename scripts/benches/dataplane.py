"""What carries guests' frames between two hosts: ours beside what people use, in one run on one machine.

TCP of one and of eight streams, without loss and with, datagrams of 64 bytes, round trip, cpu; with packets of
1,500 and of 9,000 bytes between the hosts. Then a sealed forwarder by itself: another table, idling. The cpu of
TCP is the whole machine's, so nothing else should run. Rows whose program is not installed say how to get it.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from federation.launch import wait_for
from rich.console import Console
from rich.table import Table

from benches.dataplane_alone import Bound, alone
from benches.dataplane_carriers import CARRIERS
from benches.dataplane_floods import FLOODS, costs_us
from benches.dataplane_flows import Ends, answers, round_trip_us, small_kpps, tcp
from benches.dataplane_hosts import MTU, WITHIN_S, Hosts

LOSSES = (0.0, 0.001, 0.01)
STREAMS = (1, 8)
MTUS = (MTU, 9_000)
WIDTH = 160
KPPS, ROUND_TRIP, CPU = "64 B, kpps", "round trip, us", "cpu-s a GB"

Figures = dict[str, float]


def gbps(loss: float, streams: int) -> str:
    """What the column is called."""
    return f"{loss:.1%} loss, {streams}" if loss else f"Gb/s, {streams}"


class Reach(NamedTuple):
    """A figure of ours is to be that many times another's. `least` is False where small is good."""

    column: str
    row: str
    times: float
    beside: str
    of_column: str
    least: bool = True

    def reached(self, rows: dict[str, Figures]) -> float | None:
        """How many times it is; None if one of the two was not measured."""
        mine = rows.get(self.row, {}).get(self.column)
        other = rows.get(self.beside, {}).get(self.of_column)
        return mine / other if mine is not None and other else None


SEALED, PLAIN = "ours, sealed", "ours, plain"
HAND, WIREGUARD, NEBULA, OPENVPN = (
    "VXLAN by hand",
    "VXLAN over wireguard-go",
    "nebula",
    "openvpn",
)
ONE, SOME_LOSS, MUCH_LOSS = (gbps(loss, 1) for loss in LOSSES)
REACHES = (
    Reach(ONE, SEALED, 7, WIREGUARD, ONE),
    Reach(ONE, SEALED, 5, NEBULA, ONE),
    Reach(ONE, SEALED, 4, OPENVPN, ONE),
    Reach(SOME_LOSS, SEALED, 4, WIREGUARD, SOME_LOSS),
    Reach(SOME_LOSS, SEALED, 0.6, HAND, SOME_LOSS),
    Reach(MUCH_LOSS, SEALED, 2.5, WIREGUARD, MUCH_LOSS),
    Reach(MUCH_LOSS, SEALED, 1.2, NEBULA, MUCH_LOSS),
    Reach(gbps(0, 8), SEALED, 0.85, SEALED, ONE),
    Reach(KPPS, SEALED, 1.5, NEBULA, KPPS),
    Reach(ROUND_TRIP, SEALED, 1, WIREGUARD, ROUND_TRIP, least=False),
    Reach(ONE, PLAIN, 0.95, HAND, ONE),
)


def measured(hosts: Hosts, ends: Ends, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Figures of one row, by column."""
    wait_for(lambda: answers(ends), WITHIN_S, "a ping from end to end")
    yield ROUND_TRIP, round_trip_us(ends)
    yield KPPS, small_kpps(ends, options.seconds)
    for loss in options.loss:
        hosts.lose(loss)
        for streams in STREAMS:
            flow = tcp(ends, streams, options.seconds)
            yield gbps(loss, streams), flow.gbps
            if (loss, streams) == (0.0, 1):
                yield CPU, flow.cpu_s_per_gb
    hosts.check_wire()


def run(row: str, mtu: int, options: argparse.Namespace) -> Figures:
    """A row, between two hosts made for it, with frames of that size on their link."""
    with (
        tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp") as folder,
        Hosts(Path(folder), mtu) as hosts,
    ):
        return dict(measured(hosts, CARRIERS[row].set_up(hosts), options))


def median(runs: list[Figures]) -> Figures:
    """Of each column the middle one of all runs."""
    return {column: statistics.median(each[column] for each in runs) for column in runs[0]}


def table_of(rows: dict[str, Figures], mtu: int = MTU) -> Table:
    """What was measured, with packets of so many bytes underneath."""
    columns = list(next(iter(rows.values()), {}))
    table = Table(f"{mtu:,} bytes underneath", *columns)
    for row, figures in rows.items():
        shown = [f"{figures[c]:.0f}" if figures[c] >= 10 else f"{figures[c]:.2f}" for c in columns]
        table.add_row(row, *shown)
    return table


def ratios_of(rows: dict[str, Figures]) -> Table:
    """What is to be reached with packets of wire size underneath, and what was."""
    table = Table(f"{MTU:,} bytes underneath", "beside", "to reach", "reached", "")
    for reach in REACHES:
        got = reach.reached(rows)
        if got is not None:
            good = got >= reach.times if reach.least else got <= reach.times
            beside = reach.beside if reach.beside != reach.row else reach.of_column
            bound = f"{reach.times:g} x" if reach.least else f"at most {reach.times:g} x"
            table.add_row(
                f"{reach.row}: {reach.column}",
                beside,
                bound,
                f"{got:.2f} x",
                "" if good else "short",
            )
    return table


def alone_of(figures: dict[Bound, float]) -> Table:
    """What a forwarder does by itself, beside what it may."""
    table = Table("a sealed forwarder by itself", "", "at most", "")
    for bound, got in figures.items():
        short = "" if got <= bound.most else "short"
        table.add_row(bound.what, f"{got:.2g} {bound.unit}", f"{bound.most:g} {bound.unit}", short)
    return table


def floods_of(loops: dict[str, bool], for_s: float) -> Table:
    """What datagrams cost a forwarder that no peer has sent, by which loop takes them."""
    table = Table("microseconds of a core for a datagram", *FLOODS)
    for name, native in loops.items():
        table.add_row(name, *(f"{cost:.2f}" for cost in costs_us(native, for_s).values()))
    return table


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench dataplane", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=list(CARRIERS), default=list(CARRIERS), metavar="ROW",
                        help=f"of: {', '.join(CARRIERS)}")  # fmt: skip
    parser.add_argument("--loss", nargs="*", type=float, default=list(LOSSES), metavar="SHARE")
    parser.add_argument("--mtu", nargs="+", type=int, default=list(MTUS), metavar="BYTES",
                        help="packets between the hosts; guests' as large as each carrier takes")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=5.0, help="of each flow")
    parser.add_argument("--runs", type=int, default=1, help="of each row; the table has medians")
    parser.add_argument("--floods", action="store_true", help="what strangers' datagrams cost, too")
    options = parser.parse_args()
    console = Console(width=WIDTH)
    there = [row for row in options.rows if not CARRIERS[row].missing()]
    for row in options.rows:
        if missing := CARRIERS[row].missing():
            console.print(f"{row}: not installed here: {missing}", style="dim")
    for mtu in options.mtu:
        rows: dict[str, list[Figures]] = {row: [] for row in there}
        for _ in range(options.runs):
            for row in there:
                rows[row].append(run(row, mtu, options))
                console.print(f"{mtu:,} bytes: {row}: {rows[row][-1]}", style="dim")
        medians = {row: median(runs) for row, runs in rows.items()}
        console.print(table_of(medians, mtu))
        if mtu == MTU:
            console.print(ratios_of(medians))
    console.print(alone_of(alone()))
    if options.floods:
        console.print(floods_of({"in C": True, "in Python": False}, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
