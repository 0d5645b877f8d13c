"""Peers find each other, notice which of them are gone or back, and believe no slander."""

import pytest
from sim_calm import calm_world, node_of

from protocol.membership.liveness import Health
from protocol.membership.messages import Suspicion
from protocol.node.events import Stopping
from protocol.sim.faults import NONE
from protocol.sim.peer import SimPeer
from protocol.sim.run import knows_all, settle
from protocol.sim.world import World
from protocol.terms.limits import ACTIVE_REMOTE, ACTIVE_VIEW, FULL_MESH_BELOW, NEEDY_BELOW
from protocol.wire.codec import encode


def believe(world: World, about: SimPeer, health: Health) -> bool:
    """Whether every other peer that is up believes this of one."""
    others = [peer for peer in world.peers if peer is not about and peer.up]
    return all(node_of(p).membership.liveness.health(about.id) is health for p in others)


@pytest.mark.parametrize("peers", [2, 6, 11, 12, 13, 30, 50])
def test_everybody_knows_everybody(peers: int) -> None:
    world = World(peers, peers, min(peers, 5))
    world.start_all()
    assert world.run_until(lambda: knows_all(world), 30.0)
    settle(world, 30.0)
    if peers < FULL_MESH_BELOW:
        assert world.run_until(
            lambda: all(len(node_of(p).membership.view) == peers - 1 for p in world.peers), 10.0
        )
    elif peers >= 30:
        views = [node_of(peer).membership.view.neighbours for peer in world.peers]
        assert max(len(view) for view in views) <= ACTIVE_VIEW + 1 + FULL_MESH_BELOW // 2
        assert _reached_from_first(world) == peers


def _reached_from_first(world: World) -> int:
    reached = {world.peers[0].id: None}
    edge = [world.peers[0]]
    while edge:
        for neighbour in node_of(edge.pop()).membership.view.neighbours:
            if neighbour not in reached:
                reached[neighbour] = None
                edge.append(world.by_id[neighbour])
    return len(reached)


def test_remote_neighbours_are_few() -> None:
    world = calm_world(3, 40, 4)
    world.run(30.0)
    for peer in world.peers:
        neighbours = [world.by_id[p].site for p in node_of(peer).membership.view.neighbours]
        remote = sum(site != peer.site for site in neighbours)
        assert 1 <= remote <= ACTIVE_REMOTE + 3, f"{peer.name} has {remote} of {len(neighbours)}"


@pytest.mark.parametrize("peers", [3, 8, 20])
def test_dead_and_back(peers: int) -> None:
    world = calm_world(1, peers)
    victim = world.peers[peers // 2]
    victim.crash()
    assert world.run_until(lambda: believe(world, victim, Health.DEAD), 20.0)
    assert not world.run_until(lambda: not believe(world, victim, Health.DEAD), 100.0), "it flaps"
    victim.start()
    assert world.run_until(lambda: believe(world, victim, Health.ALIVE), 20.0)
    settle(world)
    assert node_of(victim).broadcast.incarnation > 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_was_stopped_is_soon_in_the_overlay_again(seed: int) -> None:
    """Its neighbours gave it up meanwhile. It accuses none of them, and asks which of them it still has."""
    world = calm_world(seed, 40, 4)
    victim, others = world.peers[0], world.peers[1:]
    victim.stall(15.0, frozen=True)
    assert world.run_until(lambda: believe(world, victim, Health.DEAD), 14.0)
    assert world.run_until(lambda: not victim.stalled, 15.0)
    # Mostly it takes 3 s; in one of six worlds, 13 s.
    assert world.run_until(lambda: believe(world, victim, Health.ALIVE), 14.0)

    def suspected() -> bool:
        return any(not believe(world, peer, Health.ALIVE) for peer in others)

    assert not world.run_until(suspected, 5.0)
    views = {peer.id: node_of(peer).membership.view for peer in world.peers}
    mine = views[victim.id].neighbours
    assert len(mine) >= NEEDY_BELOW
    assert all(views[peer].is_neighbour(victim.id) for peer in mine)


def test_newcomer_learns_who_is_dead() -> None:
    """Neither its own observation nor a fresh suspicion tells it."""
    world = World(2, 7, 3)
    late = world.peers[-1]
    for peer in world.peers[:-1]:
        peer.start()
    world.run(5.0)
    victim = world.peers[2]
    victim.crash()
    world.run(200.0)
    late.start()
    assert world.run_until(lambda: believe(world, victim, Health.DEAD), 30.0)


def test_who_stops_in_order_is_gone_at_once() -> None:
    world = calm_world(4, 20)
    leaver = world.peers[7]
    leaver.feed(Stopping())
    world.run(0.1)
    leaver.crash()
    assert world.run_until(lambda: believe(world, leaver, Health.LEFT), 2.0)
    leaver.start()
    assert world.run_until(lambda: believe(world, leaver, Health.ALIVE), 20.0)


@pytest.mark.parametrize("peers", [5, 20])
def test_slander_is_refuted(peers: int) -> None:
    """A peer says of another that it is silent, which it is not."""
    world = calm_world(5, peers)
    liar, accused = world.peers[1], world.peers[2]
    before = node_of(accused).broadcast.incarnation
    suspicion = Suspicion(accused.id, before)
    # It acts as if it believed that: it publishes under its own key, to everybody it speaks with.
    node = node_of(liar)
    node.broadcast.publish("suspicion", accused.id, encode(suspicion), 3600.0, world.now_s)
    died = world.run_until(
        lambda: any(
            node_of(p).membership.liveness.health(accused.id) is Health.DEAD
            for p in world.peers
            if p is not accused
        ),
        30.0,
    )
    assert not died
    assert node_of(accused).broadcast.incarnation == before + 1
    assert accused.notes["peer.refuted"] == 1
    assert believe(world, accused, Health.ALIVE)


@pytest.mark.parametrize(("peers", "sites"), [(6, 3), (26, 2)])
def test_ten_minutes_apart(peers: int, sites: int) -> None:
    """Both halves believe the other dead; afterwards all directories are equal again."""
    world = calm_world(6, peers, sites)
    halves = [[p for p in world.peers if (p.site == "s1") is first] for first in (True, False)]
    world.wires.cut([p.id for p in halves[0]], [p.id for p in halves[1]])
    world.run(600.0)
    for mine, others in (halves, halves[::-1]):
        for peer in mine:
            health = [node_of(peer).membership.liveness.health(other.id) for other in others]
            assert health == [Health.DEAD] * len(others)
    world.wires.heal()
    world.calm_since_s = world.now_s
    settle(world, 240.0)


def test_a_peer_that_is_cut_off_alone_comes_back() -> None:
    world = calm_world(7, 16, 4, plan=NONE)
    alone = world.peers[5]
    world.wires.cut([alone.id], [p.id for p in world.peers if p is not alone])
    assert world.run_until(lambda: believe(world, alone, Health.DEAD), 30.0)
    world.run(60.0)
    world.wires.heal()
    world.calm_since_s = world.now_s
    settle(world, 180.0)
