"""What must hold at every step, and once it is quiet."""

from typing import TYPE_CHECKING

from protocol.terms.effects import Effect, Row
from protocol.terms.ids import RequestId

if TYPE_CHECKING:
    from protocol.sim.peer import SimPeer
    from protocol.sim.world import World


class Invariants:
    """Watches a world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.requests: dict[RequestId, tuple[SimPeer, int]] = {}

    def asked(self, peer: "SimPeer", request: RequestId) -> None:
        self.requests[request] = (peer, peer.life)

    def moved(self, peer: "SimPeer") -> None:
        assert peer.node is not None
        peer.node.check()

    def effects(self, peer: "SimPeer", effects: list[Effect]) -> None: ...

    def written(self, peer: "SimPeer", row: Row) -> None: ...
