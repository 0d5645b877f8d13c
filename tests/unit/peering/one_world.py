"""Nodes that speak at once with each other, and one key with two of them: as the transport would have it.

A peer has one connection with a key. A process that connects takes it from the other, which connects again
after a while, as the dialler's back-off has it.
"""

import heapq
from random import Random

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.membership.messages import Contact
from protocol.node.events import Arrived, Connected, Disconnected, Event, Started, Ticked
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.node.status_rows import StatusRow
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Dial, HangUp, Note, Send
from protocol.terms.ids import PeerId
from protocol.trust.identity import Identity

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 10_000_000)
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)
NAME = "uc-3"
LATENCY_S, AGAIN_S = 0.01, 7.0


class Peer:
    """One process."""

    def __init__(self, world: "World", name: str, address: str, joins: tuple[Contact, ...]) -> None:
        signer = FED.host("s1", name)
        identity = Identity(
            signer=signer,
            verifier=SimVerifier(),
            sealer=SimSealer(signer.key),
            chain=FED.host_chain("s1", name),
            federation=FED.key,
            name=name,
            site="s1",
            address=address,
        )
        self.name, self.key, self.world = name, PeerId(signer.key), world
        self.node = Node(identity, FACTS, (), joins, {}, Random(address), world.now)
        self.up: dict[PeerId, Peer] = {}
        self.dialled: dict[PeerId, None] = {}
        self.story: list[tuple[float, Note]] = []
        self.ended = False

    @property
    def notes(self) -> list[tuple[str, str]]:
        return [(note.kind, note.detail) for _, note in self.story]

    @property
    def incarnation(self) -> int:
        return self.node.broadcast.incarnation

    def status(self) -> StatusRow:
        return PeerView(self.node).status(self.world.now)

    def health(self, other: "Peer") -> str:
        return str(self.node.membership.liveness.health(other.key))

    def feed(self, event: Event) -> None:
        if self.ended:
            return
        for effect in self.node.handle(event, self.world.now):
            match effect:
                case Send(peer=to, message=message) if to == self.key:
                    self.world.later(0.0, self, Arrived(to, message, ""))  # type: ignore[arg-type]
                case Send(peer=to, message=message) if to in self.up:
                    self.world.said += 1
                    far = self.up[to]
                    self.world.later(LATENCY_S, far, Arrived(self.key, message, ""), self)  # type: ignore[arg-type]
                case Dial(peer=to):
                    self.dialled[to] = None
                    self.world.dial(self, to)
                case HangUp(peer=to):
                    self.dialled.pop(to, None)
                    self.world.part(self, to)
                case Note():
                    self.story.append((self.world.now - NOW, effect))
                case _:
                    pass
        self.node.check()


class World:
    """Two processes of one key, and others."""

    def __init__(self, others: int) -> None:
        self.now, self.said, self._count = NOW, 0, 0
        self._queue: list[tuple[float, int, Peer, Event | None, Peer | None]] = []
        names = [f"other-{i}" for i in range(others)]
        keys = [PeerId(FED.host("s1", name).key) for name in names]
        joins = tuple(Contact(k, "", f"{n}:7000") for k, n in zip(keys, names, strict=True))
        self.others = [Peer(self, name, f"{name}:7000", joins[:1]) for name in names]
        self.twins: list[Peer] = []
        self.peers = [*self.others]
        for peer in self.others:
            peer.feed(Started())
        for at in "ab":
            self.run(1.0)
            twin = Peer(self, NAME, f"{NAME}-{at}:7000", joins[:1])
            self.twins.append(twin)
            self.peers.append(twin)
            twin.feed(Started())

    def later(
        self, after_s: float, peer: Peer, event: Event | None, by: Peer | None = None
    ) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + after_s, self._count, peer, event, by))

    def dial(self, peer: Peer, to: PeerId) -> None:
        """Connects to who has that key: of two that do, to the one whose turn it is."""
        found = [p for p in self.peers if p.key == to and not p.ended]
        if peer.ended or to in peer.up or peer.key == to or not found:
            return
        far = found[self._count % len(found)]
        self.part(far, peer.key, by_other=True)
        peer.up[to], far.up[peer.key] = far, peer
        self.later(LATENCY_S, peer, Connected(to))
        self.later(LATENCY_S, far, Connected(peer.key, True))

    def part(self, peer: Peer, to: PeerId, by_other: bool = False) -> None:
        """Ends a peer's connection with a key. Whoever dialled it, and still wants it, dials again."""
        far = peer.up.pop(to, None)
        if far is None:
            return
        if far.up.get(peer.key) is peer:
            del far.up[peer.key]
            self.later(LATENCY_S, far, Disconnected(peer.key, "it closed the connection"))
            self.later(AGAIN_S, far, None)
        if by_other:
            self.later(LATENCY_S, peer, Disconnected(to, "it was restarted"))

    def end(self, peer: Peer) -> None:
        peer.ended = True
        for to in list(peer.up):
            self.part(peer, to)

    def run(self, for_s: float) -> None:
        end_s = self.now + for_s
        while True:
            due = [
                (p.node.next_deadline().at_s, i) for i, p in enumerate(self.peers) if not p.ended
            ]
            at_s, number = min(due)
            if self._queue and self._queue[0][0] <= at_s:
                when, _, peer, event, by = heapq.heappop(self._queue)
                if when > end_s:
                    heapq.heappush(self._queue, (when, self._count, peer, event, by))
                    break
                self.now = max(self.now, when)
                if event is None:
                    for to in list(peer.dialled):
                        self.dial(peer, to)
                elif by is None or peer.up.get(by.key) is by:
                    peer.feed(event)
                continue
            if at_s > end_s:
                break
            self.now = max(self.now, at_s)
            self.peers[number].feed(Ticked())
        self.now = end_s
