"""Forwarders of hosts that share sealed networks have keys with each other, whatever happens. No others do."""

import pytest

from protocol.grid.model import Encryption
from protocol.node.events import RecordGiven
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.sealed import opens, sealed_pairs, sessions, unmatched
from protocol.sim.world import World
from protocol.trust.certificate import read_certificate
from protocol.trust.order import Action
from protocol.trust.revocation import revoke
from protocol.tunnel_keys.limits import REKEY_S, RETIRED_S, SESSION_S

SOON_S = 15.0


class Sealed:
    """`shop` has two workspaces on two of five hosts, `bank` as many, and its network is plain."""

    def __init__(self, seed: int, encryption: Encryption = Encryption.REQUIRED) -> None:
        self.world = world = World(seed, 5, 2)
        world.start_all()
        world.run(5.0)
        self.asked = world.peers[0]
        self.admin = world.admins[self.asked.site]
        for spec in (
            grid_spec("shop", encryption=encryption),
            grid_spec("bank", encryption=Encryption.NONE),
        ):
            world.give(self.asked, self.admin.up(spec, world.now_s))
            world.run(10.0)
        (record,) = (r for r in newest_records(world) if r.name == "shop")
        self.pair = [world.by_id[peer] for peer in record.carriers()]
        self.others = [peer for peer in world.peers if peer not in self.pair]

    def is_right(self) -> bool:
        peers = [peer for peer in self.world.peers if peer.up]
        return next(unmatched(peers, newest_records(self.world)), None) is None

    def soon(self, within_s: float = SOON_S) -> bool:
        return self.world.run_until(self.is_right, within_s, 0.1)


def index(one: SimPeer, other: SimPeer) -> int:
    return sessions(one, other)[0].index


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hosts_of_a_sealed_network_have_matching_keys_and_nobody_else_has_any(seed: int) -> None:
    scene = Sealed(seed)
    one, other = scene.pair
    assert scene.is_right()
    assert opens(one, other)
    assert len(sealed_pairs(newest_records(scene.world))) == 1
    for peer in scene.others:
        assert not any(sessions(peer, each) for each in scene.world.peers)
        assert peer.sealed is not None
        assert peer.sealed.peers == ()


def test_hosts_of_a_plain_network_have_no_keys() -> None:
    scene = Sealed(1, Encryption.NONE)
    assert not any(sessions(a, b) for a in scene.world.peers for b in scene.world.peers)


def test_keys_are_replaced_and_the_old_ones_end() -> None:
    scene = Sealed(1)
    one, other = scene.pair
    before = index(one, other)
    scene.world.run(REKEY_S + RETIRED_S + 5.0)
    assert scene.is_right()
    assert index(one, other) != before
    assert len(sessions(one, other)) == len(sessions(other, one)) == 1


@pytest.mark.parametrize("which", [[0], [1], [0, 1]], ids=["first", "second", "both"])
@pytest.mark.parametrize("what", ["daemon", "forwarder", "host"])
def test_whatever_begins_anew_has_new_keys_soon(which: list[int], what: str) -> None:
    scene = Sealed(2)
    one, other = scene.pair
    before = index(one, other)
    for peer in (scene.pair[number] for number in which):
        if what == "forwarder":
            peer.forwards(anew=True)
        else:
            peer.crash(silently=what == "host")
            scene.world.run(0.5)
            peer.start()
    scene.world.run(0.2)
    assert scene.soon(40.0)
    assert index(one, other) != before


def test_two_hosts_that_are_apart_keep_their_keys_for_a_while_and_have_new_ones_after() -> None:
    scene = Sealed(3)
    one, other = scene.pair
    rest = [peer.id for peer in scene.world.peers if peer is not one]
    scene.world.wires.cut([one.id], rest)
    scene.world.run(SESSION_S / 2)
    assert opens(one, other)
    scene.world.run(SESSION_S / 2 + 5.0)
    assert sessions(one, other) == sessions(other, one) == ()
    scene.world.wires.heal()
    assert scene.soon(200.0)
    assert opens(one, other)


def test_a_grid_that_is_down_leaves_no_keys() -> None:
    scene = Sealed(1)
    scene.world.give(scene.asked, scene.admin.order(Action.DOWN, "shop", scene.world.now_s))
    assert scene.soon(30.0)
    assert scene.world.run_until(lambda: not sessions(*scene.pair), 30.0)


def test_a_revoked_host_has_no_keys_from_then_on() -> None:
    scene = Sealed(1)
    one, other = scene.pair
    world, federation = scene.world, scene.world.federation
    says = read_certificate(other.identity.chain[0])
    site, chain = federation.site(other.site), federation.site_chain(other.site)
    one.feed(RecordGiven(revoke(says, "lost", world.now_s, site, chain)))
    assert sessions(one, other) == (), "at once where it is known"
    other.feed(RecordGiven(revoke(says, "lost", world.now_s, site, chain)))
    assert sessions(other, one) == (), "it knows that it is out"
    world.run(SESSION_S + 10.0)
    assert sessions(one, other) == sessions(other, one) == (), "it gets no new ones"
    for peer in (one, other):
        peer.crash()
        world.run(1.0)
        peer.start()
    world.run(60.0)
    assert sessions(one, other) == sessions(other, one) == ()
