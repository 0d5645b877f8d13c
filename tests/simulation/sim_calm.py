"""A federation that has come up and is at rest: where these tests begin."""

from protocol.node.node import Node
from protocol.requesting.request import RequestView
from protocol.sim.peer import SimPeer
from protocol.sim.run import JOIN_WITHIN_S, knows_all
from protocol.sim.world import World
from protocol.terms.ids import RequestId


def calm_world(seed: int, peers: int, sites: int = 3, **options: object) -> World:
    """Everyone knows everyone, and has everyone's advert."""
    world = World(seed, peers, sites, **options)  # type: ignore[arg-type]
    world.start_all()
    assert world.run_until(lambda: knows_all(world), JOIN_WITHIN_S)
    heard = world.run_until(
        lambda: all(len(node_of(peer).directory.adverts) == peers - 1 for peer in world.peers),
        30.0,
    )
    assert heard, "adverts did not get round"
    return world


def node_of(peer: SimPeer) -> Node:
    """The node of a peer that is up."""
    assert peer.node is not None, f"{peer.name} is down"
    return peer.node


def view(peer: SimPeer, request: RequestId) -> RequestView:
    """A request at a peer that is up."""
    found = node_of(peer).requester.requests.view(request)
    assert found is not None, f"{peer.name} has forgotten {request}"
    return found


def answer(world: World, peer: SimPeer, request: RequestId, within_s: float = 90.0) -> RequestView:
    """Waits for a request's answer."""
    got = world.run_until(lambda: view(peer, request).state != "running", within_s)
    assert got, f"no answer within {within_s:.0f} s: {view(peer, request)}"
    return view(peer, request)
