"""Best-effort guests on two real hosts are saved to disk for a reservation on one, and count on after it."""

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from federation import orders, traces
from federation.launch import Caps, Federation, Host, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.api.views import ConsoleRequest, ConsoleView
from protocol.grid.model import Encryption, GridSpec, LeaseTerms, NetworkSpec, PlacementSpec, Spread
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "yields",
    (
        Site("ams", "198.51.100.32/28", (LabHost("a", "198.51.100.33"),)),
        Site("bnl", "198.51.100.48/28", (LabHost("b", "198.51.100.49"),)),
    ),
)
COUNT = b"echo kept >/scratch/note; i=0; while :; do i=$((i+1)); echo count-$i; sleep 1; done &\n"
BEGINS_IN_S = 35.0
UP_WITHIN_S = 120


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts, each with room for one guest."""
    with two_hosts(TOPOLOGY, Caps(cpus="1", memory="512M", disk="1G")) as made:
        yield made


def phases(host: Host, grid: str) -> list[str]:
    view = orders.grid(host, grid)
    return sorted(row.phase for row in view.workspaces) if view is not None else []


def console(host: Host, admin: Path, workspace: str, keys: bytes = b"") -> str:
    """All that a console has shown, after typing `keys`."""
    order = orders.signed(admin, Action.CONSOLE, "work", workspace, via=host)
    body = msgspec.json.encode(ConsoleRequest(order, 0, keys))
    view = msgspec.json.decode(host.ask("POST", "console", body).content, type=ConsoleView)
    return view.data.decode(errors="replace")


def counts(host: Host, admin: Path, workspace: str) -> list[int]:
    """Everything a guest has counted on its console."""
    shown = console(host, admin, workspace)
    return [int(number) for number in re.findall(r"^count-(\d+)\r?$", shown, re.MULTILINE)]


def _counted(host: Host, admin: Path, workspace: str, least: int) -> bool:
    return max(counts(host, admin, workspace), default=0) >= least


def revive(federation: Federation) -> None:
    for name in federation.hosts:
        federation.kill(name)
        federation.start(name)
        federation.wait_ready(federation.hosts[name])


def asked(spec: GridSpec, lease: LeaseTerms, **changes: object) -> GridSpec:
    """The grid on a network, so that its guests are seen to answer, each with a disk."""
    cluster = msgspec.structs.replace(
        spec.clusters[0], cpus_milli=800, networks=("lan",), scratch_bytes=64 << 20
    )
    networks = (NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),)
    return msgspec.structs.replace(
        spec, clusters=(cluster,), networks=networks, lease=lease, **changes
    )


def test_guests_make_room_and_count_on_where_they_stopped(federation: Federation) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    admin = federation.identity("ams")
    apart = PlacementSpec(spread=Spread.HOST)
    plain = orders.spec("work", image, 2, memory_bytes=128 << 20)
    work = asked(plain, LeaseTerms(best_effort=True), placement=apart)
    assert orders.obeyed(a, orders.up(admin, work, a), UP_WITHIN_S).state is RequestState.DONE
    for name in ("n-1", "n-2"):
        wait_for(lambda n=name: f"root@{n}" in console(a, admin, n), 60, f"{name} has a shell")
        console(a, admin, name, COUNT)
        wait_for(partial(_counted, a, admin, name, 5), 60, f"{name} counts")

    plain = orders.spec("exam", image, 1, memory_bytes=128 << 20)
    start_s = time.time() + BEGINS_IN_S
    exam = asked(plain, LeaseTerms(start_s=start_s, grace_s=0), lease_s=600)
    reserved = orders.obeyed(b, orders.up(admin, exam, b))
    assert reserved.state is RequestState.DONE, reserved.answer
    assert phases(a, "work") == ["ready", "ready"], "not before it must"
    wait_for(lambda: phases(a, "work") == ["suspended"] * 2, 120, "both are on disk")
    stopped = {name: counts(a, admin, name)[-1] for name in ("n-1", "n-2")}
    wait_for(lambda: phases(a, "exam") == ["ready"], UP_WITHIN_S, "the reservation runs")
    revive(federation)
    wait_for(lambda: phases(a, "exam") == ["ready"], 60, "it is found again")
    wait_for(lambda: phases(a, "work") == ["suspended"] * 2, 60, "and so are they")
    assert sum(len(traces.guest_names(host)) for host in (a, b)) == 1, "only the exam's runs"

    assert orders.obeyed(b, orders.signed(admin, Action.DOWN, "exam")).state is RequestState.DONE
    wait_for(lambda: phases(b, "work") == ["ready"] * 2, 120, "both go on")
    for name, last in stopped.items():
        wait_for(partial(_counted, a, admin, name, last + 3), 60, f"{name} counts on")
        seen = counts(a, admin, name)
        # The first lines may share one with the shell's prompt.
        assert seen[3:] == list(range(seen[3], seen[-1] + 1)), "none is missing, none comes twice"
        console(a, admin, name, b"echo disk-$(cat /scratch/note)\n")
        wait_for(lambda n=name: "disk-kept" in console(a, admin, n), 20, f"{name} has its disk")
    assert orders.obeyed(a, orders.signed(admin, Action.DOWN, "work")).state is RequestState.DONE
