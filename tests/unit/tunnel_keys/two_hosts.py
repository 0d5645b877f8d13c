"""Two hosts with a forwarder each, a wire between them that the test holds in its hands, and a clock."""

from collections.abc import Callable

import msgspec

from protocol.grid.tunnel import TunnelEnd
from protocol.sim.keys import SimExchange, SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Effect, Sealed, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import Cipher, SealedPeer, SealedSession
from protocol.trust.identity import Identity
from protocol.trust.signing import Untrusted
from protocol.tunnel_keys.keys import TunnelKeys
from protocol.tunnel_keys.messages import TunnelKeysMessage

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 10_000_000)
AES, CHACHA = Cipher.AES_256_GCM, Cipher.CHACHA20_POLY1305
BOTH = (AES, CHACHA)


def identity(name: str, federation: SimFederation = FED) -> Identity:
    signer = federation.host("s1", name)
    return Identity(
        signer=signer,
        verifier=SimVerifier(),
        sealer=SimSealer(signer.key),
        chain=federation.host_chain("s1", name),
        federation=federation.key,
        name=name,
        site="s1",
        address=f"{name}:7000",
        exchange=SimExchange(name),
    )


NAMES = sorted(("h1", "h2", "h3"), key=lambda name: FED.host("s1", name).key)
"""The first has the least key, so it begins with each of the others."""


class End:
    """One host."""

    def __init__(self, name: str, life: int = 1, who: Identity | None = None) -> None:
        self.identity = who or identity(name)
        self.id: PeerId = self.identity.peer
        self.life, self.counts = life, dict[str, int]()
        self.out: list[tuple[PeerId, TunnelKeysMessage]] = []
        self.tables: list[Sealed] = []
        self.keys = TunnelKeys(self.identity, lambda: self.life, self._count)

    def _count(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def does(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer=peer, message=message):
                    self.out.append((peer, message))  # type: ignore[arg-type]  # of these messages
                case Sealed():
                    self.tables.append(effect)
                case _:
                    raise AssertionError(effect)
        self.keys.check()

    def row(self, other: "End") -> SealedPeer:
        """What its forwarder was told last of the other."""
        return next(row for row in self.tables[-1].peers if row.peer == other.id)

    def sessions(self, other: "End") -> tuple[SealedSession, ...]:
        return self.row(other).sessions if self.tables else ()


END = TunnelEnd("192.0.2.1", 1450, 7700)


class Pair:
    """The beginner `a` and the answerer `b`."""

    def __init__(self, *, forwarders: bool = True) -> None:
        self.now = NOW
        self.a, self.b = End(NAMES[0]), End(NAMES[1])
        self.lose: Callable[[msgspec.Struct], bool] = lambda _: False
        if forwarders:
            for end in (self.a, self.b):
                end.does(end.keys.began("one", BOTH, self.now))
        self.meet()

    @property
    def both(self) -> tuple[End, End]:
        return self.a, self.b

    def meet(self) -> None:
        """Each learns that the other is its partner."""
        self.a.does(self.a.keys.among({self.b.id: END}, self.now))
        self.b.does(self.b.keys.among({self.a.id: END}, self.now))

    def carry(self) -> list[str]:
        """Carries messages until there are none. Answers their types."""
        said = []
        while self.a.out or self.b.out:
            for end, other in ((self.a, self.b), (self.b, self.a)):
                out, end.out = end.out, []
                for _, message in out:
                    said.append(type(message).__name__)
                    if not self.lose(message):
                        other.does(other.keys.handle(end.id, message, self.now))
        return said

    def wait(self, seconds: float) -> list[str]:
        """Lets time pass, deadline by deadline, and carries what is said."""
        until, said = self.now + seconds, self.carry()
        while True:
            due = [d.at_s for end in self.both if (d := end.keys.next_deadline()) is not None]
            if not due or min(due) > until:
                break
            self.now = max(self.now, *due[:0], min(due))
            for end in self.both:
                end.does(end.keys.tick(self.now))
            said += self.carry()
        self.now = until
        return said

    def match(self) -> bool:
        """Whether each sends by keys that the other opens by."""
        return opens(self.a, self.b) and opens(self.b, self.a)

    def again(self, end: End, *, life: bool) -> End:
        """The host's daemon, or only its forwarder, begins anew. Answers the host."""
        other = self.b if end is self.a else self.a
        if life:
            new = End("", end.life + 1, end.identity)
            new.does(new.keys.began(f"{end.life + 1}", BOTH, self.now))
            new.does(new.keys.among({other.id: END}, self.now))
            self.a, self.b = (new, self.b) if end is self.a else (self.a, new)
            return new
        end.does(end.keys.began(f"{end.keys.instance}+", BOTH, self.now))
        return end


def opens(sender: End, receiver: End) -> bool:
    """Whether the receiver's forwarder opens what the sender's seals now."""
    sent = sender.sessions(receiver)
    return bool(sent) and any(
        (s.index, s.peer_index, s.receive, s.cipher)
        == (sent[0].peer_index, sent[0].index, sent[0].send, sent[0].cipher)
        for s in receiver.sessions(sender)
    )


def refused(end: End, sender: PeerId, message: TunnelKeysMessage, now: float) -> str:
    """Why a message was held against its sender; empty if it was not."""
    try:
        end.does(end.keys.handle(sender, message, now))
    except Untrusted as error:
        return error.detail
    return ""
