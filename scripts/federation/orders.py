"""Signed orders straight to a daemon's API, for tests and benches that ask too often for a command line."""

import secrets
import time
from pathlib import Path

import msgspec

from federation.launch import Host, wait_for
from overlayd.adapters.credentials import load_site
from overlayd.api.views import Accepted, GridView, OrderBody
from overlayd.cli.stewards import drawn
from overlayd.ports.images import ImageInfo
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef
from protocol.node.rows import PeerRow, SelfRow
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.ids import PeerId, RequestId, StoreId
from protocol.trust.order import Action, Order, SignedOrder, order_key, sign_order
from protocol.wire.codec import encode

_MADE: dict[tuple[Path, str], str] = {}
"""By identity and name, what the ids of the grid begin with that was ordered last."""


def spec(name: str, image: ImageInfo, count: int, memory_bytes: int = 64 << 20) -> GridSpec:
    """Equal workspaces without a network, as hosts on loopback can carry them."""
    cluster = ClusterSpec(
        name="n",
        count=count,
        minimum=count,
        image=ImageRef(image.name, image.digest),
        cpus_milli=100,
        memory_bytes=memory_bytes,
    )
    return GridSpec(name=name, clusters=(cluster,), lease_s=3600)


def signed(
    identity: Path,
    action: Action,
    grid: str,
    workspace: str = "",
    body: bytes = b"",
    via: Host | None = None,
    stewards: tuple[PeerId, ...] = (),
    stores: tuple[StoreId, ...] = (),
) -> SignedOrder:
    """A fresh order of the site admin with that folder. Of a grid that was ordered here, the name is enough.

    `via` is the host that may use it, if only one may.
    """
    who = load_site(identity)
    makes = action in (Action.UP, Action.HOLD)
    about = grid if makes else _MADE.get((identity, grid), grid)
    order = Order(action, about, time.time(), 300.0, secrets.token_hex(8), workspace, body)
    if via is not None:
        order = msgspec.structs.replace(order, via=me(via).peer)
    order = msgspec.structs.replace(order, stewards=stewards, stores=stores)
    signed_order = sign_order(order, who.identity, who.chain)
    if action is Action.UP:
        _MADE[identity, grid] = order_key(signed_order)
    return signed_order


def up(identity: Path, grid: GridSpec, host: Host) -> SignedOrder:
    """A fresh order to make that grid. Its stewards are drawn from whom this host hears, as overlayctl does."""
    site = load_site(identity).principal.site
    rows = list(peers(host).values())
    chosen, stores = drawn(rows, site)
    body = encode(grid)
    return signed(identity, Action.UP, grid.name, body=body, stewards=chosen, stores=stores)


def give(host: Host, order: SignedOrder, files: tuple[bytes, ...] = ()) -> RequestId:
    """Gives a host an order, and the files that its grid names. Answers the id of the request it becomes."""
    said = host.ask("POST", "orders", msgspec.json.encode(OrderBody.of(order, files)))
    return msgspec.json.decode(said.content, type=Accepted).request


def view(host: Host, request: RequestId) -> RequestView:
    """How far a request is."""
    said = host.ask("GET", f"requests/{request}")
    return msgspec.json.decode(said.content, type=RequestView)


def answer(host: Host, request: RequestId, within_s: float = 60) -> RequestView:
    """Waits for a request's end. Answers the request then."""

    def ended() -> RequestView | None:
        found = view(host, request)
        return None if found.state is RequestState.RUNNING else found

    return wait_for(ended, within_s, f"{host.name} answers request {request}")


def obeyed(host: Host, order: SignedOrder, within_s: float = 60) -> RequestView:
    """Gives an order and waits for its request's end."""
    return answer(host, give(host, order), within_s)


def grid(host: Host, name: str) -> GridView | None:
    """A grid by name or id, as this host knows it; None if it knows none."""
    found = host.ask("GET", "grids")
    rows = msgspec.json.decode(found.content, type=list[dict[str, object]])
    if not any(name in (row["name"], row["grid"]) for row in rows):
        return None
    return msgspec.json.decode(host.ask("GET", f"grids/{name}").content, type=GridView)


def id_of(host: Host, name: str) -> str:
    """What an order names for a grid of that name which this host knows; the name if it knows none."""
    found = grid(host, name)
    return found.grid.grid if found is not None else name


def peers(host: Host) -> dict[str, PeerRow]:
    """All peers that a host knows, itself among them, by name."""
    rows = msgspec.json.decode(host.ask("GET", "peers").content, type=list[PeerRow])
    return {row.name: row for row in rows}


def me(host: Host) -> SelfRow:
    """What a host says of itself."""
    return msgspec.json.decode(host.ask("GET", "self").content, type=SelfRow)


def add_image(host: Host, path: Path, name: str = "") -> ImageInfo:
    """Gives a host an image file, under its own name or another."""
    query = f"?name={name}" if name else ""
    with path.open("rb") as file:
        # It goes in pieces: of one large body httpx copies what is left with every write.
        said = host.ask("POST", f"images{query}", iter(lambda: file.read(1 << 20), b""))
    return msgspec.json.decode(said.content, type=ImageInfo)
