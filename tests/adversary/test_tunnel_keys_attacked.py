"""Whoever says anything about keys: the keys of others stay theirs, and little is kept or done for it.

Mallory carries part of a sealed grid herself, so that she is a partner of both honest hosts, and says what she
likes with her own key. Eve is a member that carries nothing of it. Each attack is looked at again after the
attacked has begun anew.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import get_args

import msgspec
import pytest
from golden.vectors import tag_of
from hostile_values import arrived, hostile_frames

from protocol.grid.model import Encryption
from protocol.node.events import Arrived
from protocol.peering.quarantine import Quarantines
from protocol.sim.keys import SimPair
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.sealed import opens, sessions
from protocol.sim.world import World
from protocol.terms.effects import Effect, Persist, Sealed, Send
from protocol.tunnel_keys import answerer
from protocol.tunnel_keys.limits import OFFERS_BURST, OFFERS_PER_S, SESSIONS_MOST
from protocol.tunnel_keys.messages import (
    TunnelAnswer,
    TunnelAsk,
    TunnelConfirm,
    TunnelConfirmed,
    TunnelKeysMessage,
    TunnelOffer,
)
from protocol.tunnel_keys.transcript import Offered, digest_of, sign_offer
from protocol.wire.envelope import pack

KINDS = {tag_of(kind): kind for kind in get_args(TunnelKeysMessage)}
SETTLES_S = 45.0


class Scene:
    """`shop` is on three of four hosts: two honest ones and Mallory. Eve has heard what was said of keys."""

    def __init__(self, seed: int = 5) -> None:
        self.heard: list[tuple[SimPeer, Send]] = []
        self.world = world = World(seed, 4, 4)
        said = world.said

        def hear(peer: SimPeer, send: Send) -> None:
            if isinstance(send.message, TunnelKeysMessage):
                self.heard.append((peer, send))
            said(peer, send)

        world.said = hear  # type: ignore[method-assign]  # a listener, beside what it does
        world.start_all()
        world.run(5.0)
        asked = world.peers[0]
        spec = grid_spec("shop", 3, encryption=Encryption.REQUIRED)
        world.give(asked, world.admins[asked.site].up(spec, world.now_s))
        world.run(15.0)
        carriers = [p for p in world.peers if p.node is not None and p.node.host.leases.rows()]
        (self.eve,) = (p for p in world.peers if p not in carriers)
        # One honest host begins with the other, and Mallory's key is between or beside theirs.
        self.one, self.other, self.mallory = carriers
        assert self.are_theirs()

    @property
    def honest(self) -> tuple[SimPeer, SimPeer]:
        return self.one, self.other

    def are_theirs(self) -> bool:
        return opens(self.one, self.other) and opens(self.other, self.one)

    def tell(self, victim: SimPeer, sender: SimPeer, message: TunnelKeysMessage) -> None:
        """The victim hears that. The sender's faults so far are forgotten: there may be many like it."""
        self.hears(victim, arrived(sender.id, pack(message, "")))

    def hears(self, victim: SimPeer, event: object) -> None:
        node = victim.node
        assert node is not None
        fresh = Quarantines()
        fresh.counts = node.overlay.quarantines.counts
        vars(node.overlay.quarantines).update(vars(fresh))
        victim.feed(event)  # type: ignore[arg-type]  # an event, well-formed or not

    def unharmed(self) -> None:
        """The honest hosts have keys with each other, now and after either began anew, and Eve has none."""
        assert self.are_theirs()
        for again in ((), (self.one,), (self.other,), self.honest):
            for victim in again:
                victim.crash()
                self.world.run(0.5)
                victim.start()
            self.world.run(SETTLES_S)
            assert self.are_theirs()
            for victim in self.honest:
                assert victim.node is not None
                victim.node.check()
                assert not sessions(victim, self.eve)
                assert len(sessions(victim, self.mallory)) <= SESSIONS_MOST


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("who", ["eve", "mallory"])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_shape_of_a_message_takes_keys_from_others(name: str, who: str, scene: Scene) -> None:
    sender, kind = getattr(scene, who), KINDS[name]
    keys = [sessions(scene.one, scene.other), sessions(scene.other, scene.one)]
    for victim in scene.honest:
        for frame in hostile_frames(kind, lambda _hint, _name: [], Random(7)):
            scene.hears(victim, arrived(sender.id, frame))
    assert [sessions(scene.one, scene.other), sessions(scene.other, scene.one)] == keys
    scene.unharmed()


@pytest.mark.parametrize("who", ["eve", "mallory"])
def test_what_others_said_to_each_other_is_of_no_use_to_who_says_it_again(
    who: str, scene: Scene
) -> None:
    sender = getattr(scene, who)
    scene.world.run(130.0)
    overheard = [send.message for peer, send in scene.heard if peer is not sender]
    assert {type(message) for message in overheard} >= {TunnelOffer, TunnelAnswer, TunnelConfirm}
    keys = [sessions(scene.one, scene.other), sessions(scene.other, scene.one)]
    for victim in scene.honest:
        for message in (*overheard, *reversed(overheard)):
            scene.tell(victim, sender, message)  # type: ignore[arg-type]  # of these messages
    assert [sessions(scene.one, scene.other), sessions(scene.other, scene.one)] == keys
    scene.unharmed()


def test_what_a_partner_said_in_an_earlier_life_does_not_come_back(scene: Scene) -> None:
    """As it does where a frame was long under way: its sender is the one that it is of."""
    one, other = sorted(scene.honest, key=lambda peer: peer.id)
    offers = [s.message for peer, s in scene.heard if peer is one and s.peer == other.id]
    one.crash()
    one.start()
    scene.world.run(SETTLES_S)
    before = sessions(other, one)
    for message in offers:
        scene.tell(other, one, message)  # type: ignore[arg-type]  # of these messages
    assert sessions(other, one) == before
    scene.unharmed()


def many(signer: SimPeer, to: SimPeer, count: int) -> Iterator[TunnelOffer]:
    """New and truly signed offers, as many as there is time for."""
    for number in range(count):
        said = Offered(
            signer.identity.federation,
            signer.id,
            to.id,
            1 << 50,
            number,
            1 + number,
            SimPair(1 + number).public,
            ("aes-256-gcm",),
        )
        yield sign_offer(said, signer.identity.signer)


def lesser(scene: Scene) -> tuple[SimPeer, SimPeer]:
    """A partner, played by its worst self, and one with a greater key, which answers it."""
    first, second, _ = sorted((*scene.honest, scene.mallory), key=lambda peer: peer.id)
    return first, second


def test_a_flood_of_true_offers_makes_few_keys_and_writes_nothing(scene: Scene) -> None:
    attacker, victim = lesser(scene)
    tables = told(victim)
    for message in many(attacker, victim, 300):
        scene.tell(victim, attacker, message)
    assert len(tables) <= OFFERS_BURST
    assert len(sessions(victim, attacker)) <= SESSIONS_MOST
    others = [p for p in (*scene.honest, scene.mallory) if p not in (attacker, victim)]
    assert all(opens(victim, p) and opens(p, victim) for p in others)
    attacker.crash()
    attacker.start()
    victim.crash()
    victim.start()
    scene.world.run(SETTLES_S)
    assert opens(attacker, victim)


def told(peer: SimPeer) -> list[Sealed]:
    """The tables that a peer's forwarder is told from now on. Nothing may be written meanwhile."""
    tables: list[Sealed] = []
    node = peer.node
    assert node is not None
    handle: Callable[..., list[Effect]] = node.handle

    def watched(*arguments: object) -> list[Effect]:
        effects = handle(*arguments)
        assert not [e for e in effects if isinstance(e, Persist)]
        tables.extend(e for e in effects if isinstance(e, Sealed))
        return effects

    node.handle = watched  # type: ignore[method-assign]  # a listener, beside what it does
    return tables


def test_a_flood_of_asks_makes_one_offer_and_no_key_ends(scene: Scene) -> None:
    victim, attacker = lesser(scene)
    node = victim.node
    assert node is not None
    scene.world.run(10.0)
    keys = sessions(victim, attacker)
    offers = len([1 for peer, s in scene.heard if peer is victim and s.peer == attacker.id])
    for number in range(1000):
        scene.tell(victim, attacker, TunnelAsk(1 << 50, number))
    made = [s for peer, s in scene.heard if peer is victim and s.peer == attacker.id][offers:]
    assert len(made) <= 2
    assert sessions(victim, attacker)[-len(keys) :] == keys
    scene.unharmed()


def test_asking_again_after_each_answer_makes_few_keys(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forwarder remembers ended sessions for ten minutes, and takes no table with more than it can hold."""
    victim, attacker = lesser(scene)
    monkeypatch.setattr(answerer, "OFFERS_BURST", 1000)  # of one that answers everything
    attacker.crash()
    attacker.start()
    scene.world.run(SETTLES_S)
    monkeypatch.undo()
    scene.heard.clear()
    for number in range(100):
        scene.tell(victim, attacker, TunnelAsk(1 << 50, number))
        scene.world.run(1.0)
    made = {
        send.message.answer
        for peer, send in scene.heard
        if (peer, send.peer) == (victim, attacker.id) and isinstance(send.message, TunnelConfirm)
    }
    assert 2 <= len(made) <= 1 + OFFERS_BURST + 100 * OFFERS_PER_S
    scene.unharmed()


def test_confirming_what_was_never_answered_ends_no_keys(scene: Scene) -> None:
    for victim in scene.honest:
        for sender in (scene.mallory, scene.eve):
            before = sessions(victim, sender)
            for digest in (bytes(32), digest_of(b"")):
                scene.tell(victim, sender, TunnelConfirm(digest))
                scene.tell(victim, sender, TunnelConfirmed(digest))
            assert sessions(victim, sender)[: len(before)] == before
    scene.unharmed()


def test_a_peer_that_says_it_to_itself_has_no_keys_with_itself(scene: Scene) -> None:
    for victim in scene.honest:
        before = victim.sealed
        for message in many(victim, victim, 3):
            victim.feed(Arrived(victim.id, message, ""))
        assert victim.sealed == before
    scene.unharmed()


def test_an_offer_of_a_partner_passes_for_nobody_elses(scene: Scene) -> None:
    """Mallory signs an offer that names the other honest host."""
    for victim, friend in (scene.honest, scene.honest[::-1]):
        keys = sessions(victim, friend)
        for message in many(friend, victim, 2):
            forged = msgspec.structs.replace(
                message,
                signature=scene.mallory.identity.signer.sign("tunnel-offer", message.payload),
            )
            for sender in (scene.mallory, scene.eve, friend):
                scene.tell(victim, sender, forged)
        assert sessions(victim, friend) == keys
    scene.unharmed()
