"""This host on a network for as long as a request stays open: how it stands is told, and then it ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from by_hand import WITHIN_S, Client
from httpx import AsyncClient
from msgspec.structs import replace
from one_host import OneHost, PlayedView
from orders import accepted, building, grid_spec, signed, up_order

from overlayd.adapters.credentials import add_site
from overlayd.api import frames
from overlayd.api.views import AttachRequest, AttachView, OrderBody
from protocol.grid.attached import AttachBody
from protocol.node.events import Event
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.requesting.visiting import VisitRow
from protocol.terms.ids import GridId
from protocol.trust.order import Action
from protocol.wire.codec import encode


class Visiting:
    """A host with a grid, whose visits are played."""

    def __init__(self, host: OneHost, socket: Path, grid: GridId) -> None:
        self.host, self._socket, self.grid = host, socket, grid
        self.events: list[Event] = []

    def play(self) -> PlayedView:
        """From now on the node hears nothing of it, and it stands as the view's rows say."""
        view, self.events = self.host.play()
        return view

    def client(self) -> Client:
        return Client(self._socket, "attach")

    def asking(self, action: Action = Action.ATTACH, network: str = "lan") -> bytes:
        order = signed(self.host.site_dir, action, "demo", body=encode(AttachBody(network)))
        return frames.frame(frames.ORDER, msgspec.json.encode(AttachRequest(order)))

    def row(self, address: str = "") -> VisitRow:
        return VisitRow(self.grid, "lan", address, "10.42.0.0/24", 1, 1, "", over=False)

    async def dropped(self) -> None:
        """Waits until it is ended."""
        await until(lambda: AttachDropped(self.grid, "lan") in self.events)


@pytest.fixture
async def visiting(api: AsyncClient, host: OneHost, tmp_path: Path) -> Visiting:
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    (row,) = host.view.grids(host.now())
    return Visiting(host, tmp_path / "s", row.grid)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not ready():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)


async def told(client: Client) -> AttachView:
    kind, data = await client.frame()
    assert kind == frames.DATA
    return msgspec.json.decode(data, type=AttachView)


async def test_what_hosts_refuse_ends_it_with_their_words(visiting: Visiting) -> None:
    client = visiting.client()
    assert await client.begin(visiting.asking()) == 200
    while not (view := await told(client)).over:
        assert not view.up
    assert view.problem == "this order is for another host"
    assert await client.reader.readline() == b"0\r\n"
    await until(lambda: not visiting.host.view.visits())


async def test_how_it_stands_is_told_until_the_client_goes_away(visiting: Visiting) -> None:
    view = visiting.play()
    view.rows = [visiting.row()]
    client = visiting.client()
    assert await client.begin(visiting.asking()) == 200
    assert not (await told(client)).up
    view.rows = [visiting.row("10.42.0.200")]
    assert not (await told(client)).up, "its card is not there yet"
    visiting.host.cards[visiting.grid, "lan"] = "no room"
    assert (await told(client)).problem == "no room"
    visiting.host.cards[visiting.grid, "lan"] = ""
    now = await told(client)
    assert (now.up, now.address, now.problem) == (True, "10.42.0.200", "")
    client.send(visiting.asking())
    await until(lambda: len(visiting.events) == 2)
    assert all(isinstance(event, AttachGiven) for event in visiting.events), "a newer order"
    again = visiting.client()
    assert await again.begin(visiting.asking()) == 409
    assert b"end the other command first" in await again.reader.read(1000)
    client.writer.close()
    await visiting.dropped()


async def test_nonsense_later_ends_it(visiting: Visiting) -> None:
    visiting.play()
    client = visiting.client()
    assert await client.begin(visiting.asking()) == 200
    client.send(visiting.asking(network="wan"))
    await visiting.dropped()


async def test_only_how_it_changes_is_told(visiting: Visiting) -> None:
    view = visiting.play()
    view.rows = [visiting.row()]
    client = visiting.client()
    assert await client.begin(visiting.asking()) == 200
    first = await told(client)
    view.rows = [replace(visiting.row(), over=True, problem="why")]
    assert await told(client) == replace(first, over=True, problem="why")


@pytest.mark.parametrize(
    ("first", "status", "said"),
    [
        (frames.frame(frames.DATA, b"x"), 400, b"begins with a frame that has an order"),
        (frames.frame(frames.ORDER, b"{"), 400, b"order: "),
    ],
)
async def test_what_begins_with_no_order_is_refused(
    visiting: Visiting, first: bytes, status: int, said: bytes
) -> None:
    client = visiting.client()
    assert await client.begin(first) == status
    assert said in await client.reader.read(1000)


async def test_another_order_is_refused_and_one_to_attach_is_no_order_to_carry_out(
    visiting: Visiting, api: AsyncClient
) -> None:
    client = visiting.client()
    assert await client.begin(visiting.asking(Action.CONNECT)) == 400
    assert b"needs one to attach" in await client.reader.read(1000)
    order = signed(visiting.host.site_dir, Action.ATTACH, "demo", body=encode(AttachBody("lan")))
    answer = await api.post("/orders", content=msgspec.json.encode(OrderBody.of(order)))
    assert (answer.status_code, answer.json()["would_work"]) == (400, "POST it to /v1/attach")


async def test_another_sites_admin_is_told_whose_the_grid_is(visiting: Visiting) -> None:
    """Who has no grid of that name leaves it at the name."""
    sites = visiting.host.site_dir.parent
    add_site(sites.parent, "other")
    order = signed(sites / "other", Action.ATTACH, "demo", body=encode(AttachBody("lan")))
    client = visiting.client()
    asked = frames.frame(frames.ORDER, msgspec.json.encode(AttachRequest(order)))
    assert await client.begin(asked) == 403
    said = await client.reader.read(1000)
    site = visiting.host.site_dir.name
    assert f"demo is a grid of site {site}'s admin".encode() in said
    assert f"with --identity of site {site}".encode() in said
