"""A host loses its memory while a real guest runs: the guest goes on, and is taken up again or told of."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import BIN, Caps, Federation, Host, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.adapters.libvirt import orphans
from overlayd.config.places import LIBVIRT_ROOT
from protocol.grid.model import Encryption, GridSpec, NetworkSpec, PlacementSpec, Spread
from protocol.node.rows import UnknownRow
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "forgets",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
UP_WITHIN_S = 150


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts, each with room for one guest."""
    with two_hosts(TOPOLOGY, Caps(cpus="1", memory="256M", disk="1G")) as made:
        yield made


def guest(host: Host) -> int:
    """The process of a host's one guest."""
    (lost,) = orphans.find(str(host.folder / "state" / LIBVIRT_ROOT), ())
    return lost.pid


def phases(host: Host) -> dict[str, tuple[str, str]]:
    view = orders.grid(host, "work")
    return {row.workspace: (row.phase, row.detail) for row in view.workspaces} if view else {}


def are_up(host: Host) -> bool:
    """Both guests are seen to answer. That one was ready is forgotten with the rest of its host's memory."""
    now = [phase for phase, _ in phases(host).values()]
    return len(now) == 2 and all(phase in ("reachable", "ready") for phase in now)


def kinds(host: Host) -> list[str]:
    """The kinds of every event that a daemon still has."""
    lines = host.ask("GET", "events").text.splitlines()
    return [json.loads(line)["kind"] for line in lines]


def unknown(host: Host) -> list[UnknownRow]:
    return msgspec.json.decode(host.ask("GET", "unknown").content, type=list[UnknownRow])


def asked(spec: GridSpec) -> GridSpec:
    """One guest on each host, on a network, so that they are seen to answer."""
    cluster = msgspec.structs.replace(
        spec.clusters[0], cpus_milli=800, networks=("lan",), scratch_bytes=64 << 20
    )
    networks = (NetworkSpec("lan", "10.43.0.0/24", Encryption.NONE),)
    apart = PlacementSpec(spread=Spread.HOST)
    return msgspec.structs.replace(spec, clusters=(cluster,), networks=networks, placement=apart)


def recover(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [
        *host.prefix,
        str(BIN / "overlayd"),
        "recover",
        "-c",
        str(host.folder / "overlayd.toml"),
    ]
    return subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60, check=False)


def back(federation: Federation, name: str) -> None:
    federation.start(name)
    federation.wait_ready(federation.hosts[name])


def test_its_guests_go_on_whatever_of_its_memory_is_lost(federation: Federation) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    state = a.folder / "state"
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    admin = federation.identity("ams")
    spec = asked(orders.spec("work", image, 2, memory_bytes=128 << 20))
    assert orders.obeyed(a, orders.up(admin, spec, a), UP_WITHIN_S).state is RequestState.DONE
    pid = guest(a)

    # The store is moved away.
    federation.kill("a")
    for path in state.glob("store.sqlite*"):
        path.unlink()
    back(federation, "a")
    wait_for(lambda: "grid.taken-up" in kinds(a), 60, "it is taken up again")
    assert "store.empty" in kinds(a), "that nothing was remembered is said"
    wait_for(lambda: are_up(a) and are_up(b), 60, "both are seen to answer")
    assert guest(a) == pid, "it never stopped"
    assert unknown(a) == []

    # The store is damaged. The daemon says what helps, and that helps.
    federation.kill("a")
    store = state / "store.sqlite"
    # Its log has every page of so young a file, and would mend it.
    (state / "store.sqlite-wal").unlink(missing_ok=True)
    store.write_bytes(b"\xa5" * max(4096, store.stat().st_size))
    started = federation.start("a").process
    assert started is not None
    assert started.wait(30) == 1
    assert "overlayd recover" in a.log.read_text()
    shown = recover(a)
    assert (shown.returncode, "nothing was changed" in shown.stdout) == (1, True), shown
    assert "kept, and its stewards are asked" in shown.stdout
    done = recover(a, "--yes")
    assert done.returncode == 0, done
    back(federation, "a")
    wait_for(lambda: "grid.taken-up" in kinds(a), 60, "it is taken up again")
    wait_for(lambda: are_up(a) and are_up(b), 60, "both are seen to answer")
    assert guest(a) == pid, "it never stopped"

    # Everything is gone, libvirt's own memory too. The guest is told of, counted, and not started twice.
    federation.kill("a")
    shutil.rmtree(state)
    back(federation, "a")
    wait_for(lambda: unknown(a), 30, "it is found")
    (row,) = [row for row in unknown(a) if row.things]
    assert row.things[0].startswith(f"process {pid} runs ovl-")
    assert row.quantum.memory_bytes == 128 << 20
    wait_for(
        lambda: any(f"as process {pid}" in detail for _, detail in phases(b).values()),
        60,
        "b hears why it is not started",
    )
    assert guest(a) == pid
    subprocess.run(["kill", str(pid)], check=True)
    wait_for(lambda: are_up(b), UP_WITHIN_S, "it is made anew, as its grid wants it")
    assert guest(a) != pid
    assert orders.obeyed(b, orders.signed(admin, Action.DOWN, "work")).state is RequestState.DONE
    wait_for(lambda: not orphans.find(str(state / LIBVIRT_ROOT), ()), 30, "nothing of it runs")
