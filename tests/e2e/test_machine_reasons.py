"""A real guest on a real daemon: how it ended, why it waits and what its clock says are told as they are."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import Caps, Federation, Host, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.api.views import ConsoleRequest, ConsoleView
from overlayd.ports.images import ImageInfo
from overlayd.ports.peer import EventLine
from protocol.grid.model import Encryption, GridSpec, NetworkSpec
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
AWAY_S = 8.0


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


class Workspace:
    """The one workspace, seen from the host that carries it."""

    def __init__(self, federation: Federation) -> None:
        self.federation, self.admin = federation, federation.identity("ams")
        (row,) = self._rows(federation.hosts["a"])
        self.host = federation.hosts[row.host]
        self.state = self.host.folder / "state"

    def _rows(self, host: Host) -> list:
        view = orders.grid(host, GRID)
        return list(view.workspaces) if view is not None else []

    def phase(self) -> tuple[str, str]:
        (row,) = self._rows(self.host)
        return row.phase, row.detail

    def is_told(self, phase: str, detail: str = "") -> None:
        wait_for(
            lambda: self.phase()[0] == phase and detail in self.phase()[1],
            UP_WITHIN_S,
            f"{phase} {detail}",
        )

    def events(self, kind: str) -> list[EventLine]:
        """Those of its host's daemon, of that kind."""
        lines = self.host.ask("GET", "events").content.splitlines()
        events = [msgspec.json.decode(line, type=EventLine) for line in lines]
        return [e for e in events if (e.kind, e.subject) == (kind, f"{GRID}/{WORKSPACE}")]

    def happened(self, kind: str, detail: str) -> None:
        def told() -> bool:
            return any(detail in e.detail and e.cause for e in self.events(kind))

        wait_for(told, UP_WITHIN_S, f"an event {kind}: {detail}")

    def console(self, keys: bytes = b"") -> str:
        order = orders.signed(self.admin, Action.CONSOLE, GRID, WORKSPACE)
        body = msgspec.json.encode(ConsoleRequest(order, 0, keys))
        said = self.host.ask("POST", "console", body).content
        return msgspec.json.decode(said, type=ConsoleView).data.decode(errors="replace")

    def prompts(self, count: int) -> None:
        """Its shell has been there so many times."""
        wait_for(
            lambda: self.console().count("Enter 'help'") >= count, UP_WITHIN_S, "it has a shell"
        )

    def obey(self, action: Action) -> None:
        request = orders.signed(self.admin, action, GRID, WORKSPACE)
        done = orders.obeyed(self.host, request, UP_WITHIN_S)
        assert done.state is RequestState.DONE, done.answer

    def has_the_time(self) -> None:
        """Its clock is the host's, to the few seconds that typing takes."""

        def right() -> bool:
            before = time.time()
            self.console(b"echo time-$(date +%s)\n")
            told = re.findall(r"^time-(\d+)\r?$", self.console(), re.MULTILINE)
            return bool(told) and int(told[-1]) >= before - 3

        wait_for(right, 30, "its clock is right")

    def pid(self) -> int:
        (file,) = (self.state / "libvirt" / "run" / "qemu").glob("ovl-*.pid")
        return int(file.read_text())


def spec_of(image: ImageInfo) -> GridSpec:
    plain = orders.spec(GRID, image, 1, memory_bytes=128 << 20)
    cluster = msgspec.structs.replace(
        plain.clusters[0], cpus_milli=800, networks=("lan",), scratch_bytes=DISK_BYTES
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
    given = orders.up(federation.identity("ams"), spec_of(image))
    done = orders.obeyed(a, given, UP_WITHIN_S)
    assert done.state is RequestState.DONE, done.answer
    workspace = Workspace(federation)
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
    workspace.is_told("reachable", "after: powered off from inside")
    workspace.prompts(2)
    workspace.console(b"sleep 2; echo c >/proc/sysrq-trigger\n")
    workspace.happened("machine.ended", "its kernel panicked")
    workspace.is_told("reachable", "after: its kernel panicked")
    workspace.prompts(3)
    federation.kill(workspace.host.name)
    os.kill(workspace.pid(), signal.SIGKILL)
    federation.start(workspace.host.name)
    federation.wait_ready(workspace.host)
    workspace.happened("machine.ended", "QEMU was killed")
    workspace.is_told("reachable", "after: QEMU was killed")
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
    workspace.is_told("reachable")
    wait_for(lambda: "wrote-0" in workspace.console(), 60, "it has lost nothing")


def _clock(workspace: Workspace) -> None:
    for before, after in ((Action.PAUSE, Action.RESUME), (Action.SUSPEND, Action.RESTORE)):
        workspace.obey(before)
        passes(AWAY_S)
        workspace.obey(after)
        workspace.has_the_time()
