"""A simulated federation with a sealed grid, and peers that carry nothing of it and want to its network."""

from msgspec.structs import replace

from protocol.grid.attached import AttachBody, Attached
from protocol.grid.model import Encryption
from protocol.grid.tunnel import TunnelEnd
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.requesting.visiting import VisitRow
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode


class AttachedWorld:
    """`shop` is on `carriers`, three of five hosts; the `laptop` and `mallory` carry nothing of it."""

    def __init__(
        self,
        seed: int = 5,
        encryption: Encryption = Encryption.REQUIRED,
        cidr: str = "10.42.0.0/24",
    ) -> None:
        self.world = world = World(seed, 5, 5)
        world.start_all()
        world.run(5.0)
        asked = world.peers[0]
        self.owner = asked.site
        spec = grid_spec("shop", 3, encryption=encryption)
        networks = tuple(replace(network, cidr=cidr) for network in spec.networks)
        self.spec = spec = replace(spec, networks=networks)
        world.give(asked, world.admins[self.owner].up(spec, world.now_s))
        world.run(15.0)
        self.carriers = [p for p in world.peers if p.node is not None and p.node.host.leases.rows()]
        assert len(self.carriers) == 3
        self.laptop, self.mallory = (p for p in world.peers if p not in self.carriers)
        (self.network,) = (network.name for network in networks)
        node = self.carriers[0].node
        assert node is not None
        self.record = node.host.leases.rows()[0].record
        self.grid = self.record.id

    def order(self, peer: SimPeer, site: str = "", network: str = "") -> SignedOrder:
        """A fresh order to attach that peer, by the grid's owner unless another site is named."""
        admin = self.world.admins[site or self.owner]
        body = encode(AttachBody(network or self.network))
        return admin.order(Action.ATTACH, self.grid, self.world.now_s, body=body, via=peer.id)

    def attach(self, peer: SimPeer, order: SignedOrder | None = None, network: str = "") -> None:
        """Somebody there wants it."""
        hosts = tuple(carrier.id for carrier in self.carriers)
        network = network or self.network
        peer.feed(AttachGiven(self.grid, network, order or self.order(peer), hosts))

    def detach(self, peer: SimPeer) -> None:
        """Nobody there wants it any more."""
        peer.feed(AttachDropped(self.grid, self.network))

    def row(self, peer: SimPeer) -> VisitRow:
        """How that stands."""
        assert peer.node is not None
        (row,) = peer.node.tunnel_partners.visits.rows()
        return row

    def at(self, carrier: SimPeer) -> tuple[Attached, ...]:
        """Who is on the network, as a host has it."""
        assert carrier.node is not None
        return carrier.node.host.leases.rows()[0].attached

    def everywhere(self) -> list[tuple[Attached, ...]]:
        """The same of all hosts."""
        return [self.at(carrier) for carrier in self.carriers]

    def end_of(self, peer: SimPeer) -> TunnelEnd | None:
        """Where a peer takes sealed traffic."""
        assert peer.node is not None
        return peer.node.host.tunnel
