"""A warm start: every peer has been there for long, in an overlay that has converged.

Ten thousand joins are not simulated. Every node starts, and says who it is. The first of each site takes in
what all others of its site said, and the summaries of other sites, by the same code as any peer. The others
are given copies of what it knows. Records are immutable and shared, so a peer costs its dictionaries.
Neighbours are drawn as HyParView would have them: symmetric, half near and half far, on connections that were
made and introduced long ago.

A test holds that a warm peer has what a peer has that joined, with two exceptions. No addresses are on disk.
In a world so large that sites are known by their summaries, its guests are its far neighbours and the writers
of the summaries. The tree is the one that news of some peer leaves. Clocks are compared only once the run
begins.
"""

from heapq import heappop, heappush
from itertools import pairwise
from random import Random

from protocol.broadcast.messages import Records
from protocol.capacity.advert import KIND as ADVERT
from protocol.membership.messages import Contact
from protocol.membership.presence import KIND as PRESENCE
from protocol.membership.vivaldi import Vivaldi
from protocol.node.events import Ticked
from protocol.node.node import Node
from protocol.node.site_summaries import KIND as SITE
from protocol.sim.doors import settled_like, stirred, take_stock, taught
from protocol.sim.latency import LOCAL_S
from protocol.sim.peer import SimPeer
from protocol.sim.world import World
from protocol.terms.coordinate import Coordinate
from protocol.terms.ids import KeyId
from protocol.terms.limits import (
    ACTIVE_REMOTE,
    ACTIVE_VIEW,
    FULL_MESH_BELOW,
    PASSIVE_VIEW,
    PING_EVERY_S,
)

_SURVEYS = 400
"""By how many round trips the sites find their places before the beginning."""
_DRAWS = 50
"""How many drawn neighbours may be refused (known already, or full) before a peer is left with fewer."""


def begin_warm(world: World, dice: Random) -> None:
    """Starts all peers of a world in which nothing has happened, as in the middle of its life."""
    for peer in world.peers:
        peer.joins = ()
        peer.start()
    sites: dict[str, list[SimPeer]] = {}
    for peer in world.peers:
        sites.setdefault(peer.site, []).append(peer)
    _teach(world, sites)
    places = _places(world, list(sites), dice)
    _fill_passive(world, sites, dice)
    pairs = _neighbours(world.peers, sites, dice)
    for a, b in pairs:
        _befriend(world, a, b, dice)
    _prune(world, pairs, dice.choice(world.peers))
    for peer in world.peers:
        _node(peer).membership.vivaldi.here = places[peer.site]
        stirred(_node(peer))
        peer.feed(Ticked())


# -- what they know


def _teach(world: World, sites: dict[str, list[SimPeer]]) -> None:
    """Tells the first peer of each site everything, and copies that to the others."""
    first = [peers[0] for peers in sites.values()]
    if world.size <= world.levels_above:
        _introduce(first[0], world.peers)
        for peer in world.peers[1:]:
            settled_like(_node(peer), _node(first[0]), world.now_s)
        return
    for peer in first:
        _introduce(peer, sites[peer.site])
        _introduce(peer, first)
    # Once to learn that there are too many peers, and again with what that changes.
    for _ in range(2):
        for peer in first:
            take_stock(_node(peer), world.now_s)
        for peer in first:
            _tell(peer, first, PRESENCE)
            _tell(peer, first, SITE)
    for peers in sites.values():
        for peer in peers[1:]:
            settled_like(_node(peer), _node(peers[0]), world.now_s)


def _introduce(peer: SimPeer, others: list[SimPeer]) -> None:
    """Tells a peer the presences of others first, since it believes nothing of peers it does not know."""
    _tell(peer, others, PRESENCE)
    _tell(peer, others, ADVERT)


def _tell(peer: SimPeer, others: list[SimPeer], kind: str) -> None:
    """Tells a peer what others say of themselves, as if it came from the peer itself, which it believes."""
    held = [_node(other).broadcast.directory.get(KeyId(other.id), kind) for other in others]
    records = tuple(each.signed for each in held if each is not None)
    taught(_node(peer), Records(records), peer.now_s)


# -- their neighbours


def _neighbours(
    peers: list[SimPeer], sites: dict[str, list[SimPeer]], dice: Random
) -> list[tuple[SimPeer, SimPeer]]:
    """Pairs of neighbours: in each site a ring and random ones, and random ones between sites."""
    if len(peers) < FULL_MESH_BELOW:
        return [(a, b) for i, a in enumerate(peers) for b in peers[i + 1 :]]
    views: dict[SimPeer, dict[SimPeer, None]] = {peer: {} for peer in peers}
    for members in sites.values():
        ring = dice.sample(members, len(members))
        for a, b in [*pairwise(ring), (ring[-1], ring[0])]:
            if a is not b:
                views[a][b] = views[b][a] = None
    others = {site: [p for p in peers if p.site != site] for site in sites}
    for far, most in ((True, ACTIVE_VIEW), (False, ACTIVE_VIEW)):
        for peer in dice.sample(peers, len(peers)):
            pool = others[peer.site] if far else sites[peer.site]
            _draw(peer, pool, views, most, dice)
    return [(a, b) for a in peers for b in views[a] if a.number < b.number]


def _draw(
    peer: SimPeer,
    pool: list[SimPeer],
    views: dict[SimPeer, dict[SimPeer, None]],
    most: int,
    dice: Random,
) -> None:
    """Draws neighbours for a peer out of a pool, until it has enough or no other takes it."""
    for _ in range(_DRAWS):
        if not pool or not _wants(peer, pool[0], views, most):
            return
        other = dice.choice(pool)
        if other is not peer and other not in views[peer] and _wants(other, peer, views, most):
            views[peer][other] = views[other][peer] = None


def _wants(
    peer: SimPeer, other: SimPeer, views: dict[SimPeer, dict[SimPeer, None]], most: int
) -> bool:
    view = views[peer]
    remote = sum(known.site != peer.site for known in view)
    return len(view) < most and (other.site == peer.site or remote < ACTIVE_REMOTE)


def _befriend(world: World, dialler: SimPeer, to: SimPeer, dice: Random) -> None:
    """Makes two peers neighbours, as if they had been for long."""
    round_trip_s = world.latency_s(dialler.site, to.site) + world.latency_s(to.site, dialler.site)
    pinged_s = world.now_s - PING_EVERY_S * dice.random()
    world.wires.join(dialler, to)
    for peer, other in ((dialler, to), (to, dialler)):
        node, now_s = _node(peer), peer.now_s
        membership, links = node.membership, node.membership.links
        if other.id not in membership.known:
            _tell(peer, [other], PRESENCE)
        hello = node.announcer.hello(now_s)
        links.stand(other.id, other.identity.address if peer is dialler else None, now_s)
        links.up(other.id, hello, now_s, accepted=peer is to)
        links.introduce(other.id, now_s)
        node.overlay.versions.met(other.id, hello)
        links.measured(other.id, round_trip_s)
        links.pinged(other.id, pinged_s)
        membership.view.add(membership.known[other.id].contact, membership.sites_alive())
        node.broadcast.tree.neighbour_up(other.id)
        if peer.site != other.site:
            node.relay.reachability.told(other.id, True, now_s)


def _prune(world: World, pairs: list[tuple[SimPeer, SimPeer]], root: SimPeer) -> None:
    """Leaves the tree that one peer's news leaves: each is eager with the one that brought it (Dijkstra)."""
    beside: dict[int, list[SimPeer]] = {peer.number: [] for peer in world.peers}
    for a, b in pairs:
        beside[a.number].append(b)
        beside[b.number].append(a)
    brought: dict[int, int] = {}
    edge = [(0.0, root.number, root.number)]
    while edge:
        at_s, number, by = heappop(edge)
        if number in brought:
            continue
        brought[number] = by
        here = world.peers[number - 1]
        for other in beside[number]:
            if other.number not in brought:
                heappush(
                    edge, (at_s + world.latency_s(here.site, other.site), other.number, number)
                )
    for a, b in pairs:
        if brought.get(a.number) != b.number and brought.get(b.number) != a.number:
            _node(a).broadcast.tree.pruned(b.id)
            _node(b).broadcast.tree.pruned(a.id)


def _fill_passive(world: World, sites: dict[str, list[SimPeer]], dice: Random) -> None:
    """Fills the passive views, half with peers of the own site."""
    contacts = {peer: Contact(peer.id, peer.site, peer.identity.address) for peer in world.peers}
    for peer in world.peers:
        near = sites[peer.site]
        chosen = dice.sample(near, min(PASSIVE_VIEW // 2, len(near)))
        chosen += dice.sample(world.peers, min(PASSIVE_VIEW // 2, world.size))
        for other in chosen:
            _node(peer).membership.view.passive.add(contacts[other])


def _places(world: World, sites: list[str], dice: Random) -> dict[str, Coordinate]:
    """Where the sites come to lie by Vivaldi's own rule. All peers of a site begin there."""
    vivaldis = {site: Vivaldi(dice) for site in sites}
    for _ in range(_SURVEYS):
        for a, b in ((dice.choice(sites), dice.choice(sites)) for _ in sites):
            there = vivaldis[b].here
            vivaldis[a].measured(there, world.latency_s(a, b) + world.latency_s(b, a))
    if len(sites) == 1:
        vivaldis[sites[0]].measured(vivaldis[sites[0]].here, 2 * LOCAL_S)
    return {site: vivaldi.here for site, vivaldi in vivaldis.items()}


def _node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node
