"""Guests at the metadata address, in real namespaces: who asks is told by the packet filter."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from netns_world import NETWORK, World

from netns import program
from netns.kernel import namespaces
from netns.model import METADATA_ADDRESS
from overlayd.adapters.network import KernelNetwork
from overlayd.metadata.answer import Answer, Request, text
from overlayd.metadata.doors import Doors
from overlayd.metadata.server import Server

URL = f"http://{METADATA_ADDRESS}"


class Host:
    """The first host's networks and its doors, as its daemon has them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.network = KernelNetwork(world.run_dirs["a"], world.tags["a"])
        self.said: list[tuple[str, str, bytes]] = []
        self.doors = Doors(self.network, Server(self.answer))

    async def answer(self, network: str, address: str, request: Request) -> Answer:
        self.said.append((network, address, request.body))
        return text(f"{network} {address} {request.path}")

    async def stands(self) -> str:
        """The network is ensured, as the realiser does it. Answers what was wrong."""
        harm = await self.network.ensure(self.world.plans["a"])
        await self.doors.stands(NETWORK)
        return harm

    async def asks(self, guest: str, *words: str) -> str:
        """What the guest is answered by the tool that our own image has."""
        inside = f"--net=/run/netns/{self.world.guests[guest].namespace}"
        argv = ["nsenter", inside, "busybox", "wget", "-q", "-O", "-", *words]
        return await asyncio.to_thread(program.run, argv)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    world = World(tmp_path)
    try:
        world.start()
        a = world.lab.namespace("a")
        inside = ThreadPoolExecutor(initializer=lambda: namespaces.enter(a))
        asyncio.get_running_loop().set_default_executor(inside)
        made = Host(world)
        await made.stands()
        for guest in world.guests.values():
            guest.run("ip", "route", "add", METADATA_ADDRESS, "via", "10.42.0.1", "dev", "eth0")
        yield made
        made.doors.close()
        await made.network.close()
    finally:
        world.tear_down()


async def test_each_is_known_by_its_address_and_cannot_take_anothers(host: Host) -> None:
    assert await host.asks("head", f"{URL}/x") == f"{NETWORK} 10.42.0.2 /x"
    assert await host.asks("near", f"{URL}/y") == f"{NETWORK} 10.42.0.3 /y"
    near = host.world.guests["near"]
    near.run("ip", "address", "add", "10.42.0.2/32", "dev", "eth0")
    near.run("ip", "route", "replace", METADATA_ADDRESS, "via", "10.42.0.1", "src", "10.42.0.2")
    before = len(host.said)
    status, _, _ = await asyncio.to_thread(
        program.attempt,
        ["nsenter", f"--net=/run/netns/{near.namespace}", "timeout", "2",
         "busybox", "wget", "-q", "-O", "-", f"{URL}/ready"],
    )  # fmt: skip
    assert status != 0, "its tap lets no packet by that bears another's address"
    assert len(host.said) == before


async def test_it_says_that_it_is_ready_as_our_image_does(host: Host) -> None:
    body = json.dumps({"host_keys": ["ssh-ed25519 AAAA"]})
    await host.asks("head", "--post-data", body, f"{URL}/overlayd/v1/ready")
    assert host.said == [(NETWORK, "10.42.0.2", body.encode())]


async def test_flushed_or_made_anew_it_comes_back_with_the_network(host: Host) -> None:
    plan = host.world.plans["a"]
    for undo, harm in (
        (f"ip -n {plan.namespace} address flush dev gw0", "gateway's link had changed: address"),
        (f"ip netns delete {plan.namespace}", f"namespace {plan.namespace} was gone"),
    ):
        program.run(undo.split())
        assert harm in (await host.network.harms())[NETWORK]
        assert harm in await host.stands()
        assert await host.asks("head", f"{URL}/again") == f"{NETWORK} 10.42.0.2 /again"


async def test_a_daemon_that_starts_again_listens_again(host: Host) -> None:
    assert await host.asks("head", f"{URL}/first")
    host.doors.close()
    await host.network.close()
    heir = Host(host.world)
    assert await heir.stands() == ""
    assert await heir.asks("head", f"{URL}/second") == f"{NETWORK} 10.42.0.2 /second"
    heir.doors.close()
    await heir.network.close()
