"""How the hosts of a grid reach each other. Each host is asked, since each knows and measures its own paths."""

import asyncio

from litestar import Router, get
from litestar.params import FromPath

from overlayd.api.grids import confirm, grid_view
from overlayd.api.service import Here, Service
from overlayd.api.views import GridView, PathsView, PathView
from protocol.node.messages import PathsTold
from protocol.node.rows import WorkspaceRow
from protocol.terms.ids import PeerId
from protocol.terms.paths import PathTold

_AT_ONCE = 64
"""Hosts that are asked at once."""


@get("/paths/{name:str}", summary="How the hosts of a grid reach each other")
async def paths(name: FromPath[str], service: Here) -> PathsView:
    """What each host of the grid knows and has measured of its paths to the others, by network.

    A host that does not answer within seconds is in `silent`.
    """
    return await _paths(service, name)


@get("/paths/{site:str}/{name:str}", summary="How the hosts of a grid of one site reach each other")
async def paths_of_site(site: FromPath[str], name: FromPath[str], service: Here) -> PathsView:
    """The same, of the grids of that site's admin."""
    return await _paths(service, name, site)


async def _paths(service: Service, name: str, site: str = "") -> PathsView:
    await confirm(service, name)
    view = grid_view(service, name, site)
    hosts = {row.peer: row for row in view.workspaces}
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(peer: PeerId) -> PathsTold:
        async with turns:
            return await service.peer.paths(peer, view.grid.grid)

    told = dict(zip(hosts, await asyncio.gather(*map(ask, hosts)), strict=True))
    names = _names(service, view)
    found = [
        _path(path, hosts[peer], hosts[path.peer], names)
        for peer, answer in told.items()
        for path in answer.paths
        if path.peer in hosts
    ]
    order = {network: place for place, (network, _) in enumerate(view.grid.networks)}
    found.sort(key=lambda path: (order.get(path.network, len(order)), path.network))
    silent = tuple((hosts[peer].host, said.problem) for peer, said in told.items() if said.problem)
    return PathsView(view.grid.grid, view.grid.name, tuple(found), silent)


def _names(service: Service, view: GridView) -> dict[PeerId, str]:
    peers = service.peer.view.peers(service.peer.now())
    return {row.peer: row.name for row in peers} | {row.peer: row.host for row in view.workspaces}


def _path(
    path: PathTold, one: WorkspaceRow, other: WorkspaceRow, names: dict[PeerId, str]
) -> PathView:
    return PathView(
        network=path.network,
        host=one.host,
        site=one.site,
        to=other.host,
        to_site=other.site,
        carrier=path.carrier,
        cipher=path.cipher,
        loop=path.loop,
        relay=names.get(path.relay, path.relay) if path.relay else "",
        place=path.place,
        mtu=path.mtu,
        round_trip_s=path.round_trip_s,
        lost=path.lost,
        probes=path.probes,
    )


router = Router("/", route_handlers=[paths, paths_of_site], tags=["grids"])
