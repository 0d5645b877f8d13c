"""Real guests are asked before they end, and one that switches itself off is off: seen in their consoles."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from carried import WITHIN_S, Workspace
from federation import orders
from federation.launch import Caps, Federation, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.ports.images import ImageInfo
from protocol.grid.model import Encryption, GridSpec, NetworkSpec, Restart, Spread
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "power",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
GRID = "power"
BUTTON = "guest shuts down: its power button was pressed"
DEAF = "\ndeaf-0"
SHORT_S, LONG_S = 3, 300


@pytest.fixture
def federation() -> Iterator[Federation]:
    with two_hosts(TOPOLOGY, Caps("1", "512M", "512M")) as made:
        yield made


def spec_of(image: ImageInfo) -> GridSpec:
    """A job that may end, and is given time; a server that must not, and is given little."""
    plain = orders.spec(GRID, image, 1, memory_bytes=128 << 20)
    cluster = msgspec.structs.replace(plain.clusters[0], cpus_milli=800, networks=("lan",))
    job = msgspec.structs.replace(cluster, name="job", stop_within_s=LONG_S)
    server = msgspec.structs.replace(
        cluster, name="server", stop_within_s=SHORT_S, restart=Restart.ALWAYS
    )
    networks = (NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),)
    placement = msgspec.structs.replace(plain.placement, spread=Spread.HOST)
    return msgspec.structs.replace(
        plain, clusters=(job, server), networks=networks, placement=placement
    )


def test_power(federation: Federation) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    done = orders.obeyed(a, orders.up(federation.identity("ams"), spec_of(image), a), WITHIN_S)
    assert done.state is RequestState.DONE, done.answer
    job, server = (Workspace(federation, GRID, f"{name}-1") for name in ("job", "server"))
    for one in (job, server):
        one.prompts(1)
    _switched_off(federation, job, server)
    _asked(job)
    _cut_off(server)
    _killed_while_it_waits(federation, job)
    down = orders.signed(job.admin, Action.DOWN, GRID)
    assert orders.obeyed(a, down, WITHIN_S).state is RequestState.DONE
    for one in (job, server):
        one.happened("workspace.stopped", "shut itself down in")


def _switched_off(federation: Federation, job: Workspace, server: Workspace) -> None:
    """The job's guest powers off and stays off, for the next daemon too; the server's is started again."""
    for one in (job, server):
        one.console(b"poweroff\n")
    job.is_told("off", "powered off from inside")
    server.is_told("ready", "after: powered off from inside")
    federation.kill(job.host.name)
    federation.start(job.host.name)
    federation.wait_ready(job.host)
    job.is_told("off", "powered off from inside")
    server.prompts(2)


def _asked(job: Workspace) -> None:
    """A restart starts what is off, and asks what runs."""
    job.obey(Action.RESTART)
    job.prompts(2)
    assert BUTTON not in job.console()
    job.obey(Action.RESTART)
    job.happened("workspace.stopped", "shut itself down in")
    assert BUTTON in job.console()
    job.prompts(3)


def _cut_off(server: Workspace) -> None:
    """A guest that does not hear its button has its time, and no more."""
    _deafen(server)
    server.obey(Action.RESTART)
    server.happened("workspace.cut-off", "and was cut off")
    assert BUTTON not in server.console()
    server.prompts(3)


def _deafen(workspace: Workspace) -> None:
    """Its button is heard by nobody any more."""
    before = workspace.console().count(DEAF)
    workspace.console(b"until killall acpid; do sleep 1; done; echo deaf-$?\n")
    wait_for(lambda: workspace.console().count(DEAF) > before, WITHIN_S, "it is deaf")


def _killed_while_it_waits(federation: Federation, job: Workspace) -> None:
    """The next daemon goes on waiting for a guest that takes its time."""
    _deafen(job)
    orders.give(job.host, orders.signed(job.admin, Action.RESTART, GRID, job.name))
    job.is_told("ending", "cut off if it has not within 5 min")
    federation.kill(job.host.name)
    federation.start(job.host.name)
    federation.wait_ready(job.host)
    job.is_told("ending", "cut off if it has not within 5 min")
    job.console(b"poweroff\n")
    job.happened("workspace.stopped", "shut itself down in")
    job.is_told("ready")
    job.prompts(4)
