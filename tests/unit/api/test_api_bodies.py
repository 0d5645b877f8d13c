"""A bad body is refused with what is wrong with it, and nothing is done."""

import json

import msgspec
import pytest
from httpx import AsyncClient
from one_host import OneHost
from orders import grid_spec, post, signed

from overlayd.api.grids import BODY_MAX_BYTES
from protocol.trust.order import Action, SignedOrder

ROUTES = "/schema/openapi.json describes what there is"
GOOD_CLUSTER = {
    "name": "a",
    "count": 1,
    "image": {"name": "guest"},
    "cpus_milli": 250,
    "memory_bytes": 1,
}


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("/plans", b"", "body: empty; JSON is expected"),
        ("/plans", b"{", "body: Input data was truncated"),
        ("/plans", b"\xff\xfe", "body: invalid character (byte 0)"),
        ("/plans", b"[]", "body: Expected object, got array"),
        ("/plans", b'{"clusters": []}', "body: Object missing required field name"),
        (
            "/plans",
            json.dumps({"name": "x", "clusters": [{**GOOD_CLUSTER, "count": "many"}]}).encode(),
            "body: clusters[0].count: Expected int, got str",
        ),
        ("/plans", b"[" * 100_000, "the body is nested too deeply"),
        (
            "/orders",
            b'{"payload": "!", "signature": "", "chain": []}',
            "body: payload: Invalid base64 encoded string",
        ),
        (
            "/orders",
            b'{"payload": "AA==", "signature": "", "chain": []}',
            "order: bad-shape: Expected `object`, got `int`",
        ),
        ("/console", b'{"offset": 0}', "body: Object missing required field order"),
    ],
)
async def test_malformed_bodies(
    api: AsyncClient, host: OneHost, path: str, body: bytes, problem: str
) -> None:
    answer = await api.post(path, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["problem"] == problem
    assert (await api.get("/requests")).json() == []


async def test_a_body_that_is_too_large(api: AsyncClient) -> None:
    answer = await api.post("/plans", content=b" " * (BODY_MAX_BYTES + 1))
    assert (answer.status_code, answer.json()["problem"]) == (
        413,
        "the body is larger than /v1/plans accepts",
    )


async def test_orders_and_consoles_are_not_mixed_up(api: AsyncClient, host: OneHost) -> None:
    order = signed(host.site_dir, Action.CONSOLE, "demo", "node-1")
    answer = await post(api, "/orders", order)
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "problem": "a console is not an order to carry out",
            "would_work": "POST it to /v1/console",
        },
    )
    down: SignedOrder = signed(host.site_dir, Action.DOWN, "demo")
    body = json.dumps({"order": msgspec.to_builtins(down)})
    answer = await api.post("/console", content=body)
    assert (answer.status_code, answer.json()["problem"]) == (
        400,
        "an order to down; a console needs one to console",
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "problem"),
    [
        ("GET", "/nothing", 404, "there is nothing at /v1/nothing"),
        ("PUT", "/grids", 405, "PUT cannot be asked of /v1/grids"),
        ("GET", "/events?since=-1", 400, "query: since: Expected int >= 0"),
        ("GET", "/events?follow=perhaps", 400, "query: follow: Expected bool, got str"),
    ],
)
async def test_what_cannot_be_asked(
    api: AsyncClient, method: str, path: str, status: int, problem: str
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.json()) == (
        status,
        {"problem": problem, "would_work": ROUTES},
    )


async def test_a_bug_is_an_answer_too(api: AsyncClient, host: OneHost) -> None:
    def broken() -> bytes:
        raise ZeroDivisionError("counting nobody")

    host.metrics = broken  # type: ignore[method-assign]  # a bug, on purpose
    answer = await api.get("/metrics")
    assert (answer.status_code, answer.json()) == (
        500,
        {
            "problem": "ZeroDivisionError while answering /v1/metrics; this is a bug",
            "would_work": "the daemon's log has the details",
        },
    )
    assert (await api.get("/health")).status_code == 200


async def test_a_plan_of_a_grid_that_makes_no_sense(api: AsyncClient, host: OneHost) -> None:
    spec = msgspec.structs.replace(await grid_spec(host), name="No Such Name")
    answer = await post(api, "/plans", spec)
    request = answer.json()["request"]
    view = (await api.get(f"/requests/{request}")).json()
    assert view["state"] == "failed"
    assert view["answer"][0].startswith('malformed: found "No Such Name"; a name is 1 to ')
