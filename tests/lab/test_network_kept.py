"""Whatever an administrator undoes of a network on a host is mended, once the kernel has said so, and told."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from netns_world import World, ask_dns, eventually

from netns import program
from netns.kernel import namespaces
from overlayd.adapters.network import KernelNetwork
from overlayd.realise import keeping
from overlayd.realise.keeping import Keeping
from protocol.hosting.events import Care, Kept
from protocol.node.events import Event
from protocol.terms.ids import GridId

GRID = GridId("0123456789abcdef0123.0")
NEVER_S = 3600.0


class Keeper:
    """The first host's networks, kept as a daemon keeps them."""

    def __init__(self, world: World) -> None:
        self.world, self.plan = world, world.plans["a"]
        self.told: asyncio.Queue[Event] = asyncio.Queue()
        self.network = KernelNetwork(world.run_dirs["a"], world.tags["a"])
        self.keeping = Keeping(self.network, self._kick, self.told.put_nowait)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        inside = self.world.lab.namespace("a")
        executor = ThreadPoolExecutor(initializer=lambda: namespaces.enter(inside))
        asyncio.get_running_loop().set_default_executor(executor)
        await self.keeping.ensure(self.plan)
        self._spawn(self.keeping)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.network.close()

    def _spawn(self, keeping: Keeping) -> None:
        self._tasks.add(asyncio.create_task(keeping.run()))

    def _kick(self, grid: GridId) -> None:
        assert grid == GRID
        self._tasks.add(asyncio.create_task(self.keeping.ensure(self.plan)))

    async def mended(self) -> Kept:
        """What is told of the mend. It is told only when it is mended."""
        kept = await asyncio.wait_for(self.told.get(), 10)
        assert isinstance(kept, Kept)
        return kept


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("kept"), network=f"{GRID}.lan")
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


@pytest.fixture
async def keeper(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeper]:
    """Nothing is compared on the clock: only what the kernel says can have been the reason."""
    monkeypatch.setattr(keeping, "EVERY_S", NEVER_S)
    made = Keeper(world)
    await made.start()
    assert made.told.empty()
    yield made
    await made.end()


ROWS = {
    "nft flush ruleset": "nft flush ruleset",
    "the table deleted": "nft delete table bridge {table}",
    "a rule added": "nft insert rule bridge {table} from_guest accept",
    "a set emptied": "nft flush set bridge {table} owner",
    "the tunnel device deleted": "ip link delete {vxlan}",
    "the bridge deleted": "ip link delete {bridge}",
    "the link to the services deleted": "ip link delete {veth}",
    "the namespace deleted": "ip netns delete {namespace}",
    "the tunnel device set down": "ip link set {vxlan} down",
    "the bridge set down": "ip link set {bridge} down",
    "a tap set down": "ip link set {tap} down",
    "a tap taken off the bridge": "ip link set {tap} nomaster",
    "a tap's mtu changed": "ip link set {tap} mtu 1300",
    "a tap isolated": "ip link set {tap} type bridge_slave isolated on",
    "a tap's port closed": "bridge link set dev {tap} state 0",
    "STP switched on": "ip link set {bridge} type bridge stp_state 1",
    "a forwarding entry of the bridge deleted": "bridge fdb delete {far} dev {vxlan} master",
    "a forwarding entry of the tunnel deleted": "bridge fdb delete {far} dev {vxlan} self",
    "a forwarding entry that leads elsewhere": (
        "bridge fdb replace {far} dev {vxlan} self permanent dst 192.0.2.77"
    ),
    "the neighbours deleted": "ip neigh flush dev {vxlan} nud permanent",
    "a neighbour added": "ip neigh replace 10.42.0.99 lladdr {far} dev {vxlan} nud permanent",
    "the gateway's address removed": "ip -n {namespace} address flush dev gw0",
    "the gateway's link set down": "ip -n {namespace} link set gw0 down",
    "forwarding switched on in the namespace": (
        "ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=1"
    ),
    "IPv6 switched on": "sysctl -qw net.ipv6.conf.{bridge}.disable_ipv6=0",
    "dnsmasq killed": "kill -9 {dnsmasq}",
}


@pytest.mark.parametrize("row", ROWS)
async def test_what_is_undone_is_mended_and_told(keeper: Keeper, row: str) -> None:
    plan, world = keeper.plan, keeper.world
    pid = (world.run_dirs["a"] / world.network / "dnsmasq.pid").read_text().strip()
    command = ROWS[row].format(
        table=plan.table, vxlan=plan.vxlan, bridge=plan.bridge, veth=plan.veth, dnsmasq=pid,
        namespace=plan.namespace, tap=plan.ports[0].tap, far=plan.neighbours[0].mac,
    )  # fmt: skip
    world.on("a", lambda: program.run(command.split()))
    kept = await keeper.mended()
    assert (kept.grid, kept.subject, kept.care) == (GRID, "star/lan", Care.MENDED)
    assert await keeper.network.harms() == {}
    head = world.guests["head"]
    assert head.pings("10.42.0.4")
    assert head.pings("10.42.0.1")
    answer = namespaces.inside(head.namespace, lambda: ask_dns("far", "10.42.0.1"))
    assert answer == (0, ["10.42.0.4"])
    assert keeper.told.empty(), "our own changes are no reason to mend"


async def test_a_stopped_name_service_goes_on_after_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY_S", 0.2)
    keeper = Keeper(world)
    await keeper.start()
    pid = int((world.run_dirs["a"] / world.network / "dnsmasq.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    assert (await keeper.mended()).detail.startswith("dnsmasq (DHCP and DNS) did not run")
    inside = world.guests["head"].namespace
    answer = namespaces.inside(inside, lambda: ask_dns("far", "10.42.0.1"))
    assert answer == (0, ["10.42.0.4"])
    assert (world.run_dirs["a"] / world.network / "dnsmasq.pid").read_text().strip() == str(pid)
    await keeper.end()


async def test_a_tap_that_was_deleted_is_there_again(keeper: Keeper) -> None:
    """The last row: the guest behind it has lost its card."""
    tap = keeper.plan.ports[1].tap
    keeper.world.on("a", lambda: program.run(["ip", "link", "delete", tap]))
    assert (await keeper.mended()).detail == f"tap of near {tap} was gone; made as it was"
    eventually(keeper.world.guests["near"].card_exists, "the tap")
