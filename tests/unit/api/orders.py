"""Grids and orders for tests of the API."""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
from one_host import OneHost

from overlayd.adapters.credentials import load_host, load_site
from protocol.grid.model import ClusterSpec, Encryption, GridSpec, ImageRef, NetworkSpec
from protocol.grid.record import grid_id, order_part
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, Order, SignedOrder, sign_order
from protocol.wire.codec import encode

DEADLINE_S = 10.0


async def grid_spec(host: OneHost, name: str = "demo", count: int = 2) -> GridSpec:
    """Some workspaces on one network, of the image this host has."""
    image = (await host.images.list())[0]
    return GridSpec(
        name=name,
        clusters=(
            ClusterSpec(
                name="node",
                count=count,
                minimum=count,
                image=ImageRef(image.name, image.digest),
                cpus_milli=250,
                memory_bytes=128 << 20,
                networks=("lan",),
            ),
        ),
        lease_s=3600,
        networks=(NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),),
    )


MADE: dict[tuple[Path, str], str] = {}
"""By site and name, what the ids of the grid begin with that was ordered last."""


def signed(
    site_dir: Path, action: Action, grid: str, workspace: str = "", body: bytes = b""
) -> SignedOrder:
    """A fresh order of that site's admin. Of a grid that was ordered here, the name is enough.

    The only host keeps its register.
    """
    who = load_site(site_dir)
    about = grid if action is Action.UP else MADE.get((site_dir, grid), grid)
    order = Order(action, about, time.time(), 300.0, secrets.token_hex(8), workspace, body)
    if action is Action.UP:
        here = load_host(next(site_dir.parent.glob("*/hosts/h1")))
        order = msgspec.structs.replace(order, stewards=(PeerId(here.identity.key),))
    done = sign_order(order, who.identity, who.chain)
    if action is Action.UP:
        MADE[site_dir, grid] = order_part(grid_id(done))
    return done


def up_order(site_dir: Path, spec: GridSpec) -> SignedOrder:
    """A fresh order to make that grid."""
    return signed(site_dir, Action.UP, spec.name, body=encode(spec))


async def post(api: httpx.AsyncClient, path: str, body: msgspec.Struct) -> httpx.Response:
    """Posts a struct as JSON."""
    return await api.post(path, content=msgspec.json.encode(body))


async def accepted(api: httpx.AsyncClient, path: str, body: msgspec.Struct) -> str:
    """Posts a struct. Answers the id of the request that it became."""
    answer = await post(api, path, body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["request"])


async def view_when(
    api: httpx.AsyncClient, request: str, ready: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """A request's view, once it is `ready`."""
    until = time.monotonic() + DEADLINE_S
    while True:
        answer = await api.get(f"/requests/{request}")
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        if ready(view):
            return view
        assert time.monotonic() < until, view
        await asyncio.sleep(0.01)


async def answered(api: httpx.AsyncClient, request: str) -> dict[str, Any]:
    """A request's view with its answer."""
    return await view_when(api, request, lambda view: view["state"] != "running")


async def building(api: httpx.AsyncClient, request: str) -> dict[str, Any]:
    """A request's view once its grid is decided."""
    return await view_when(api, request, lambda view: view["stage"] == "building")


async def until(ready: Callable[[], bool]) -> None:
    """Waits for a condition."""
    give_up = time.monotonic() + DEADLINE_S
    while not ready():
        assert time.monotonic() < give_up, "it did not happen in time"
        await asyncio.sleep(0.01)
