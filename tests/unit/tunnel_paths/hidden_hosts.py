"""Hosts whose paths, and what they lend, are played in memory. Messages arrive at once, keys are there."""

from random import Random

from protocol.terms.effects import Effect, Probing, Sealed, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import (
    Cipher,
    SealedPeer,
    SealedSession,
    Secret,
    TunnelAnswer,
    TunnelPlace,
    TunnelProbe,
)
from protocol.tunnel_paths.lending import Lending
from protocol.tunnel_paths.messages import (
    TunnelPathsMessage,
    TunnelRelayAsk,
)
from protocol.tunnel_paths.paths import TunnelPaths

NOW = 1_000_000.0
A, B, R, S = (PeerId(letter * 64) for letter in "abrs")
RATE = 1_000_000.0


def place(peer: PeerId, port: int = 7700) -> TunnelPlace:
    """Where a host says that it is."""
    return TunnelPlace(f"10.0.0.{ord(peer[0])}", port)


def row(peer: PeerId, *indexes: int) -> SealedPeer:
    sessions = tuple(
        SealedSession(i, i, Secret(b"s" * 32), Secret(b"r" * 32), NOW, Cipher.AES_256_GCM)
        for i in indexes
    )
    return SealedPeer(peer, place(peer).address, place(peer).port, sessions)


class Host:
    """One of them. `tables` has what its forwarder is told of ways."""

    def __init__(self, world: "Hidden", me: PeerId) -> None:
        self.world, self.me = world, me
        self.paths = TunnelPaths(me, Random(ord(me[0])), self)
        self.lending = Lending(me, lambda: world.rates.get(me, 0.0))
        self.sent: list[tuple[PeerId, TunnelPathsMessage]] = []
        self.probed: list[tuple[float, TunnelProbe]] = []

    def are_hidden(self, peer: PeerId) -> bool:
        return {self.me, peer} <= self.world.hidden

    def relays(self, peer: PeerId) -> list[PeerId]:
        return [r for r in (R, S) if r not in (self.me, peer) and r in self.world.rates]

    def place(self, peer: PeerId) -> TunnelPlace | None:
        return place(peer)

    def may_be_at(self, _place: TunnelPlace) -> bool:
        return True

    def life(self, peer: PeerId) -> int:
        return self.world.lives.get(peer, 1)

    def way(self, peer: PeerId) -> tuple[TunnelPlace, int]:
        """Where what is sealed for that partner goes, and for which pair."""
        (routed,) = self.paths.routed((row(peer, 1),))
        return TunnelPlace(routed.address, routed.port), routed.pair

    def does(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer=to, message=message):
                    self.sent.append((to, message))  # type: ignore[arg-type]  # of these messages
                    self.world.deliver(self.me, to, message)  # type: ignore[arg-type]
                case Probing(probes=probes):
                    self.probed += [(self.world.now, probe) for probe in probes]
                    self.world.probe(self, probes)

    def hears(self, sender: PeerId, message: TunnelPathsMessage) -> None:
        if isinstance(message, TunnelRelayAsk):
            self.does(self.lending.asked(sender, message, self.world.now))
        else:
            self.does(self.paths.handle(sender, message, self.world.now))


class Hidden:
    """A and B share a network; R and S may lend. `open` has pairs between which UDP passes directly."""

    def __init__(self, hidden: str = "ab", rates: str = "rs") -> None:
        self.now = NOW
        self.hidden = {PeerId(letter * 64) for letter in hidden}
        self.rates = {PeerId(letter * 64): RATE for letter in rates}
        self.lives: dict[PeerId, int] = {}
        self.shut: set[frozenset[PeerId]] = {frozenset((A, B))}
        self.outside: dict[PeerId, TunnelPlace] = {}
        """Where hosts are seen from outside; probes there come back."""
        self.deaf: set[PeerId] = set()
        """Who hears nothing, and answers nothing."""
        self.hosts = {peer: Host(self, peer) for peer in (A, B, R, S)}
        for one, other in ((A, B), (B, A)):
            host = self.hosts[one]
            host.paths.among((other,), self.now)
            host.paths.told(Sealed("one", (row(other, 1), row(R, 2), row(S, 3))), {}, self.now)

    @property
    def a(self) -> Host:
        return self.hosts[A]

    @property
    def b(self) -> Host:
        return self.hosts[B]

    def deliver(self, sender: PeerId, to: PeerId, message: TunnelPathsMessage) -> None:
        if to not in self.deaf and to in self.hosts:
            self.hosts[to].hears(sender, message)

    def probe(self, host: Host, probes: tuple[TunnelProbe, ...]) -> None:
        for probe in probes:
            if self._comes_back(host.me, probe):
                seen = self.outside.get(host.me, place(host.me))
                to = probe.place or place(probe.peer)
                given = TunnelAnswer(probe.peer, probe.number, 0.02, to, seen)
                host.does(host.paths.answered("one", (given,), self.now + 0.02))

    def _comes_back(self, me: PeerId, probe: TunnelProbe) -> bool:
        if probe.peer in self.deaf:
            return False
        if probe.pair:
            relay = next(p for p in (R, S) if place(p) == probe.place)
            ends = {me, probe.peer}
            pairs = self.hosts[relay].lending.pairs() if relay not in self.deaf else ()
            return any(p.number == probe.pair and {p.one, p.other} == ends for p in pairs)
        if frozenset((me, probe.peer)) not in self.shut:
            return True
        return probe.place is not None and probe.place == self.outside.get(probe.peer)

    def run(self, seconds: float) -> None:
        end_s = self.now + seconds
        while True:
            due = [d.at_s for h in self.hosts.values() if (d := h.paths.next_deadline())]
            lent = [h.lending.next_s() for h in self.hosts.values()]
            if min(*due, *lent) > end_s:
                break
            self.now = max(self.now, min(*due, *lent))
            for host in self.hosts.values():
                host.lending.tick(self.now)
                host.does(host.paths.tick(self.now))
                host.paths.check()
                host.lending.check()
        self.now = end_s
