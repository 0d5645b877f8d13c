"""A peer that is no member any more is out everywhere. A member is never taken for a flood."""

import msgspec

from protocol.node.events import RecordGiven, Renewed
from protocol.sim.peer import SimPeer
from protocol.sim.world import START_S, World
from protocol.trust.certificate import Chain, read_certificate
from protocol.trust.record import SignedRecord
from protocol.trust.revocation import revoke


def knows(peer: SimPeer, other: SimPeer) -> bool:
    assert peer.node is not None
    return other.id in peer.node.membership.known


def all_know(world: World, other: SimPeer) -> bool:
    return all(knows(peer, other) for peer in world.peers if peer is not other and peer.up)


def none_knows(world: World, other: SimPeer) -> bool:
    return not any(knows(peer, other) for peer in world.peers if peer is not other and peer.up)


def grown(seed: int, peers: int) -> World:
    world = World(seed, peers, 3)
    world.start_all()
    assert world.run_until(lambda: all(all_know(world, p) for p in world.peers), 60)
    return world


def revocation(world: World, peer: SimPeer) -> SignedRecord:
    federation = world.federation
    says = read_certificate(peer.identity.chain[0])
    chain = federation.site_chain(peer.site)
    return revoke(says, "lost", world.now_s, federation.site(peer.site), chain)


def other_chain(world: World, peer: SimPeer, until_s: float | None = None) -> Chain:
    federation = world.federation
    return federation.host_chain(peer.site, peer.name, serial="ab" * 8, until_s=until_s)


def equal_directories(world: World, *without: SimPeer) -> bool:
    nodes = [peer.node for peer in world.peers if peer not in without and peer.node is not None]
    return len({node.broadcast.directory.roots() for node in nodes}) == 1


def test_a_revoked_member_is_out_everywhere_and_stays_out() -> None:
    world = grown(1, 20)
    out, teller, asleep = world.peers[7], world.peers[3], world.peers[11]
    asleep.crash()
    teller.feed(RecordGiven(revocation(world, out)))
    assert world.run_until(lambda: none_knows(world, out), 5)
    asleep.start()
    assert world.run_until(lambda: knows(asleep, teller) and not knows(asleep, out), 60)
    out.crash()
    out.start()
    world.run(120)
    assert none_knows(world, out)
    assert world.run_until(lambda: equal_directories(world, out), 60)


def test_it_is_out_on_both_sides_of_a_split_once_that_heals() -> None:
    world = grown(2, 12)
    out = world.peers[5]
    half = [peer.id for peer in world.peers[:6]]
    world.wires.cut(half, [peer.id for peer in world.peers[6:]])
    world.run(30)
    world.peers[0].feed(RecordGiven(revocation(world, out)))
    world.run(30)
    assert knows(world.peers[8], out), "it has not heard"
    world.wires.heal()
    assert world.run_until(lambda: none_knows(world, out), 120)


def test_a_certificate_ends_everywhere_and_a_renewed_one_brings_its_peer_back() -> None:
    world = World(3, 9, 3)
    brief = world.peers[4]
    ends_s = START_S + 100.0
    chain = other_chain(world, brief, ends_s)
    brief.identity = msgspec.structs.replace(brief.identity, chain=chain)
    world.start_all()
    assert world.run_until(lambda: all_know(world, brief), 60)
    world.run(ends_s - world.now_s - 1.0)
    assert all_know(world, brief)
    world.run(2.0)
    assert none_knows(world, brief)
    world.run(30.0)
    assert none_knows(world, brief)
    brief.feed(Renewed(other_chain(world, brief)))
    assert world.run_until(lambda: all_know(world, brief), 120)
    assert world.run_until(lambda: equal_directories(world), 60)


def test_who_renews_in_time_is_never_missed() -> None:
    world = grown(4, 9)
    peer = world.peers[2]
    peer.feed(Renewed(other_chain(world, peer)))
    for _ in range(60):
        world.run(1.0)
        assert all_know(world, peer)


def test_no_honest_burst_is_taken_for_a_flood() -> None:
    """All peers start at once through one of them. Then half are cut off for a while, and compare."""
    world = World(5, 32, 4)
    world.start_all(apart_s=0.0)
    assert world.run_until(lambda: all(all_know(world, p) for p in world.peers), 120)
    half = [peer.id for peer in world.peers[:16]]
    world.wires.cut(half, [peer.id for peer in world.peers[16:]])
    world.run(20)
    world.wires.heal()
    world.run(20)
    for peer in world.peers:
        assert peer.node is not None
        assert [reason for reason in peer.node.quarantines.counts if "flood" in reason] == []
        assert peer.node.quarantines.quarantined == ()
