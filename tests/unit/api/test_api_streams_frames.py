"""A stream's request and answer run at once; what makes no sense is refused before anything is opened."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from by_hand import WITHIN_S, Client
from httpx import AsyncClient
from one_host import OneHost
from orders import accepted, building, grid_spec, signed, up_order

from overlayd.api import frames
from overlayd.api.views import BrokenView, ConnectRequest
from overlayd.ports.peer import StreamOver
from protocol.stream.messages import Why
from protocol.trust.order import Action


@pytest.fixture
async def client(api: AsyncClient, host: OneHost, tmp_path: Path) -> Client:
    """A client of a host with a grid."""
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    return Client(tmp_path / "s")


def asking(host: OneHost, action: Action = Action.CONNECT, workspace: str = "node-1") -> bytes:
    order = signed(host.site_dir, action, "demo", workspace)
    return frames.frame(frames.ORDER, msgspec.json.encode(ConnectRequest(order)))


async def test_what_is_sent_is_answered_while_more_is_sent(client: Client, host: OneHost) -> None:
    assert await client.begin(asking(host)) == 200
    for text in (b"one", b"two"):
        client.send(frames.frame(frames.DATA, text))
        assert await client.frame() == (frames.DATA, text)
    client.send(frames.frame(frames.END))
    assert await client.frame() == (frames.END, b"")
    assert await client.reader.readline() == b"0\r\n"
    assert host.echo.told == b"onetwo"


async def test_a_frame_may_come_in_pieces(client: Client, host: OneHost) -> None:
    whole = asking(host) + frames.frame(frames.DATA, b"x" * 1000)
    assert await client.begin(*(whole[i : i + 97] for i in range(0, len(whole), 97))) == 200
    assert await client.frame() == (frames.DATA, b"x" * 1000)


async def test_a_client_that_goes_away_closes_it(client: Client, host: OneHost) -> None:
    assert await client.begin(asking(host)) == 200
    client.writer.close()
    async with asyncio.timeout(WITHIN_S):
        await host.echo.wait_over()
    assert host.echo.closed[0] is Why.RESET


async def test_one_that_says_nonsense_later_closes_it(client: Client, host: OneHost) -> None:
    assert await client.begin(asking(host)) == 200
    client.send(b"Z\0\0\0\0")
    async with asyncio.timeout(WITHIN_S):
        await host.echo.wait_over()
    assert host.echo.closed[0] is Why.RESET


async def test_a_stream_that_breaks_says_why_in_its_last_frame(
    client: Client, host: OneHost
) -> None:
    assert await client.begin(asking(host)) == 200
    host.echo.breaks.set()
    kind, data = await client.frame()
    assert kind == frames.BROKEN
    assert msgspec.json.decode(data, type=BrokenView) == BrokenView("ended", "its lease has ended")


@pytest.mark.parametrize(
    ("why", "status"), [(Why.REFUSED, 403), (Why.BUSY, 503), (Why.UNREACHABLE, 502)]
)
async def test_what_the_other_host_refuses_is_an_answer(
    client: Client, host: OneHost, why: Why, status: int
) -> None:
    host.stream_refused = StreamOver(why, "for a reason")
    assert await client.begin(asking(host)) == status
    assert b"demo/node-1 is not reached: for a reason" in await client.reader.read(1000)


@pytest.mark.parametrize(
    ("first", "status", "said"),
    [
        (frames.frame(frames.DATA, b"x"), 400, b"begins with a frame that has its order"),
        (frames.frame(frames.ORDER, b"{"), 400, b"order: "),
        (b"O\xff\xff\xff\xff", 413, b"a frame of 4294967295 bytes"),
    ],
)
async def test_what_begins_with_no_order_is_refused(
    client: Client, host: OneHost, first: bytes, status: int, said: bytes
) -> None:
    assert await client.begin(first) == status
    assert said in await client.reader.read(1000)
    assert host.connected == []


@pytest.mark.parametrize(
    ("action", "workspace", "status", "said"),
    [
        (Action.CONSOLE, "node-1", 400, b"a stream needs one to connect"),
        (Action.CONNECT, "node-9", 404, b"there is no workspace of demo named"),
    ],
)
async def test_an_order_that_leads_nowhere_is_refused(
    client: Client, host: OneHost, action: Action, workspace: str, status: int, said: bytes
) -> None:
    assert await client.begin(asking(host, action, workspace)) == status
    assert said in await client.reader.read(1000)
    assert host.connected == []
