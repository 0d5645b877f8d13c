"""`up` of 64 workspaces and `plan` at 32 real daemons with libvirt's test driver, on loopback.

    held, committed    from the order being taken to all held, and to the stewards having decided; by its clock
    answered           from `POST /v1/orders` to the story saying "committed", as a program beside it sees it
    plan               from `POST /v1/plans` to its answer; each a round of quotes
    overlayctl plan    the whole command, with the start of its Python process

Each `up` and `plan` is asked of another peer, and each `up` is taken down before the next. Nothing else may
run on the machine: the load average is printed, and with other programs on both cores the figures are theirs.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from federation import orders
from federation.launch import Caps, Federation, Host, wait_for
from federation.stage import IMAGE
from rich.console import Console
from rich.table import Table

from overlayd.ports.images import ImageInfo
from protocol.requesting.request import RequestState, RequestView
from protocol.trust.order import Action

INSIDE = "OVERLAYD_BENCH_INSIDE"
SITES = ("uc", "fnal", "bnl", "ams")
GRID = """\
grid: {name}
lease: {{for: 1h}}
clusters:
  box: {{count: {count}, image: guest, cpus: 0.1, memory: 64M}}
placement: {{spread: host}}
"""
EVERY_S = 0.01


class Peer:
    """One daemon and a connection to its API that stays open."""

    def __init__(self, host: Host) -> None:
        self.host = host
        transport = httpx.HTTPTransport(uds=str(host.socket), verify=False)
        self._client = httpx.Client(transport=transport, timeout=30, base_url="http://overlayd/v1/")

    def post(self, path: str, value: object) -> str:
        """Posts a value. Answers the id of the request that it becomes."""
        said = self._client.post(path, content=msgspec.json.encode(value))
        return str(said.raise_for_status().json()["request"])

    def get(self, path: str) -> bytes:
        """One answer of the API, as it is written."""
        return self._client.get(path).raise_for_status().content

    def until(
        self, request: str, over: Callable[[RequestView], bool], within_s: float
    ) -> RequestView:
        """The request's view, once `over` says so."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            said = self._client.get(f"requests/{request}").raise_for_status()
            view = msgspec.json.decode(said.content, type=RequestView)
            if over(view) or view.state in (RequestState.FAILED, RequestState.CANCELLED):
                return view
            time.sleep(EVERY_S)
        raise RuntimeError(f"{self.host.name} did not answer {request} in {within_s:.0f} s")


@contextmanager
def running(count: int) -> Iterator[tuple[Federation, list[Peer], ImageInfo]]:
    """So many daemons that know each other and the image. Everything that was started is ended."""
    caps = Caps(cpus="4", memory="8G", disk="64G")
    with (
        tempfile.TemporaryDirectory(prefix="ovb-") as folder,
        Federation(Path(folder), uri="test:///default", caps=caps) as federation,
    ):
        for index in range(count):
            site = SITES[index % len(SITES)]
            federation.enrol(f"h{index}", site, f"127.0.0.1:{18400 + index}")
        for name in federation.hosts:
            federation.start(name)
            time.sleep(0.3)
        for host in federation.hosts.values():
            federation.wait_ready(host, 120)
        for host in federation.hosts.values():
            images = [orders.add_image(host, IMAGE)]
        for host in federation.hosts.values():
            wait_for(lambda h=host: _knows(h, count), 120, f"{host.name} has heard of all hosts")
        yield federation, [Peer(host) for host in federation.hosts.values()], images[0]


def _knows(host: Host, count: int) -> bool:
    rows: Any = host.get("peers")
    return len([r for r in rows if r["age_s"] >= 0 and r["images"]]) >= count


def up_once(
    federation: Federation, peer: Peer, image: ImageInfo, count: int, number: int
) -> dict[str, float]:
    """The seconds of one `up`, by what they are until. The grid is then taken down."""
    name = f"bench-{number}"
    identity = federation.identity(peer.host.site)
    order = orders.up(identity, orders.spec(name, image, count), peer.host)
    began_s = time.monotonic()
    request = peer.post("orders", order)
    view = peer.until(request, lambda v: any("committed" in line.text for line in v.story), 90)
    took_s = time.monotonic() - began_s
    if view.state is RequestState.FAILED:
        raise RuntimeError("\n".join(view.answer))
    at = {line.text.split(";")[0].split(":")[0]: line.at_s - view.started_s for line in view.story}
    figures = {"held": at["all held"], "committed": at["committed"], "answered": took_s}
    view = peer.until(request, lambda v: v.state is RequestState.DONE, 300)
    figures["up"] = view.story[-1].at_s - view.started_s
    down = peer.post("orders", orders.signed(identity, Action.DOWN, name))
    peer.until(down, lambda v: v.state is RequestState.DONE, 300)
    return figures


def plan_once(peer: Peer, image: ImageInfo, count: int) -> float:
    """The seconds of one `plan`."""
    spec = orders.spec("planned", image, count)
    began_s = time.monotonic()
    view = peer.until(peer.post("plans", spec), lambda v: v.state is RequestState.DONE, 60)
    if view.state is not RequestState.DONE:
        raise RuntimeError("\n".join(view.answer))
    return time.monotonic() - began_s


def command_once(federation: Federation, peer: Peer, count: int) -> float:
    """The seconds of one `overlayctl plan`."""
    file = federation.folder / "planned.yaml"
    file.write_text(GRID.format(name="planned", count=count))
    began_s = time.monotonic()
    done = federation.ctl(peer.host.name, "plan", str(file))
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return time.monotonic() - began_s


def main() -> None:
    """The program."""
    options = _options()
    if INSIDE not in os.environ:
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable,
                "-m", "benches.negotiate", *sys.argv[1:]]  # fmt: skip
        os.execvpe("/usr/bin/unshare", argv, {**os.environ, INSIDE: "1"})  # noqa: S606
    # When it is ended early, it ends what it started, and prints what it has measured so far.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    figures: dict[str, list[float]] = {}
    loads: list[float] = []

    def say(text: str) -> None:
        took_s, load = time.monotonic() - began_s, os.getloadavg()[0]
        print(f"[{took_s:6.1f} s, load {load:4.1f}] {text}", file=sys.stderr, flush=True)

    def add(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)
        loads.append(os.getloadavg()[0])

    try:
        say(f"starting {options.peers} daemons")
        with running(options.peers) as (federation, peers, image):
            for peer in peers:
                peer.host.get("self")
            time.sleep(options.settle)
            for number in range(options.plans):
                add(
                    "plan",
                    plan_once(peers[(7 * number + 3) % len(peers)], image, options.workspaces),
                )
            say(f"{options.plans} plans")
            for number in range(options.commands):
                add(
                    "overlayctl plan",
                    command_once(federation, peers[5 * number % len(peers)], options.workspaces),
                )
            for number in range(options.runs):
                peer = peers[(11 * number + 1) % len(peers)]
                took = up_once(federation, peer, image, options.workspaces, number)
                for name, value in took.items():
                    add(name, value)
                say(f"up {number + 1} of {options.runs}: committed after {took['committed']:.2f} s")
    finally:
        with contextlib.suppress(IndexError):
            Console(width=110).print(table_of(figures, loads, options))
        if options.out:
            Path(options.out).write_text(json.dumps(figures, indent=1) + "\n")


def table_of(
    figures: dict[str, list[float]], loads: list[float], options: argparse.Namespace
) -> Table:
    """A table with the median, spread and 95th percentile of each figure."""
    load = f"load average {min(loads):.1f}-{max(loads):.1f}"
    title = f"{options.peers} daemons, {options.workspaces} workspaces, seconds ({load})"
    table = Table(title=title)
    for column in ("", "runs", "median", "least", "p95", "most", "reach", ""):
        table.add_column(column, justify="left" if column == "" else "right")
    for name in ("plan", "overlayctl plan", "held", "committed", "answered", "up"):
        values = figures.get(name)
        if not values:
            continue
        p95 = (
            statistics.quantiles(values, n=20, method="inclusive")[-1]
            if len(values) > 1
            else values[0]
        )
        # Every `up` is to be committed in time, so the worst counts; of plans the 95th of 100 does.
        limit = {"committed": (max(values), 1.5), "plan": (p95, 0.7)}.get(name)
        reach = "" if limit is None else f"{'p95' if name == 'plan' else 'most'} {limit[1]}"
        ok = "" if limit is None else "reached" if limit[0] <= limit[1] else "SHORT"
        shown = [f"{v:.2f}" for v in (statistics.median(values), min(values), p95, max(values))]
        table.add_row(name, str(len(values)), *shown, reach, ok)
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench negotiate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--peers", type=int, default=32, help="daemons (32)")
    add("--workspaces", type=int, default=64, help="workspaces of a grid (64)")
    add("--runs", type=int, default=10, help="deployments (10)")
    add("--plans", type=int, default=40, help="plans asked of the API (40)")
    add("--commands", type=int, default=5, help="plans asked by overlayctl (5)")
    add("--settle", type=float, default=10, help="seconds of quiet before (10)")
    add("--out", help="write the figures to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
