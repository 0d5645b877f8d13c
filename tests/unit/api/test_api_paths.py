"""How the hosts of a grid reach each other: each is asked, and what they say is put together."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from overlayd.api.app import create_app
from overlayd.api.server import serve
from overlayd.api.views import PathsView
from protocol.grid.model import Encryption
from protocol.node.messages import PathsTold
from protocol.node.snapshot import PeerView
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import GridId, PeerId
from protocol.terms.paths import PathTold


class Federation:
    """`shop` is on two of three hosts; any of them may be asked by its own API."""

    def __init__(self) -> None:
        self.world = world = World(7, 3, 3)
        world.start_all()
        world.run(5.0)
        spec = grid_spec("shop", encryption=Encryption.REQUIRED)
        world.give(world.peers[0], world.admins[world.peers[0].site].up(spec, world.now_s))
        world.run(10.0)
        self.nodes = {p.id: p.node for p in world.peers if p.node is not None}
        self.carriers = [p for p in world.peers if p.node and p.node.host.leases.rows()]
        (self.stranger,) = (p for p in world.peers if p not in self.carriers)
        self.told: dict[PeerId, PathsTold] = {}

    async def paths(self, peer: PeerId, grid: GridId) -> PathsTold:
        told = PeerView(self.nodes[peer]).paths(grid)
        return self.told.get(peer) or PathsTold("", told or (), "" if told else "none")

    def peer(self) -> Any:
        """The one that carries nothing."""
        view = PeerView(self.nodes[self.stranger.id])
        return SimpleNamespace(
            view=view,
            now=lambda: self.world.now_s,
            paths=self.paths,
            submit=lambda _: None,
            attachments=None,
        )


@pytest.fixture
def federation() -> Federation:
    return Federation()


@pytest.fixture
async def asked(federation: Federation, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    served = await serve(create_app(federation.peer(), tmp_path / "uploads"), tmp_path / "s")
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s"))
    async with httpx.AsyncClient(transport=transport, base_url="http://overlayd/v1") as client:
        yield client
    await served.stop()


async def view_of(client: httpx.AsyncClient, name: str = "shop") -> PathsView:
    return msgspec.json.decode((await client.get(f"/paths/{name}")).content, type=PathsView)


async def test_a_peer_that_carries_nothing_is_told_of_both_directions(
    federation: Federation, asked: httpx.AsyncClient
) -> None:
    view = await view_of(asked)
    assert (view.name, view.silent) == ("shop", ())
    one, other = federation.carriers
    assert {(path.host, path.site, path.to, path.to_site) for path in view.paths} == {
        (one.name, one.site, other.name, other.site),
        (other.name, other.site, one.name, one.site),
    }
    assert {(p.carrier, p.cipher, p.mtu, p.relay) for p in view.paths} == {
        ("sealed", "aes-256-gcm", 1418, "")
    }
    assert await view_of(asked, f"{federation.world.peers[0].site}/shop") == view


async def test_who_tells_nothing_is_named_with_why(
    federation: Federation, asked: httpx.AsyncClient
) -> None:
    one, other = federation.carriers
    federation.told[one.id] = PathsTold("", (), "it does not answer")
    view = await view_of(asked)
    assert [path.host for path in view.paths] == [other.name]
    assert view.silent == ((one.name, "it does not answer"),)


async def test_paths_to_who_is_not_of_the_grid_are_left_out(
    federation: Federation, asked: httpx.AsyncClient
) -> None:
    one, other = federation.carriers
    relay = federation.stranger
    federation.told[one.id] = PathsTold(
        "",
        (
            PathTold("lan", relay.id, "sealed"),
            PathTold("lan", PeerId("f" * 64), "sealed"),
            PathTold("lan", other.id, "sealed", relay=relay.id, round_trip_s=0.5, lost=1, probes=9),
        ),
        "",
    )
    (path,) = (path for path in (await view_of(asked)).paths if path.host == one.name)
    assert (path.to, path.relay, path.round_trip_s) == (other.name, relay.name, 0.5)
    assert (path.lost, path.probes) == (1, 9)


async def test_of_a_grid_that_there_is_not_it_says_which_there_are(
    asked: httpx.AsyncClient,
) -> None:
    answer = await asked.get("/paths/shed")
    assert answer.status_code == 404
    assert "shop" in answer.text
