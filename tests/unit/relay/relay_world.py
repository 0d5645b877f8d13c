"""Peers for the tests of relays. A test says what is around each."""

from random import Random

from protocol.relay.choice import Way
from protocol.relay.messages import Relayed
from protocol.relay.outcomes import Locator
from protocol.relay.paths import Paths
from protocol.sim.keys import SimSealer, SimSigner
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.reach import Reach

NOW = 1_000_000.0


def peer_id(name: str) -> PeerId:
    """The key that a name stands for."""
    return PeerId(SimSigner(name).key)


A, B, R1, R2, R3 = (peer_id(name) for name in ("a", "b", "r1", "r2", "r3"))
ME, YOU = (A, B) if A < B else (B, A)
"""The lesser key first, whose Opening goes on when both ask at once."""


class Surroundings:
    """An Around."""

    def __init__(self) -> None:
        self.connected: list[PeerId] = []
        self.dialling: list[PeerId] = []
        self.known: dict[PeerId, Locator] = {}
        self.called: list[PeerId] = []

    def tell(
        self,
        peer: PeerId,
        reach: Reach = Reach.PUBLIC,
        *via: PeerId,
        site: str = "s",
        at: str = "x:1",
    ) -> None:
        """A peer's presence."""
        self.known[peer] = Locator(site, at, reach, via)

    def direct(self) -> list[PeerId]:
        return list(self.connected)

    def is_direct(self, peer: PeerId) -> bool:
        return peer in self.connected

    def is_dialled(self, peer: PeerId) -> bool:
        return peer in self.dialling

    def told(self, peer: PeerId) -> Locator | None:
        return self.known.get(peer)

    def call(self, peer: PeerId, now: float) -> list[Effect]:
        self.called.append(peer)
        return []


class End:
    """One end of paths, with the relays it may use."""

    def __init__(self, me: PeerId, relays: tuple[PeerId, ...], seed: int = 1) -> None:
        self.me, self.relays = me, list(relays)
        self.paths = Paths(me, SimSealer(me), Random(seed), self.ways)  # type: ignore[arg-type]

    def ways(self, peer: PeerId) -> list[Way]:
        return [Way(relay, 1) for relay in self.relays]


def boxes(effects: list[Effect]) -> list[tuple[PeerId, Relayed]]:
    """What goes to which relay."""
    return [
        (effect.peer, effect.message)
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, Relayed)
    ]
