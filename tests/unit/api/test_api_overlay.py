"""Who is there, what happens, images and consoles through the API."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient
from one_host import OneHost, image_file
from orders import accepted, building, grid_spec, post, signed, until, up_order

from overlayd.api.views import ConsoleRequest, ConsoleView, ImageRow
from protocol.membership.messages import Contact
from protocol.node.messages import ConsoleText
from protocol.node.rows import PeerRow, SelfRow, SiteRow
from protocol.node.status_rows import StatusRow
from protocol.peering.joining import Joining
from protocol.terms.ids import PeerId
from protocol.trust.order import Action


def own_images(host: OneHost) -> list[str]:
    """What the node was told this host has."""
    (row,) = host.view.peers(host.now())
    return [image.name for image in row.images]


async def test_this_peer_its_site_and_its_health(api: AsyncClient, host: OneHost) -> None:
    me = msgspec.json.decode((await api.get("/self")).content, type=SelfRow)
    assert (me.name, me.site, me.peer) == ("h1", "ams", host.view.me)
    (peer,) = msgspec.json.decode((await api.get("/peers")).content, type=list[PeerRow])
    assert (peer.name, peer.health, peer.driver) == ("h1", "self", "test")
    assert peer.shapes[0] == ("0.25cpu/128M", 16)
    (site,) = msgspec.json.decode((await api.get("/sites")).content, type=list[SiteRow])
    assert (site.site, site.hosts, site.alive) == ("ams", 1, 1)
    health = (await api.get("/health")).json()
    assert (health["status"], health["name"]) == ("ok", "h1")
    status = msgspec.json.decode((await api.get("/status")).content, type=StatusRow)
    assert (status.name, status.overlay, status.problems) == ("h1", "alone", ())
    metrics = await api.get("/metrics")
    assert metrics.text == "overlayd_peers 1\n"
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_health_is_not_ok_without_the_overlay_that_is_to_be_joined(
    api: AsyncClient, host: OneHost
) -> None:
    connected: list[PeerId] = []
    there = PeerId("b" * 64)
    joins = (Contact(there, "", "192.0.2.9:7700"),)
    host.node.overlay.joining = joining = Joining(
        joins, lambda _: False, lambda: len(connected), lambda _: "h2"
    )
    never = await api.get("/health")
    assert (never.status_code, never.json()["status"]) == (503, "joining")
    assert "nobody was reached yet" in never.json()["problems"][0]
    connected.append(there)
    joining.reached(there, host.now())
    assert (await api.get("/health")).status_code == 200
    connected.clear()
    cut_off = await api.get("/health")
    assert (cut_off.status_code, cut_off.json()["status"]) == (503, "lost")


async def test_the_schema_describes_the_api_and_needs_nothing_from_elsewhere(
    api: AsyncClient,
) -> None:
    answer = await api.get("http://overlayd/schema/openapi.json")
    schema: dict[str, Any] = answer.json()
    assert set(schema["paths"]) == {
        "/v1/self",
        "/v1/peers",
        "/v1/sites",
        "/v1/timetable",
        "/v1/status",
        "/v1/health",
        "/v1/metrics",
        "/v1/revocations",
        "/v1/news",
        "/v1/leaving",
        "/v1/grids",
        "/v1/unknown",
        "/v1/grids/{name}",
        "/v1/grids/{site}/{name}",
        "/v1/standing/{name}",
        "/v1/standing/{site}/{name}",
        "/v1/policies",
        "/v1/spent/{key}",
        "/v1/audit",
        "/v1/audit/end",
        "/v1/audit/report",
        "/v1/usage",
        "/v1/usage/receipts",
        "/v1/paths/{name}",
        "/v1/paths/{site}/{name}",
        "/v1/plans",
        "/v1/quotes",
        "/v1/quotes/{quote_id}",
        "/v1/orders",
        "/v1/requests",
        "/v1/requests/{request_id}",
        "/v1/events",
        "/v1/images",
        "/v1/images/gc",
        "/v1/images/{which}",
        "/v1/commits",
        "/v1/images/{which}/content",
        "/v1/images/{which}/name",
        "/v1/imports/{watched}",
        "/v1/console",
    }
    assert {"GridSpec", "PeerRow", "RequestView", "SignedOrder"} <= set(
        schema["components"]["schemas"]
    )
    assert "https://" not in answer.text
    yaml = await api.get("http://overlayd/schema/openapi.yaml")
    assert yaml.status_code == 200


async def test_a_line_is_told_and_one_that_is_none_is_refused(
    api: AsyncClient, host: OneHost
) -> None:
    assert (await api.post("/news", json={"text": "back at 18:00"})).status_code == 202
    await until(lambda: any(line.kind == "news" for line in host.events(0)))
    refused = await api.post("/news", json={"text": "two\nlines"})
    assert refused.status_code == 400
    assert "cannot be printed" in refused.json()["problem"]


async def test_a_host_leaves_and_takes_it_back(api: AsyncClient, host: OneHost) -> None:
    for leaving in (True, False):
        said = await api.post("/leaving", json={"leaving": leaving})
        assert said.status_code == 202
        assert said.json()["leaving"] is not leaving, "as it was before"
        await until(lambda leaving=leaving: host.view.this_peer().leaving is leaving)
        (row,) = (await api.get("/peers")).json()
        assert row["leaving"] is leaving
    assert (await api.post("/leaving", json={"leaving": "soon"})).status_code == 400


async def test_events_are_kept_numbered_and_asked_for_from_a_number(
    api: AsyncClient, host: OneHost
) -> None:
    before = len(host.events(0))
    host.tell("peer.joined", "h2", "hello", "c-1")
    host.tell("peer.dead", "h2")
    lines = (await api.get("/events")).text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, before + 3))
    (line,) = (await api.get("/events", params={"since": before + 1})).text.splitlines()
    assert json.loads(line)["kind"] == "peer.dead"


async def test_a_follower_gets_what_comes_and_leaves_nothing_behind(
    api: AsyncClient, host: OneHost
) -> None:
    since = len(host.events(0))
    params: dict[str, Any] = {"since": since, "follow": "true"}
    async with api.stream("GET", "/events", params=params) as stream:
        assert stream.headers["content-type"].startswith("application/x-ndjson")
        lines = stream.aiter_lines()
        await until(lambda: host.waiting == 1)
        for kind in ("one", "two"):
            host.tell(kind, "x")
            assert json.loads(await anext(lines))["kind"] == kind
    await until(lambda: host.waiting == 0)
    assert (await api.get("/health")).status_code == 200


async def test_an_image_comes_and_goes(api: AsyncClient, host: OneHost, tmp_path: Path) -> None:
    file = image_file(tmp_path / "b.img", "other", "quiet")
    answer = await api.post("/images", params={"name": "mine"}, content=file.read_bytes())
    assert answer.status_code == 201, answer.text
    info = answer.json()
    assert (info["names"], info["facts"]["architecture"]) == (["mine"], "x86_64")
    rows = msgspec.json.decode((await api.get("/images")).content, type=list[ImageRow])
    assert [(row.name, row.here, row.hosts[0].name) for row in rows] == [
        ("guest", True, "h1"),
        ("mine", True, "h1"),
    ]
    await until(lambda: own_images(host) == ["guest", "mine"])
    again = await api.post("/images", params={"name": "mine"}, content=file.read_bytes())
    assert (info.pop("known"), again.json()) == (False, {**info, "known": True})
    assert (await api.delete(f"/images/{info['digest'][:8]}")).json() == info
    await until(lambda: own_images(host) == ["guest"])
    gone = await api.delete("/images/mine")
    assert (gone.status_code, gone.json()["problem"]) == (
        404,
        'there is no image "mine" on this host; there is guest',
    )
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_name_taken_by_another_image_is_refused_and_nothing_is_kept(
    api: AsyncClient, host: OneHost, tmp_path: Path
) -> None:
    file = image_file(tmp_path / "b.img", "guest", "quiet")
    answer = await api.post("/images", content=file.read_bytes())
    assert answer.status_code == 422
    assert answer.json()["problem"].startswith("the name guest is taken here")
    assert len(await host.images.list()) == 1


@pytest.mark.parametrize(
    ("params", "content", "status", "problem"),
    [
        ({}, b"not an image", 422, "not an image: "),
        ({}, b"", 422, "not an image: "),
        ({"name": "../up"}, b"x", 400, 'name: found "../up"; an image\'s name is '),
    ],
)
async def test_what_is_no_image_is_not_kept(
    api: AsyncClient,
    tmp_path: Path,
    params: dict[str, str],
    content: bytes,
    status: int,
    problem: str,
) -> None:
    answer = await api.post("/images", params=params, content=content)
    assert answer.status_code == status, answer.text
    assert answer.json()["problem"].startswith(problem)
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_client_gone_in_the_middle_of_an_image_leaves_nothing(
    api: AsyncClient, host: OneHost, tmp_path: Path
) -> None:
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    head = b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
    writer.write(head + bytes(3 << 20))
    await writer.drain()
    uploads = tmp_path / "uploads"
    await until(lambda: any(path.stat().st_size for path in uploads.iterdir()))
    writer.close()
    await until(lambda: not list(uploads.iterdir()))
    assert [info.name for info in await host.images.list()] == ["guest"]
    assert (await api.get("/health")).status_code == 200


async def test_a_client_gone_in_the_middle_of_an_order_costs_nothing(
    api: AsyncClient, host: OneHost, tmp_path: Path
) -> None:
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{")
    await writer.drain()
    writer.close()
    assert (await api.get("/requests")).json() == []


async def test_a_console_is_read_from_where_it_was_left(api: AsyncClient, host: OneHost) -> None:
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    host.console_says = ConsoleText("", 0, b"login: \xff", "")
    order = signed(host.site_dir, Action.CONSOLE, "demo", "node-1")
    answer = await post(api, "/console", ConsoleRequest(order))
    assert msgspec.json.decode(answer.content, type=ConsoleView).data == b"login: \xff"
    answer = await post(api, "/console", ConsoleRequest(order, 7, b"root\r"))
    view = msgspec.json.decode(answer.content, type=ConsoleView)
    assert (view.offset, view.data) == (7, b"\xff")
    assert host.console_asked == [(0, b""), (7, b"root\r")]
    missing = signed(host.site_dir, Action.CONSOLE, "demo", "node-7")
    answer = await post(api, "/console", ConsoleRequest(missing))
    assert (answer.status_code, answer.json()["problem"]) == (
        404,
        'there is no workspace of demo named "node-7"; there are node-1 and node-2',
    )
    host.console_says = ConsoleText("", 0, b"", "its host does not answer")
    answer = await post(api, "/console", ConsoleRequest(order))
    assert (answer.status_code, answer.json()["problem"]) == (
        502,
        "h1 does not show the console of demo/node-1: its host does not answer",
    )
