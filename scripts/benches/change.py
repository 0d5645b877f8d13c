"""Changes of a grid of 64 workspaces at 32 real daemons with libvirt's test driver, on loopback.

    up             the grid from nothing, in the same run: what a change is beside
    +1, -1         one workspace more, then one less; +16 and -16 likewise
    cpus of all    every workspace gets twice its cpus while it runs

    read           `GET /v1/standing/NAME`, with which a change begins
    committed      from the order given to the stewards having decided, as the story says
    in force       from the order given to the request's answer: all that it brings is up, all it takes gone
    decided        bytes of the last decision, with its signatures, as hosts and stewards are shown it

Each order is given to another peer than the one before, so none knows the grid from its own last change. After
the last run it is changed further, by one workspace, and the last lines say how large its `decided` became and
what a change sends. Nothing else may run on the machine: the load average is printed, and with other programs
on both cores the figures are theirs.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import msgspec
from federation import orders
from federation.launch import Federation, Host
from rich.console import Console
from rich.table import Table

from benches.negotiate import Peer, running
from overlayd.ports.images import ImageInfo
from protocol.contract.messages import Decided
from protocol.grid.model import GridSpec
from protocol.grid.record import ApplyTerms
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE
from protocol.node.standing import Standing
from protocol.requesting.request import RequestState, RequestView
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import decode, encode

INSIDE = "OVERLAYD_BENCH_INSIDE"
REACH_S = {"+1": 0.3}
"""By change: within what it is to be committed, at worst."""
WITHIN_S = 300


class Took(msgspec.Struct, frozen=True):
    """One change, or one `up`."""

    change: str
    committed_s: float
    in_force_s: float
    read_s: float | None = None
    decided_bytes: int | None = None


def scaled(spec: GridSpec, by: int) -> GridSpec:
    """The same grid with so many workspaces more, or fewer."""
    (cluster,) = spec.clusters
    number = cluster.count + by
    return msgspec.structs.replace(
        spec, clusters=(msgspec.structs.replace(cluster, count=number, minimum=number),)
    )


def resized(spec: GridSpec) -> GridSpec:
    """The same grid, each of its workspaces with twice the cpus."""
    (cluster,) = spec.clusters
    larger = msgspec.structs.replace(cluster, cpus_milli=2 * cluster.cpus_milli)
    return msgspec.structs.replace(spec, clusters=(larger,))


CHANGES: dict[str, Callable[[GridSpec], GridSpec]] = {
    "+1": lambda spec: scaled(spec, 1),
    "-1": lambda spec: scaled(spec, -1),
    "+16": lambda spec: scaled(spec, 16),
    "-16": lambda spec: scaled(spec, -16),
    "cpus of all": resized,
}
"""In the order in which they are made: what each makes of the grid that is up."""


def further(made: int, wanted: int) -> Iterator[str]:
    """The changes that come after so many, until there were as many as wanted: one more, one less."""
    for number in range(wanted - made):
        yield ("+1", "-1")[number % 2]


def followed(peer: Peer, order: SignedOrder, decided: str) -> tuple[float, float]:
    """Gives an order. Answers the seconds to the story's line that begins with `decided`, and to the answer.

    The story's times are the host's, which has this machine's clock. Raises RuntimeError if it is refused.
    """
    given_s = time.time()
    request = peer.post("orders", order)
    view = peer.until(request, lambda view: _line(view, decided) is not None, WITHIN_S)
    decided_s = _line(view, decided)
    view = peer.until(request, lambda view: view.state is RequestState.DONE, WITHIN_S)
    if view.state is not RequestState.DONE or decided_s is None:
        story = [f"  {line.at_s - given_s:6.2f} s {line.text}" for line in view.story]
        raise RuntimeError("\n".join([*view.answer, *story]))
    return decided_s - given_s, view.story[-1].at_s - given_s


def _line(view: RequestView, begins: str) -> float | None:
    """When the story first told that; None if it did not."""
    return next((line.at_s for line in view.story if line.text.startswith(begins)), None)


class Grid:
    """The grid of one run, whose every order is given to the next of the peers."""

    def __init__(
        self, federation: Federation, peers: Sequence[Peer], turns: Iterator[int], name: str
    ) -> None:
        self._federation, self._peers, self._turns = federation, peers, turns
        self._name = name
        self._owner = federation.identity(peers[0].host.site)

    def up(self, image: ImageInfo, workspaces: int) -> Took:
        """Makes it."""
        peer = self._next()
        spec = orders.spec(self._name, image, workspaces)
        committed_s, in_force_s = followed(
            peer, orders.up(self._owner, spec, peer.host), "committed"
        )
        return Took("up", committed_s, in_force_s, None, self._decided_bytes(self._read(peer)))

    def change(self, name: str) -> Took:
        """Makes one of CHANGES."""
        peer = self._next()
        began_s = time.monotonic()
        standing = self._read(peer)
        read_s = time.monotonic() - began_s
        terms = ApplyTerms(CHANGES[name](standing.spec), standing.epoch, (), standing.ends_s)
        order = orders.signed(
            self._owner, Action.APPLY, standing.grid, body=encode(terms), via=peer.host
        )
        committed_s, in_force_s = followed(peer, order, "decided")
        decided_bytes = self._decided_bytes(self._read(peer))
        return Took(name, committed_s, in_force_s, read_s, decided_bytes)

    def down(self) -> None:
        """Takes it down."""
        peer = self._next()
        order = orders.signed(self._owner, Action.DOWN, self._name)
        peer.until(
            peer.post("orders", order), lambda view: view.state is RequestState.DONE, WITHIN_S
        )

    def _next(self) -> Peer:
        return self._peers[next(self._turns) % len(self._peers)]

    def _read(self, peer: Peer) -> Standing:
        return msgspec.json.decode(peer.get(f"standing/{self._name}"), type=Standing)

    def _decided_bytes(self, standing: Standing) -> int:
        hosts = self._federation.hosts
        carriers = dict.fromkeys(row.host for row in standing.placed)
        return next(
            size for name in carriers if (size := decided_bytes(hosts[name], standing)) is not None
        )


def decided_bytes(host: Host, standing: Standing) -> int | None:
    """The size of the message with which that epoch is shown, from a host's store; None if it is not there."""
    for value in _rows(host.folder / "state", TABLE):
        lease = decode(value, Lease)
        certificate = lease.certificate
        same = (lease.record.id, lease.record.epoch) == (standing.grid, standing.epoch)
        if same and certificate is not None:
            return len(encode(Decided(certificate)))
    return None


def _rows(state: Path, table: str) -> list[bytes]:
    """The rows of a store's table. Its daemon has it for itself, so a copy is read, with the log beside it."""
    with tempfile.TemporaryDirectory(prefix="ovb-") as folder:
        for name in ("store.sqlite", "store.sqlite-wal"):
            if (state / name).exists():
                shutil.copyfile(state / name, Path(folder) / name)
        with closing(sqlite3.connect(Path(folder) / "store.sqlite")) as db:
            rows = db.execute("select value from entries where room = ?", (table,)).fetchall()
    return [value for (value,) in rows]


def sent_bytes(peers: Sequence[Peer]) -> float:
    """What all peers have sent one another since they were started."""
    return sum(bytes_out(peer.get("metrics").decode()) for peer in peers)


def bytes_out(metrics: str) -> float:
    """What a daemon says that it has sent to peers."""
    said = re.search(r"^overlayd_bytes_out (\S+)$", metrics, re.M)
    assert said is not None
    return float(said[1])


class Sent(msgspec.Struct, frozen=True):
    """What all peers sent while so much time went by, and so many changes."""

    bytes: float
    seconds: float
    changes: int = 0

    def each(self, idle: "Sent") -> float:
        """Bytes for each change, without what is sent when nothing happens."""
        return (self.bytes - idle.bytes / idle.seconds * self.seconds) / self.changes


def main() -> None:
    """The program."""
    options = _options()
    if INSIDE not in os.environ:
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable,
                "-m", "benches.change", *sys.argv[1:]]  # fmt: skip
        os.execvpe("/usr/bin/unshare", argv, {**os.environ, INSIDE: "1"})  # noqa: S606
    # When it is ended early, it ends what it started, and prints what it has measured so far.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    figures: list[list[Took]] = []
    loads: list[float] = []
    wire: list[Sent] = []

    def say(text: str) -> None:
        took_s, load = time.monotonic() - began_s, os.getloadavg()[0]
        loads.append(load)
        print(f"[{took_s:6.1f} s, load {load:4.1f}] {text}", file=sys.stderr, flush=True)

    def add(took: Took) -> None:
        figures[-1].append(took)
        say(f"{took.change}: committed {took.committed_s:.2f} s, in force {took.in_force_s:.2f} s")

    try:
        say(f"starting {options.daemons} daemons")
        with running(options.daemons) as (federation, peers, image):
            wire.append(_idle(peers, options.settle))
            turns = count(1, 11)
            for number in range(options.runs):
                grid = Grid(federation, peers, turns, f"bench-{number}")
                figures.append([])
                add(grid.up(image, options.workspaces))
                for name in CHANGES:
                    add(grid.change(name))
                if number == options.runs - 1:
                    wire.append(_further(grid, peers, options.changes, add))
                grid.down()
    finally:
        with contextlib.suppress(IndexError):
            console = Console(width=110)
            console.print(table_of(figures, loads, options))
            for line in register_lines(figures[-1], wire):
                console.print(line, markup=False, highlight=False)
        if options.out:
            Path(options.out).write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")


def _idle(peers: Sequence[Peer], seconds: float) -> Sent:
    """What is sent in so many seconds in which nothing is asked."""
    before, began_s = sent_bytes(peers), time.monotonic()
    time.sleep(seconds)
    return Sent(sent_bytes(peers) - before, time.monotonic() - began_s)


def _further(grid: Grid, peers: Sequence[Peer], wanted: int, add: Callable[[Took], None]) -> Sent:
    """Changes the grid until it was changed as often as wanted. Answers what that sent."""
    before, began_s = sent_bytes(peers), time.monotonic()
    names = list(further(len(CHANGES), wanted))
    for name in names:
        add(grid.change(name))
    return Sent(sent_bytes(peers) - before, time.monotonic() - began_s, len(names))


def table_of(
    figures: Sequence[Sequence[Took]], loads: Sequence[float], options: argparse.Namespace
) -> Table:
    """A table with the median and the worst of each change, beside `up`. Raises IndexError if empty."""
    if not any(figures):
        raise IndexError("nothing was measured")
    load = f"load average {min(loads):.1f}-{max(loads):.1f}"
    title = f"{options.daemons} daemons, {options.workspaces} workspaces, seconds ({load})"
    table = Table(title=title)
    for column in ("", "runs", "read", "committed", "worst", "in force", "worst", "reach", ""):
        table.add_column(column, justify="left" if column == "" else "right")
    for name in ("up", *CHANGES):
        took = [each for run in figures for each in run if each.change == name]
        if not took:
            continue
        reads = [each.read_s for each in took if each.read_s is not None]
        committed, in_force = [t.committed_s for t in took], [t.in_force_s for t in took]
        limit, worst_s = REACH_S.get(name), max(committed)
        table.add_row(
            name,
            str(len(took)),
            f"{statistics.median(reads):.2f}" if reads else "",
            *(f"{v:.2f}" for v in (statistics.median(committed), worst_s)),
            *(f"{v:.2f}" for v in (statistics.median(in_force), max(in_force))),
            "" if limit is None else f"worst {limit}",
            "" if limit is None else "reached" if worst_s <= limit else "SHORT",
        )
    return table


def register_lines(run: Sequence[Took], wire: Sequence[Sent]) -> list[str]:
    """What one grid's register and the wire cost, from its `up` over its changes, in lines.

    `wire` is first of an idle while, then of changes by one workspace.
    """
    sizes = [took.decided_bytes or 0 for took in run]
    changes = len(sizes) - 1
    lines = [
        f"[change] decided: {sizes[0]:,} bytes after up, {sizes[-1]:,} after {changes} changes, "
        f"most {max(sizes):,}",
        "[change] decided after each: "
        + ", ".join(
            f"{took.change} {size:,}"
            for took, size in zip(run[: len(CHANGES) + 1], sizes, strict=False)
        ),
    ]
    idle, *changing = wire
    for sent in changing:
        if sent.changes:
            lines.append(
                f"[change] all peers send {sent.each(idle):,.0f} bytes for a change by one, "
                f"beside {idle.bytes / idle.seconds:,.0f} a second when idle"
            )
    return lines


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench change", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--daemons", type=int, default=32, help="daemons (32)")
    add("--workspaces", type=int, default=64, help="workspaces of a grid (64)")
    add("--runs", type=int, default=10, help="grids that are made and changed (10)")
    add("--changes", type=int, default=10, help="how often the last of them is changed (10)")
    add("--settle", type=float, default=10, help="seconds of quiet before (10)")
    add("--out", help="write the figures to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
