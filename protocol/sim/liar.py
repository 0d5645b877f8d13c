"""A member that lies: valid certificates, an honest node underneath, and on top of it whatever malice can say.

It speaks only with peers that its node is connected with, as a real one could. It lies in many ways, one at a
time, often:

- it gives out others' records with another body, so that no signature fits, or with its own signature;
- it replays records that have been replaced since;
- it publishes, truly signed, that everybody is silent;
- it sends bytes: noise, and genuine frames with a few bits turned;
- it floods with well-formed messages;
- it says what is false and truly signed, about others, its site and itself, and far too much (lies.py);
- it says again what others said to each other about grids, as it was or with something changed (bending.py);
- it forges decisions, meddles in registers, holds and claims, orders what nobody needs, and answers falsely
  where it is asked as a host, a steward or a guard of names (false_statements.py).

Every second one is sly: it says so little that is plainly wrong that nobody hangs up on it.
"""

from collections.abc import Callable
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
from protocol.sim.bending import bent
from protocol.sim.environment import Environment
from protocol.sim.false_statements import FalseStatements
from protocol.sim.lies import Lies
from protocol.sim.overheard import Overheard
from protocol.sim.peer import SimPeer
from protocol.sim.people import Admin
from protocol.sim.wires import Wires
from protocol.terms.ids import PeerId
from protocol.terms.limits import SUSPICION_TTL_S
from protocol.trust.record import DOMAIN, SignedRecord
from protocol.wire.codec import Malformed, encode
from protocol.wire.envelope import pack, unpack

_EVERY_S, _SLY_EVERY_S = 0.5, 2.0
_BENT = 4
"""How many messages it bends at once."""
_FLOOD = 200
"""How many messages one burst to one peer has."""
_KEPT = 256
"""How many records it keeps to replay."""
_Way = Callable[[PeerId, list[PeerId]], None]
"""Lies to one peer, or to several of those near."""


class Liar:
    """Lies through one peer of the world."""

    def __init__(
        self,
        world: Environment,
        wires: Wires,
        peer: SimPeer,
        dice: Random,
        admin: Admin,
        overheard: Overheard,
    ) -> None:
        """`admin` is of a site without hosts, whose key the liar has."""
        self._world, self._wires, self._peer, self._dice = world, wires, peer, dice
        self._overheard = overheard
        self._sly = dice.random() < 0.5
        self._every_s = _SLY_EVERY_S if self._sly else _EVERY_S
        self._silent = True
        self._old: list[SignedRecord] = []
        signer = peer.identity.signer
        self._lies = Lies(signer, peer.site, dice)
        self._statements = FalseStatements(signer, peer.site, admin, overheard, dice)

    def begin(self) -> None:
        """Starts to lie."""
        self._silent = False
        self._world.after(self._dice.uniform(0.0, _EVERY_S), self._lie)

    def end(self) -> None:
        """Says only what its node says from now on."""
        self._silent = True

    def heard(self, sender: PeerId, message: Message) -> None:
        """It was told or asked something. Now and then its false answer is faster than its node's."""
        if self._silent or sender == self._peer.id or self._dice.random() < 0.5:
            return
        for lie in self._statements.at(self._peer.now_s).answer(message):
            self._world.faults_done["lie: answer"] += 1
            self._say(sender, lie)

    def _lie(self) -> None:
        if self._silent:
            return
        self._world.after(self._dice.uniform(0.5, 1.5) * self._every_s, self._lie)
        near = self._wires.up(self._peer)
        if self._peer.node is None or not near:
            return
        kind = self._dice.choice(self._ways())
        self._world.faults_done[f"lie: {kind.__name__[1:]}"] += 1
        kind(self._dice.choice(near), near)

    def _ways(self) -> "tuple[_Way, ...]":
        """In which it may lie now."""
        ways: tuple[_Way, ...] = (
            *(self._forge, self._replay, self._accuse, self._invent, self._summarise, self._boast),
            *(self._announce, self._move, self._order),
        )
        if self._overheard.any(self._dice) is not None:
            ways += (
                self._retell,
                self._bend,
                self._decree,
                self._contest,
                self._step,
                self._meddle,
            )
        return ways if self._sly else (*ways, self._garble, self._flood, self._fill)

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
            self._send(to, frame)

    def _send(self, to: PeerId, frame: bytes) -> None:
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

    def _announce(self, to: PeerId, near: list[PeerId]) -> None:
        assert self._peer.node is not None
        self._lies.announce(self._peer.node, self._peer.now_s)
        self._peer.feed(Ticked())

    def _move(self, to: PeerId, near: list[PeerId]) -> None:
        assert self._peer.node is not None
        self._lies.move(self._peer.node, self._peer.now_s, self._peer.identity.chain)
        self._peer.feed(Ticked())

    def _retell(self, to: PeerId, near: list[PeerId]) -> None:
        """Says to several what others said to one."""
        if (message := self._overheard.any(self._dice)) is not None:
            for peer in near:
                self._say(peer, message)

    def _bend(self, to: PeerId, near: list[PeerId]) -> None:
        """Says what others said, with something changed."""
        for _ in range(1 if self._sly else _BENT):
            if (message := self._overheard.any(self._dice)) is not None:
                self._send(to, bent(message, self._dice))

    def _decree(self, to: PeerId, near: list[PeerId]) -> None:
        self._some(to, self._statements.decree())

    def _contest(self, to: PeerId, near: list[PeerId]) -> None:
        self._some(to, self._statements.contest())

    def _step(self, to: PeerId, near: list[PeerId]) -> None:
        self._some(to, self._statements.at(self._peer.now_s).step())

    def _meddle(self, to: PeerId, near: list[PeerId]) -> None:
        self._some(to, self._statements.at(self._peer.now_s).meddle())

    def _order(self, to: PeerId, near: list[PeerId]) -> None:
        self._some(to, self._statements.at(self._peer.now_s).order(near))

    def _some(self, to: PeerId, lies: list[Message]) -> None:
        """Says one of them if it is sly, else all."""
        for lie in self._dice.sample(lies, 1) if self._sly and lies else lies:
            self._say(to, lie)
