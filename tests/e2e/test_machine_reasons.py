"""A real guest on a real daemon: how it ended, why it waits and what its clock says are told as they are."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from carried import Workspace
from federation import orders
from federation.launch import Caps, Federation, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.ports.images import ImageInfo
from protocol.grid.model import Encryption, GridSpec, NetworkSpec, Restart
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "reasons",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
GRID, WORKSPACE = "told", "n-1"
DISK_BYTES, ROOM_BYTES = 64 << 20, 384 << 20
UP_WITHIN_S = 120
AWAY_S = 5.0
"""More than typing takes, which is what a clock may be behind."""


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts whose volumes are on small file systems of their own."""
    with two_hosts(TOPOLOGY, Caps("1", "512M", "512M")) as made, ExitStack() as small:
        for host in made.hosts.values():
            volumes = str(host.folder / "state" / "volumes")
            mount = ("mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "told", volumes)
            subprocess.run(mount, check=True)
            small.callback(subprocess.run, ["umount", "-l", volumes], check=True)
        yield made


def spec_of(image: ImageInfo) -> GridSpec:
    plain = orders.spec(GRID, image, 1, memory_bytes=128 << 20)
    cluster = msgspec.structs.replace(
        plain.clusters[0],
        cpus_milli=800,
        networks=("lan",),
        scratch_bytes=DISK_BYTES,
        restart=Restart.ALWAYS,
    )
    networks = (NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),)
    return msgspec.structs.replace(plain, clusters=(cluster,), networks=networks)


def passes(seconds: float) -> None:
    """Time passes, which is what a clock is about."""
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + seconds, seconds + 5, "time passes")


def test_ends_full_disks_and_clocks_are_told(federation: Federation) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    given = orders.up(federation.identity("ams"), spec_of(image), a)
    done = orders.obeyed(a, given, UP_WITHIN_S)
    assert done.state is RequestState.DONE, done.answer
    workspace = Workspace(federation, GRID, WORKSPACE)
    workspace.prompts(1)
    _ends(federation, workspace)
    _clock(workspace)
    _full_disk(federation, workspace)
    down = orders.signed(workspace.admin, Action.DOWN, GRID)
    assert orders.obeyed(workspace.host, down).state is RequestState.DONE
    wait_for(lambda: not _files(workspace.state), 30, "no file of it is left")


def _files(state: Path) -> list[Path]:
    folders = ("console", "seeds", "volumes", "libvirt/log/qemu")
    return [path for folder in folders for path in (state / folder).iterdir()]


def _ends(federation: Federation, workspace: Workspace) -> None:
    """Powered off from inside; panicked; killed while no daemon ran."""
    workspace.console(b"poweroff\n")
    workspace.happened("machine.ended", "powered off from inside")
    workspace.is_told("ready", "after: powered off from inside")
    workspace.prompts(2)
    workspace.console(b"sleep 2; echo c >/proc/sysrq-trigger\n")
    workspace.happened("machine.ended", "its kernel panicked")
    workspace.is_told("ready", "after: its kernel panicked")
    workspace.prompts(3)
    federation.kill(workspace.host.name)
    os.kill(workspace.pid(), signal.SIGKILL)
    federation.start(workspace.host.name)
    federation.wait_ready(workspace.host)
    workspace.happened("machine.ended", "QEMU was killed")
    workspace.is_told("ready", "after: QEMU was killed")
    workspace.prompts(4)


def _full_disk(federation: Federation, workspace: Workspace) -> None:
    """Its host's disk fills up by somebody else's file. A person pauses it and lets it go on meanwhile, and its
    daemon is killed."""
    room = os.statvfs(workspace.state / "volumes")
    filler = workspace.state / "volumes" / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - (8 << 20))
    workspace.console(b"dd if=/dev/zero of=/scratch/big bs=1M count=40; sync; echo wrote-$?\n")
    workspace.is_told("no-room", "free there")
    assert len(workspace.events("machine.no-room")) == 1
    workspace.obey(Action.PAUSE)
    orders.give(workspace.host, orders.signed(workspace.admin, Action.RESUME, GRID, WORKSPACE))
    workspace.is_told("no-room")
    federation.kill(workspace.host.name)
    federation.start(workspace.host.name)
    federation.wait_ready(workspace.host)
    workspace.is_told("no-room", "free there")
    assert not workspace.events("machine.resumed")
    filler.unlink()
    workspace.happened("machine.resumed", "free for")
    workspace.is_told("ready")
    wait_for(lambda: "wrote-0" in workspace.console(), 60, "it has lost nothing")


def _clock(workspace: Workspace) -> None:
    for before, after in ((Action.PAUSE, Action.RESUME), (Action.SUSPEND, Action.RESTORE)):
        workspace.obey(before)
        passes(AWAY_S)
        workspace.obey(after)
        workspace.has_the_time()
