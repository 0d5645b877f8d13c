"""A site whose policy names stewards, so that its hosts share its ceilings: whole peers, in virtual time."""

import msgspec

from protocol.capacity.allotments import NONE, Amounts
from protocol.grid.model import PlacementSpec
from protocol.hosting.allotting import amounts
from protocol.node.events import RecordGiven
from protocol.node.node import Node
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import MAX_VALID_S, Action, Order, sign_order

HOST, GUEST = "s1", "s2"


class Shared:
    """Four hosts at a site that lends the other site's admin four workspaces and two cpus in all."""

    def __init__(self, seed: int, workspaces: int = 4) -> None:
        self.world = world = World(seed, 6, 2)
        world.start_all()
        world.run(5.0)
        self.hosts = [peer for peer in world.peers if peer.site == HOST]
        self.site, self.chain = world.federation.site(HOST), world.federation.site_chain(HOST)
        self.key: KeyId = world.federation.site(GUEST).key
        self.stewards = tuple(peer.id for peer in self.hosts)
        order = Order(
            Action.COUNT, HOST, world.now_s, MAX_VALID_S, "0" * 16, stewards=self.stewards
        )
        self.counting = sign_order(order, self.site, self.chain)
        self.number = 0
        self.publish(workspaces)

    def publish(self, workspaces: int) -> None:
        self.number += 1
        terms = VoTerms(
            GUEST, self.key, ceiling=Ceilings(workspaces=workspaces, cpus_milli=100_000)
        )
        policy = SitePolicy(
            HOST, self.number, self.world.now_s, self.chain, vos=(terms,),
            stewards=self.stewards, counting=self.counting,
        )  # fmt: skip
        self.hosts[0].feed(RecordGiven(sign_policy(policy, self.site)))

    def up(self, name: str, count: int) -> None:
        spec = grid_spec(name, count)
        spec = msgspec.structs.replace(spec, placement=PlacementSpec(sites=(HOST,)))
        order = self.world.admins[GUEST].up(spec, self.world.now_s)
        asked = next(peer for peer in self.world.peers if peer.site == GUEST)
        self.world.give(asked, order)

    def used(self, peer: SimPeer) -> Amounts:
        there = peer.node is not None
        return amounts(node(peer).host._spending.used(self.key)) if there else NONE

    def limit(self, peer: SimPeer) -> Amounts:
        own = node(peer).host.allotting._own if peer.node is not None else None
        return own.limit(self.key) if own is not None else NONE

    @property
    def workspaces(self) -> int:
        return sum(self.used(peer).workspaces for peer in self.hosts)

    @property
    def limits(self) -> int:
        return sum(self.limit(peer).workspaces for peer in self.hosts)


def node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node
