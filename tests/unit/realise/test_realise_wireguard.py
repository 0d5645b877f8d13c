"""Whether a host can carry networks by WireGuard is found out by trying, and tried again."""

import asyncio

import pytest

from overlayd.fakes.network import FakeNetwork
from overlayd.ports.network import Inside, NetworkError
from overlayd.realise import wireguard
from overlayd.realise.wireguard import WireguardTrial

KEY = Inside(b"k" * 32)


async def test_a_host_that_can_says_so_at_once() -> None:
    network, told = FakeNetwork("t"), list[str]()
    trial = WireguardTrial(network, 7701, lambda: told.append(""))
    assert trial.now.fault == "it was not tried yet"
    network.inside = KEY
    await trial.look()
    assert trial.now == KEY
    await trial.run()
    assert told == [""]


async def test_one_that_cannot_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network, told = FakeNetwork("t"), asyncio.Event()
    trial = WireguardTrial(network, 7701, told.set)
    await trial.look()
    assert trial.now == Inside(fault="this host only pretends")
    monkeypatch.setattr(wireguard, "AGAIN_S", (0.0, 0.0))
    running = asyncio.create_task(trial.run())
    await asyncio.sleep(0)
    assert not told.is_set()
    network.inside = KEY
    await asyncio.wait_for(running, 5)
    assert trial.now == KEY
    assert told.is_set()


async def test_what_the_kernel_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FakeNetwork("t")

    async def refused(_: int) -> Inside:
        raise NetworkError("no such file")

    monkeypatch.setattr(network, "wireguard", refused)
    trial = WireguardTrial(network, 7701, lambda: None)
    await trial.look()
    assert trial.now == Inside(fault="no such file")
