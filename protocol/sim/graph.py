"""The overlay as a graph, whose edges are neighbours."""

from protocol.sim.peer import SimPeer
from protocol.sim.world import World
from protocol.terms.ids import PeerId


def neighbours(peer: SimPeer) -> list[PeerId]:
    """The active view of a peer; empty if it is down."""
    return peer.node.membership.view.neighbours if peer.node is not None else []


def degrees(world: World) -> list[tuple[int, int]]:
    """For each peer that is up, how many neighbours it has, and how many of them are at other sites."""
    found = []
    for peer in world.peers:
        if peer.up:
            views = neighbours(peer)
            remote = sum(world.by_id[other].site != peer.site for other in views)
            found.append((len(views), remote))
    return found


def connected(world: World, at_least: int = 0) -> bool:
    """Whether all honest peers that are up are one component of the graph whose edges both ends agree on.

    False at once if one of them has fewer than `at_least` neighbours.
    """
    up = [peer for peer in world.peers if peer.up and not peer.lies]
    if not up:
        return True
    views = {}
    for peer in world.peers:
        views[peer.id] = view = dict.fromkeys(neighbours(peer))
        if len(view) < min(at_least, len(up) - 1):
            return False
    reached = {up[0].id: None}
    edge = [up[0].id]
    while edge:
        at = edge.pop()
        for other in views[at]:
            if other not in reached and at in views[other]:
                reached[other] = None
                edge.append(other)
    return all(peer.id in reached for peer in up)
