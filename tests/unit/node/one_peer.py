"""One peer by itself, or with another that introduced itself to it: these tests begin with one or the other."""

from collections.abc import Callable
from random import Random

import msgspec

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.membership.messages import Contact, Hello, Presence, greeting
from protocol.node.events import Arrived, Connected, Event, Started, Ticked
from protocol.node.node import Node, Rows
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.sim.people import IMAGE, Admin
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import Digest, PeerId
from protocol.trust.identity import Identity
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 10_000_000)
ADMIN = Admin(FED, "s1", Random(1), lambda: (PeerId(FED.host("s1", "h1").key),))
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)


def identity(name: str, federation: SimFederation = FED, site: str = "s1") -> Identity:
    return Identity(
        signer=federation.host(site, name),
        verifier=SimVerifier(),
        sealer=SimSealer(federation.host(site, name).key),
        chain=federation.host_chain(site, name),
        federation=federation.key,
        name=name,
        site=site,
        address=f"{name}:7000",
    )


def node(name: str = "h1", rows: Rows | None = None, joins: tuple[Contact, ...] = ()) -> Node:
    images = (ImageLabel(IMAGE.name, Digest(IMAGE.digest), 1),)
    return Node(identity(name), FACTS, images, joins, rows or {}, Random(1), NOW)


def hello(of: Identity, incarnation: int = 1) -> Hello:
    presence = Presence(of.chain, of.address)
    record = Record(of.signer.key, "presence", "", incarnation, 1, encode(presence), 86400.0)
    record = msgspec.structs.replace(record, scope=of.site)
    return greeting(sign_record(record, of.signer))


OTHER = identity("h2")
YOU = OTHER.peer


def started(rows: Rows | None = None) -> Node:
    peer = node(rows=rows)
    peer.handle(Started(), NOW)
    return peer


def friends() -> Node:
    """A node with one peer that has introduced itself."""
    peer = started()
    peer.handle(Connected(YOU), NOW)
    peer.handle(Arrived(YOU, hello(OTHER), ""), NOW)
    peer.check()
    return peer


def sends(effects: list[Effect], to: PeerId = YOU) -> list[str]:
    return [type(e.message).__name__ for e in effects if isinstance(e, Send) and e.peer == to]


class Alone:
    """A peer that plays every role by itself. What it sends to itself arrives, unless a test loses it."""

    def __init__(self, peer: Node) -> None:
        self.peer, self.now = peer, NOW
        self.lost: tuple[type, ...] = ()

    def feed(self, event: Event) -> list[Effect]:
        """Gives it an event, and then what it says to itself. Answers all effects."""
        waiting: list[Event] = [event]
        effects: list[Effect] = []
        while waiting:
            for effect in self.peer.handle(waiting.pop(0), self.now):
                effects.append(effect)
                if not isinstance(effect, Send) or effect.peer != self.peer.me:
                    continue
                if not isinstance(effect.message, self.lost):
                    waiting.append(Arrived(self.peer.me, effect.message, effect.cause))  # type: ignore[arg-type]  # of Message
            self.peer.check()
        return effects

    def until(self, found: Callable[[], bool], within_s: float) -> None:
        """Lets time pass until `found`, which must come in time."""
        end_s = self.now + within_s
        while not found():
            self.now = max(self.now, self.peer.next_deadline().at_s)
            assert self.now <= end_s, "not in time"
            self.feed(Ticked())
