"""A member that lies: valid certificates, an honest node underneath, and on top of it whatever malice can say.

It speaks only with peers that its node is connected with, as a real one could. It lies in many ways, one at a
time, often:

- it gives out others' records with another body, so that no signature fits, or with its own signature;
- it replays records that have been replaced since;
- it publishes, truly signed, that everybody is silent;
- it sends bytes: noise, and genuine frames with a few bits turned;
- it floods with well-formed messages;
- it says what is false and truly signed, about others, its site and itself, and far too much (lies.py).
"""

from random import Random

import msgspec

from protocol.broadcast.messages import (
    Announce,
    Compare,
    Gossip,
    Records,
    Root,
    Version,
    Want,
    version_of,
)
from protocol.membership.messages import Suspicion
from protocol.node.events import Arrived, Garbled, Ticked
from protocol.node.messages import Message
from protocol.sim.environment import Environment
from protocol.sim.lies import Lies
from protocol.sim.peer import SimPeer
from protocol.sim.wires import Wires
from protocol.terms.ids import PeerId
from protocol.terms.limits import SUSPICION_TTL_S
from protocol.trust.record import DOMAIN, SignedRecord
from protocol.wire.codec import Malformed, encode
from protocol.wire.envelope import pack, unpack

_EVERY_S = 0.5
_FLOOD = 200
"""How many messages one burst to one peer has."""
_KEPT = 256
"""How many records it keeps to replay."""


class Liar:
    """Lies through one peer of the world."""

    def __init__(self, world: Environment, wires: Wires, peer: SimPeer, dice: Random) -> None:
        self._world, self._wires, self._peer, self._dice = world, wires, peer, dice
        self._silent = True
        self._old: list[SignedRecord] = []
        self._lies = Lies(peer.identity.signer, peer.site, dice)

    def begin(self) -> None:
        """Starts to lie."""
        self._silent = False
        self._world.after(self._dice.uniform(0.0, _EVERY_S), self._lie)

    def end(self) -> None:
        """Says only what its node says from now on."""
        self._silent = True

    def _lie(self) -> None:
        if self._silent:
            return
        self._world.after(self._dice.uniform(0.5, 1.5) * _EVERY_S, self._lie)
        near = self._wires.up(self._peer)
        if self._peer.node is None or not near:
            return
        kinds = (
            self._forge,
            self._replay,
            self._accuse,
            self._garble,
            self._flood,
            self._invent,
            self._summarise,
            self._boast,
            self._fill,
        )
        kind = self._dice.choice(kinds)
        self._world.faults_done[f"lie: {kind.__name__[1:]}"] += 1
        kind(self._dice.choice(near), near)

    def _say(self, to: PeerId, message: Message) -> None:
        self._wires.carry(self._peer, to, Arrived(self._peer.id, message, ""))

    def _records(self) -> list[SignedRecord]:
        """What its directory has now. The liar also keeps that for later."""
        assert self._peer.node is not None
        directory = self._peer.node.broadcast.directory
        held = [h.signed for kind in ("presence", "advert") for h in directory.of_kind(kind)]
        self._old = (self._old + self._dice.sample(held, min(8, len(held))))[-_KEPT:]
        return held

    def _forge(self, to: PeerId, near: list[PeerId]) -> None:
        """Sends a newer record of somebody else, signed by the liar or with the old signature."""
        assert self._peer.node is not None
        directory = self._peer.node.broadcast.directory
        held = self._dice.choice(directory.of_kind("presence"))
        newer = msgspec.structs.replace(
            held.record,
            incarnation=held.record.incarnation + self._dice.randint(0, 3),
            sequence=999,
        )
        payload = encode(newer)
        signature = held.signed.signature
        if self._dice.random() < 0.5:
            signature = self._peer.identity.signer.sign(DOMAIN, payload)
        forged = SignedRecord(payload, signature)
        self._say(to, Gossip((forged,)) if self._dice.random() < 0.5 else Records((forged,)))

    def _replay(self, to: PeerId, near: list[PeerId]) -> None:
        """Sends old records, as they were signed."""
        self._records()
        self._say(to, Records(tuple(self._dice.sample(self._old, min(16, len(self._old))))))

    def _accuse(self, to: PeerId, near: list[PeerId]) -> None:
        """Publishes under its own key that everybody is silent, each in their incarnation."""
        node = self._peer.node
        assert node is not None
        for other in list(node.membership.known):
            suspicion = Suspicion(other, node.membership.liveness.incarnation(other))
            node.broadcast.publish(
                "suspicion", other, encode(suspicion), SUSPICION_TTL_S, self._peer.now_s
            )
        self._peer.feed(Ticked())

    def _garble(self, to: PeerId, near: list[PeerId]) -> None:
        """Sends bytes: noise, or a genuine frame with some of it changed."""
        for _ in range(8):
            if self._dice.random() < 0.5:
                frame = self._dice.randbytes(self._dice.randint(0, 200))
            else:
                genuine = bytearray(pack(Gossip((self._dice.choice(self._records()),)), ""))
                for _ in range(self._dice.randint(1, 4)):
                    genuine[self._dice.randrange(len(genuine))] ^= 1 << self._dice.randrange(8)
                frame = bytes(genuine)
            try:
                cause, message = unpack(frame, Message)
            except Malformed as error:
                self._wires.carry(self._peer, to, Garbled(self._peer.id, error.reason))
            else:
                self._wires.carry(self._peer, to, Arrived(self._peer.id, message, cause))

    def _flood(self, to: PeerId, near: list[PeerId]) -> None:
        """Sends what is well-formed, allowed, and far too much."""
        assert self._peer.node is not None
        directory = self._peer.node.broadcast.directory
        versions = tuple(version_of(h.record) for h in directory.of_kind("presence"))[:64]
        made_up = tuple(
            Version(v.owner, "advert", f"x{self._dice.randrange(1 << 30)}", 1, 1) for v in versions
        )
        compare = Compare((Root("", self._dice.getrandbits(60)),), True)
        for _ in range(_FLOOD):
            self._say(to, self._dice.choice((Announce(made_up), compare, Want(versions))))

    def _invent(self, to: PeerId, near: list[PeerId]) -> None:
        assert self._peer.node is not None
        self._lies.invent(self._peer.node, self._peer.now_s)
        self._peer.feed(Ticked())

    def _summarise(self, to: PeerId, near: list[PeerId]) -> None:
        assert self._peer.node is not None
        self._lies.summarise(self._peer.node, self._peer.now_s)
        self._peer.feed(Ticked())

    def _boast(self, to: PeerId, near: list[PeerId]) -> None:
        assert self._peer.node is not None
        self._lies.boast(self._peer.node, self._peer.now_s)
        self._peer.feed(Ticked())

    def _fill(self, to: PeerId, near: list[PeerId]) -> None:
        assert self._peer.node is not None
        self._say(to, self._lies.fill(self._peer.node, self._peer.now_s))
