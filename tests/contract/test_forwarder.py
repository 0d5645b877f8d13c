"""Port `Forwarder`: the fake and the real process keep the same promises."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from netns import tun
from netns.kernel import namespaces
from netns.kernel.tap import add_tap
from netns.model import own_link_name
from netns.tunnel import client
from netns.tunnel.tables import Member, OwnCard, Probe, SealedNetwork, SealedPeer, Session, State
from overlayd.adapters.forwarder import TunnelForwarder
from overlayd.fakes.forwarder import FakeForwarder
from overlayd.ports.forwarder import Forwarder, ForwarderError, NewInstance

PORT, TAP = 7700, "ovs-00c0de"
NETWORK = SealedNetwork(
    0xC0DE, TAP, 1418, ("02:00:00:00:00:02",), "02:00:00:00:00:01",
    (Member("02:00:00:00:00:03", "10.42.0.3", "b" * 64),),
)  # fmt: skip
OTHER = replace(NETWORK, vni=0xC0DF, tap="ovs-00c0df")
PEER = SealedPeer(
    "b" * 64, "192.0.2.2", 7700, (Session(7, 8, b"s" * 32, b"r" * 32, 1.0),)
)  # fmt: skip


class FakeBench:
    """The fake."""

    def __init__(self) -> None:
        self._fake = FakeForwarder(PORT)
        self._fake.taps.add(TAP)
        self.forwarder: Forwarder = self._fake

    async def start(self) -> None:
        return None

    def reborn(self) -> Forwarder:
        return self._fake

    def take_port(self) -> None:
        self._fake.refusals = [f"cannot take UDP port {PORT}"] * 2

    def end(self) -> None:
        self._fake.end()

    def close(self) -> None:
        """Nothing is left."""


class RealBench:
    """The adapter in a namespace that stands for the host."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._host = f"forwarder-{os.getpid()}"
        self._executor = ThreadPoolExecutor(initializer=lambda: namespaces.enter(self._host))
        self._taken: socket.socket | None = None
        namespaces.add(self._host)
        namespaces.inside(self._host, lambda: add_tap(TAP))
        self.forwarder = self.reborn()

    async def start(self) -> None:
        asyncio.get_running_loop().set_default_executor(self._executor)

    def reborn(self) -> Forwarder:
        return TunnelForwarder(self._run_dir, PORT)

    def take_port(self) -> None:
        def bound() -> socket.socket:
            handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            handle.bind(("", PORT))
            return handle

        self._taken = namespaces.inside(self._host, bound)

    def end(self) -> None:
        os.kill(client.state(self._run_dir).pid, signal.SIGKILL)

    def close(self) -> None:
        if self._taken is not None:
            self._taken.close()
        client.stop(self._run_dir)
        namespaces.delete(self._host)


Bench = FakeBench | RealBench


@pytest.fixture(params=["fake", "real"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Bench = FakeBench() if request.param == "fake" else RealBench(tmp_path / "networks")
    try:
        yield made
    finally:
        made.close()


async def test_one_runs_until_it_is_stopped(bench: Bench) -> None:
    await bench.start()
    forwarder = bench.forwarder
    assert await forwarder.fault() == ""
    assert await forwarder.state() is None
    first = await forwarder.ensure()
    assert await forwarder.ensure() == first
    assert await bench.reborn().ensure() == first, "it outlives the daemon"
    state = await forwarder.state()
    assert state is not None
    assert (str(state.instance), state.port) == (first.instance, PORT)
    assert state.ciphers == first.ciphers != ()
    assert await forwarder.fault() == "", "its port is its own"
    await forwarder.stop()
    await forwarder.stop()
    assert await forwarder.state() is None
    assert (await forwarder.ensure()).instance != first.instance
    await forwarder.close()


async def test_it_has_the_networks_whose_taps_are_there(bench: Bench) -> None:
    await bench.start()
    forwarder = bench.forwarder
    with pytest.raises(ForwarderError):
        await forwarder.tell_networks((NETWORK,))
    await forwarder.ensure()
    assert (await forwarder.tell_networks((NETWORK, OTHER))).taps == (TAP,)
    before = await forwarder.state()
    assert before is not None
    assert (await forwarder.tell_networks((NETWORK, OTHER))).taps == (TAP,)
    assert (await forwarder.state()) == before, "what it knows is not told again"
    assert (await bench.reborn().tell_networks((NETWORK,))).taps == (TAP,)
    assert (await forwarder.tell_networks(())).taps == ()
    with pytest.raises(ForwarderError, match="mtu 1"):
        await forwarder.tell_networks((replace(NETWORK, mtu=1),))
    await forwarder.close()


async def test_keys_are_for_one_process_alone(bench: Bench) -> None:
    await bench.start()
    forwarder = bench.forwarder
    first = await forwarder.ensure()
    await forwarder.tell_peers(first.instance, (PEER,))
    before = await forwarder.state()
    assert before is not None
    assert before.peers_epoch > 0
    await forwarder.tell_peers(first.instance, (PEER,))
    assert await forwarder.state() == before
    await bench.reborn().tell_peers(first.instance, (replace(PEER, sessions=(), keep=True),))
    await forwarder.stop()
    again = await forwarder.ensure()
    with pytest.raises(NewInstance):
        await forwarder.tell_peers(first.instance, (PEER,))
    await forwarder.tell_peers(again.instance, ())
    await forwarder.close()


async def test_a_look_that_changes_nothing_asks_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = RealBench(tmp_path / "networks")
    await bench.start()
    forwarder, asked = bench.forwarder, list[Path]()

    async def look() -> int:
        asked.clear()
        now = await forwarder.ensure()
        assert (await forwarder.tell_networks((NETWORK,))).taps == (TAP,)
        await forwarder.tell_peers(now.instance, (PEER,))
        return len(asked)

    def counted(run_dir: Path) -> State:
        asked.append(run_dir)
        return state(run_dir)

    state = client.state
    try:
        await look()
        monkeypatch.setattr(client, "state", counted)
        assert await look() == 1
    finally:
        bench.close()
    await forwarder.close()


async def test_probes_are_of_one_process_alone(bench: Bench) -> None:
    await bench.start()
    forwarder = bench.forwarder
    with pytest.raises(ForwarderError):
        await forwarder.probe("1", ())
    first = await forwarder.ensure()
    assert await forwarder.probe(first.instance, (Probe("b" * 64, 1),)) == (), "nobody answers"
    assert await forwarder.probe(first.instance, ()) == ()
    with pytest.raises(ForwarderError, match="67 bytes"):
        await forwarder.probe(first.instance, (Probe("b" * 64, 1, 67),))
    with pytest.raises(NewInstance):
        await forwarder.probe("0", ())
    await forwarder.close()


async def test_a_card_of_the_host_itself_that_moves_is_made_anew(tmp_path: Path) -> None:
    bench = RealBench(tmp_path / "networks")
    await bench.start()
    forwarder, vni = bench.forwarder, 0xC0E0

    def card(address: str) -> SealedNetwork:
        mac = "02:00:00:00:00:09"
        made = OwnCard(mac, address, 24)
        return replace(OTHER, vni=vni, tap=own_link_name(vni, address), local=(mac,), card=made)

    try:
        await forwarder.ensure()
        one, other = card("10.43.0.200"), card("10.43.0.201")
        assert (await forwarder.tell_networks((NETWORK, one))).taps == (TAP, one.tap)
        told = await forwarder.tell_networks((NETWORK, other))
        assert told.taps == (TAP,)
        assert "overlaps" in told.faults[other.tap], "the one before goes first"
        told = await forwarder.tell_networks((NETWORK, other))
        assert (told.taps, told.faults) == ((TAP, other.tap), {})
        assert (await forwarder.tell_networks((NETWORK,))).taps == (TAP,)
    finally:
        bench.close()
    await forwarder.close()


async def test_its_end_is_told(bench: Bench) -> None:
    await bench.start()
    ended = asyncio.Event()
    bench.forwarder.watch(ended.set)
    first = await bench.forwarder.ensure()
    bench.end()
    async with asyncio.timeout(10):
        await ended.wait()
    assert await bench.forwarder.state() is None
    assert (await bench.forwarder.ensure()).instance != first.instance
    await bench.forwarder.close()


async def test_a_port_that_is_taken_is_told(bench: Bench) -> None:
    await bench.start()
    bench.take_port()
    assert f"cannot take UDP port {PORT}" in await bench.forwarder.fault()
    with pytest.raises(ForwarderError, match=f"cannot take UDP port {PORT}"):
        await bench.forwarder.ensure()
    fault = await bench.forwarder.fault()
    assert f"cannot take UDP port {PORT}" in fault, "the process is there, and has no port"
    await bench.forwarder.close()


async def test_a_host_without_taps_is_told_what_would_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tun, "DEVICE", str(tmp_path / "tun"))
    fault = await TunnelForwarder(tmp_path, PORT).fault()
    assert fault == (
        f"cannot open {tmp_path / 'tun'}: No such file or directory; the kernel needs CONFIG_TUN, "
        "and who runs this in a container gives it that device"
    )
