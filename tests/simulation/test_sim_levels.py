"""Above a limit detail stays within its site, summaries of sites go to all, and everything still works."""

import pytest
from sim_calm import answer

from protocol.grid.model import Spread
from protocol.membership.liveness import Health
from protocol.node.events import NewsGiven
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.limits import SUMMARY_EVERY_S

PEERS, SITES, ABOVE = 30, 3, 20


def nodes(world: World) -> list[SimPeer]:
    return [peer for peer in world.peers if peer.node is not None]


def wide(peer: SimPeer) -> bool:
    assert peer.node is not None
    return peer.node.site_summaries.wide


def health(peer: SimPeer, of: SimPeer) -> Health | None:
    assert peer.node is not None
    return peer.node.membership.liveness.health(of.id)


def summaries(peer: SimPeer) -> dict[str, int]:
    assert peer.node is not None
    return {site: heard.summary.alive for site, heard in peer.node.site_summaries.sites.items()}


@pytest.fixture(scope="module")
def world() -> World:
    made = World(3, PEERS, SITES, levels_above=ABOVE)
    made.start_all()
    assert made.run_until(lambda: all(wide(peer) for peer in made.peers), 3 * SUMMARY_EVERY_S)
    whole = dict.fromkeys(made.admins, PEERS // SITES)
    told = made.run_until(lambda: all(summaries(p) == whole for p in made.peers), 600.0)
    assert told, [summaries(peer) for peer in made.peers]
    return made


def test_everybody_has_its_own_sites_detail_and_all_sites_summaries(world: World) -> None:
    for peer in world.peers:
        assert peer.node is not None
        presences = peer.node.broadcast.directory.of_kind("presence")
        assert {held.record.scope for held in presences} == {peer.site}
        assert len(presences) == PEERS // SITES
        assert peer.node.site_summaries.peers() == PEERS
        assert sorted(peer.node.site_summaries.sites) == sorted(world.admins)


def test_a_line_for_everybody_reaches_everybody(world: World) -> None:
    before = [peer.notes["news"] for peer in world.peers]
    world.peers[4].feed(NewsGiven("to all sites"))
    heard = world.run_until(
        lambda: [p.notes["news"] for p in world.peers] == [n + 1 for n in before], 10.0
    )
    assert heard


def test_a_death_is_known_at_its_site_and_its_return_too(world: World) -> None:
    victim = world.peers[7]
    near = [peer for peer in world.peers if peer.site == victim.site and peer is not victim]
    victim.crash()
    assert world.run_until(lambda: all(health(p, victim) is Health.DEAD for p in near), 20.0)
    victim.start()
    assert world.run_until(lambda: all(health(p, victim) is Health.ALIVE for p in near), 30.0)
    assert world.run_until(lambda: wide(victim), 3 * SUMMARY_EVERY_S)


def test_when_most_are_gone_everybody_knows_everybody_again() -> None:
    world = World(4, PEERS, SITES, levels_above=ABOVE)
    world.start_all()
    assert world.run_until(lambda: all(wide(peer) for peer in world.peers), 3 * SUMMARY_EVERY_S)
    for peer in world.peers[12:]:
        peer.crash()
    left = nodes(world)
    assert world.run_until(lambda: not any(wide(peer) for peer in left), 3000.0)
    assert world.run_until(
        lambda: all(health(a, b) is Health.ALIVE for a in left for b in left if a is not b), 300.0
    )


def test_a_grid_is_placed_over_sites_that_are_known_by_their_summaries(world: World) -> None:
    """The requester asks each site for its roomiest hosts, and asks those for quotes."""
    spec = grid_spec("far", 2 * PEERS // SITES, spread=Spread.HOST, lease_s=3600)
    peer = world.peers[3]
    request = world.give(peer, world.admins["s1"].up(spec, world.now_s))
    told = answer(world, peer, request)
    assert told.state == "done", told
    assert any("asking 2 sites for hosts" in line.text for line in told.story)
    hosts = {planned.host for planned in told.placement}
    assert len(hosts) == 2 * PEERS // SITES
    assert len({planned.site for planned in told.placement}) > 1
