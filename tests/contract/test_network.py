"""Port `Network`: the fake and the kernel keep the same promises."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from netns import program
from netns.kernel import namespaces
from netns.model import METADATA_ADDRESS, NetworkPlan, Port, mac_of, tap_name, vni_of
from overlayd.adapters.network import KernelNetwork
from overlayd.fakes.network import FakeNetwork
from overlayd.ports.network import Network, NetworkError

OWNER = f"c{os.getpid() % 0xFFFFF:x}"
NETWORK = f"{'f' * 20}.{'0' * 7}-{'f' * 6}.{'l' * 40}"
"""As long as the id of a grid's network gets: what it leads to takes it."""
GUEST = Port(tap_name(NETWORK, "head"), mac_of(NETWORK, "10.42.0.2"), "10.42.0.2", "head")
PLAN = NetworkPlan(
    NETWORK, OWNER, vni_of(NETWORK), "10.42.0.0/24", "10.42.0.1", 1400, "192.0.2.1", "star", 3,
    (GUEST,),
)  # fmt: skip


class FakeBench:
    """The fake, and a guest that listens."""

    def __init__(self) -> None:
        self.network: Network = FakeNetwork(OWNER)

    async def start(self) -> None:
        return None

    def reborn(self) -> Network:
        return self.network

    def listen(self) -> int:
        assert isinstance(self.network, FakeNetwork)
        self.network.listeners.add((NETWORK, GUEST.address, 4000))
        return 4000

    def harm(self) -> None:
        assert isinstance(self.network, FakeNetwork)
        self.network.harmed[NETWORK] = f"tunnel device {PLAN.vxlan} was gone"
        self.network.told()

    def nobody_plugs(self, tap: str) -> None:
        assert isinstance(self.network, FakeNetwork)
        self.network.loose.add(tap)

    def end_service(self) -> None:
        assert isinstance(self.network, FakeNetwork)
        self.network.harmed[NETWORK] = "dnsmasq (DHCP and DNS) did not run as started"
        self.network.told()

    def close(self) -> None:
        asyncio.run(self.network.close())


class KernelBench:
    """The adapter in a namespace that stands for the host, and a guest in another."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._host, self._guest = f"contract-{OWNER}", f"contract-{OWNER}-guest"
        self._executor = ThreadPoolExecutor(initializer=lambda: namespaces.enter(self._host))
        self._server: socket.socket | None = None
        self.network = self.reborn()
        for name in (self._host, self._guest):
            namespaces.add(name)
        program.run(["ip", "-n", self._host, "address", "add", "192.0.2.1/32", "dev", "lo"])
        program.run(
            f"ip -n {self._host} link add {GUEST.tap} type veth "
            f"peer name eth0 address {GUEST.mac} netns {self._guest}".split()
        )
        for words in (f"address add {GUEST.address}/24 dev eth0", "link set eth0 up"):
            program.run(["ip", "-n", self._guest, *words.split()])

    async def start(self) -> None:
        asyncio.get_running_loop().set_default_executor(self._executor)

    def reborn(self) -> Network:
        return KernelNetwork(self._run_dir, OWNER)

    def listen(self) -> int:
        self._server = namespaces.stream_socket_in(self._guest)
        self._server.bind((GUEST.address, 0))
        self._server.listen(1)
        return int(self._server.getsockname()[1])

    def harm(self) -> None:
        program.run(["ip", "-n", self._host, "link", "delete", PLAN.vxlan])

    def nobody_plugs(self, tap: str) -> None:
        """The kernel knows."""

    def end_service(self) -> None:
        os.kill(int((self._run_dir / NETWORK / "dnsmasq.pid").read_text()), signal.SIGKILL)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        asyncio.run(self._remove_all())
        for name in (self._guest, self._host):
            namespaces.delete(name)

    async def _remove_all(self) -> None:
        # The loop of the test shut its executor down, so this one needs its own.
        executor = ThreadPoolExecutor(initializer=lambda: namespaces.enter(self._host))
        asyncio.get_running_loop().set_default_executor(executor)
        for network in await self.network.observe():
            await self.network.remove(network)


Bench = FakeBench | KernelBench


@pytest.fixture(params=["fake", "kernel"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Bench = FakeBench() if request.param == "fake" else KernelBench(tmp_path / "networks")
    try:
        yield made
    finally:
        made.close()


async def test_sealed_networks_are_found_again_with_their_plans(bench: Bench) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    assert await bench.network.sealed() == ()
    sealed = replace(PLAN, sealed=True, epoch=4)
    await bench.network.ensure(sealed)
    assert await bench.reborn().sealed() == (sealed,)
    await bench.network.remove(NETWORK)
    assert await bench.network.sealed() == ()


async def test_what_is_ensured_is_observed_and_what_is_removed_is_not(bench: Bench) -> None:
    await bench.start()
    assert await bench.network.observe() == ()
    await bench.network.ensure(PLAN)
    await bench.network.ensure(PLAN)
    assert await bench.network.observe() == (NETWORK,)
    await bench.network.remove(NETWORK)
    assert await bench.network.observe() == ()
    await bench.network.remove(NETWORK)


async def test_removing_what_never_was_is_no_error(bench: Bench, tmp_path: Path) -> None:
    await bench.start()
    await bench.network.remove("never")
    beside = tmp_path / "beside"
    beside.touch()
    for odd in ("..", ".", "", "/", "../beside"):
        await bench.network.remove(odd)
    assert beside.exists()
    assert await bench.network.observe() == ()


async def test_a_second_life_finds_the_networks_of_the_first(bench: Bench) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    heir = bench.reborn()
    assert await heir.observe() == (NETWORK,)
    await heir.remove(NETWORK)
    assert await heir.observe() == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"gateway": "10.9.9.9"}, "not a host address"), ({"owner_tag": "other"}, "other")],
)
async def test_a_senseless_plan_is_refused(
    bench: Bench, change: dict[str, object], said: str
) -> None:
    await bench.start()
    with pytest.raises(NetworkError, match=said):
        await bench.network.ensure(replace(PLAN, **change))
    assert await bench.network.observe() == ()


async def test_an_older_epoch_is_refused(bench: Bench) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    with pytest.raises(NetworkError, match="epoch 2"):
        await bench.network.ensure(replace(PLAN, epoch=2))
    await bench.network.ensure(replace(PLAN, epoch=4, ports=()))


async def test_a_guest_that_listens_is_reachable(bench: Bench) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    port = bench.listen()
    assert await bench.network.reachable(NETWORK, GUEST.address, port, 2)
    assert not await bench.network.reachable(NETWORK, GUEST.address, 1, 2)
    assert not await bench.network.reachable(NETWORK, "10.42.0.9", port, 0.2)


async def test_a_connection_leads_to_a_guest_that_listens_and_to_no_other_port(
    bench: Bench,
) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    port = bench.listen()
    with await bench.network.connect(NETWORK, GUEST.address, port) as connected:
        assert not connected.getblocking()
    with pytest.raises(ConnectionRefusedError):
        await bench.network.connect(NETWORK, GUEST.address, 1)


async def test_a_network_that_is_not_here_is_not_asked(bench: Bench) -> None:
    await bench.start()
    with pytest.raises(NetworkError, match="not on this host"):
        await bench.network.reachable(NETWORK, GUEST.address, 22, 1)
    with pytest.raises(NetworkError, match="not on this host"):
        await bench.network.connect(NETWORK, GUEST.address, 22)


async def test_what_somebody_undid_is_told_compared_and_said_when_it_is_mended(
    bench: Bench,
) -> None:
    await bench.start()
    told = asyncio.Event()
    bench.network.watch(told.set)
    assert await bench.network.ensure(PLAN) == ""
    assert await bench.network.ensure(PLAN) == ""
    assert await bench.network.harms() == {}
    for undo, words in (
        (bench.harm, f"tunnel device {PLAN.vxlan} was gone"),
        (bench.end_service, "dnsmasq (DHCP and DNS) did not run as started"),
    ):
        undo()
        async with asyncio.timeout(10):
            while not await bench.network.harms():
                told.clear()
                await told.wait()
        assert await bench.network.harms() == {NETWORK: words}
        assert await bench.network.ensure(PLAN) == words
        assert await bench.network.harms() == {}
    await bench.network.close()


async def test_another_plan_or_the_first_after_a_removal_is_no_mend(bench: Bench) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    assert await bench.network.ensure(replace(PLAN, epoch=4, ports=())) == ""
    await bench.network.remove(NETWORK)
    assert await bench.network.harms() == {}
    assert await bench.network.ensure(PLAN) == ""
    await bench.network.close()


async def test_a_second_life_tells_what_was_undone_between_the_lives(bench: Bench) -> None:
    await bench.start()
    await bench.network.ensure(PLAN)
    await bench.network.close()
    bench.harm()
    heir = bench.reborn()
    assert await heir.ensure(PLAN) == f"tunnel device {PLAN.vxlan} was gone"
    await heir.close()


async def test_a_tap_without_a_card_is_told(bench: Bench) -> None:
    await bench.start()
    idle = Port(tap_name(NETWORK, "idle"), mac_of(NETWORK, "10.42.0.3"), "10.42.0.3", "idle")
    await bench.network.ensure(replace(PLAN, ports=(GUEST, idle)))
    bench.nobody_plugs(idle.tap)
    taps = (GUEST.tap, idle.tap, "ovt-never")
    assert await bench.network.unplugged(taps) == (idle.tap,)
    assert await bench.network.unplugged(()) == ()


async def test_a_listener_is_inside_and_a_namespace_has_its_number(bench: Bench) -> None:
    await bench.start()
    with pytest.raises(NetworkError, match="not on this host"):
        await bench.network.namespace(NETWORK)
    with pytest.raises(NetworkError, match="not on this host"):
        await bench.network.listen(NETWORK, METADATA_ADDRESS, 80)
    await bench.network.ensure(PLAN)
    number = await bench.network.namespace(NETWORK)
    for _ in range(2):
        with await bench.network.listen(NETWORK, METADATA_ADDRESS, 80) as door:
            assert not door.getblocking()
    await bench.network.ensure(PLAN)
    assert await bench.network.namespace(NETWORK) == number
    await bench.network.close()
