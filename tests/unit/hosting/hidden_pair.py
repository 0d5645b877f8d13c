"""Two hosts behind NAT that share a sealed network, and others that lend what they can to such."""

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.grid.model import Encryption
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World

LENT_BYTES_S = 1_250_000
_FOUND_S = 20.0
"""How long peers take to find out that nobody can dial them, and to say so."""


class HiddenHosts:
    """`shop` is on the last two of `peers` hosts, each of a site of its own. The others have no room."""

    def __init__(self, seed: int, peers: int = 4) -> None:
        self.world = world = World(seed, peers, peers)
        *self.relays, self.one, self.other = sorted(world.peers, key=lambda peer: peer.site)
        for relay in self.relays:
            assert relay.facts is not None
            relay.facts = msgspec.structs.replace(
                relay.facts, capacity=Quantum(), relay_bytes_s=LENT_BYTES_S
            )
        for hidden in (self.one, self.other):
            outside = [peer.id for peer in world.peers if peer is not hidden]
            world.wires.hide([hidden.id], outside)
        world.start_all()
        world.run(_FOUND_S)
        order = world.admins[self.one.site].up(
            grid_spec("shop", encryption=Encryption.REQUIRED), world.now_s
        )
        world.give(self.one, order)

    def relay(self) -> SimPeer | None:
        """Who passes on between the two, as both ends have it and its forwarder does; None if nobody does."""
        if self.one.node is None or self.other.node is None:
            return None
        found = self.one.node.tunnel_partners.paths.relay(self.other.id)
        if found != self.other.node.tunnel_partners.paths.relay(self.one.id) or found is None:
            return None
        relay = self.world.by_id[found]
        pairs = relay.sealed.pairs if relay.sealed is not None else ()
        ends = {self.one.id, self.other.id}
        return relay if any({pair.one, pair.other} == ends for pair in pairs) else None

    def hear(self) -> bool:
        """Whether probes of both come back, by the relay or without."""
        if self.one.node is None or self.other.node is None:
            return False
        ways = (
            self.one.node.tunnel_partners.paths.path(self.other.id),
            self.other.node.tunnel_partners.paths.path(self.one.id),
        )
        return all(way is not None and way.works for way in ways)
