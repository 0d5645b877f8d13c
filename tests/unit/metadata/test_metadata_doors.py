"""A listener for each network: opened once, anew in a new namespace, closed when the network goes."""

import asyncio

import pytest

from netns.model import NetworkPlan, vni_of
from overlayd.fakes.network import FakeNetwork
from overlayd.metadata.answer import Answer, Request, text
from overlayd.metadata.doors import Doors
from overlayd.metadata.server import Server
from overlayd.ports.network import NetworkError

PLAN = NetworkPlan(
    "star.lan", "h1", vni_of("star.lan"), "10.42.0.0/24", "10.42.0.1", 1400, "192.0.2.1", "star", 1
)


async def echo(network: str, address: str, request: Request) -> Answer:
    return text(network)


async def answers(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    writer.write_eof()
    said = await reader.read()
    writer.close()
    return said


async def test_it_is_opened_once_and_anew_in_a_new_namespace() -> None:
    network = FakeNetwork("h1")
    doors = Doors(network, Server(echo))
    await network.ensure(PLAN)
    await doors.stands("star.lan")
    first = network.doors["star.lan"]
    assert b"star.lan" in await answers(first)
    await doors.stands("star.lan")
    assert network.doors["star.lan"] == first
    network.namespaces["star.lan"] = 2
    await doors.stands("star.lan")
    second = network.doors["star.lan"]
    assert second != first
    assert b"star.lan" in await answers(second)
    with pytest.raises(ConnectionError):
        await answers(first)
    doors.gone("star.lan")
    with pytest.raises(ConnectionError):
        await answers(second)
    await doors.stands("star.lan")
    doors.close()
    with pytest.raises(ConnectionError):
        await answers(network.doors["star.lan"])


async def test_a_network_that_is_gone_again_is_said() -> None:
    doors = Doors(FakeNetwork("h1"), Server(echo))
    with pytest.raises(NetworkError, match="not on this host"):
        await doors.stands("star.lan")
    doors.gone("star.lan")
