"""A warm start: what a peer has then is what it has after joining and some quiet."""

import msgspec
import pytest
from sim_calm import node_of

from protocol.membership.presence import Known
from protocol.node.node import Node
from protocol.sim.graph import connected, degrees
from protocol.sim.run import knows_all, play, settle
from protocol.sim.scenario import Scenario
from protocol.sim.warm import begin_warm
from protocol.sim.world import World
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import ACTIVE_REMOTE, ACTIVE_VIEW, PASSIVE_VIEW, SUMMARY_EVERY_S

PEERS, SITES = 30, 3


def begun(*, warm: bool, **options: object) -> World:
    """The same peers, after a warm start or after joining."""
    world = World(5, PEERS, SITES, **options)  # type: ignore[arg-type]
    if warm:
        begin_warm(world, world.new_dice())
    else:
        world.start_all()
    return world


def known_of(node: Node) -> dict[PeerId, Known]:
    """The peers that it knows. Which process and store each has follows from when it began, and is left out."""
    known = node.membership.known.items()
    replace = msgspec.structs.replace
    return {peer: replace(each, process="", store=StoreId("")) for peer, each in known}


@pytest.mark.parametrize("probed", [True, False])
def test_a_warm_peer_has_what_one_that_joined_has(probed: bool) -> None:
    cold, warm = (begun(warm=each, probed=probed) for each in (False, True))
    assert cold.run_until(lambda: knows_all(cold), 30.0)
    settle(cold, 30.0)
    for a, b in zip(cold.peers, warm.peers, strict=True):
        joined, settled = node_of(a), node_of(b)
        assert joined.broadcast.directory.roots() == settled.broadcast.directory.roots()
        assert known_of(joined) == known_of(settled)
        alive = joined.membership.sites_alive(), settled.membership.sites_alive()
        assert alive[0] == alive[1]
        assert joined.directory.adverts.keys() == settled.directory.adverts.keys()
        assert joined.broadcast.incarnation == settled.broadcast.incarnation
        assert joined.relay.reachability.reach == settled.relay.reachability.reach
        settled.check()


def test_with_two_levels_a_warm_peer_knows_its_site_and_the_others_summaries() -> None:
    cold, warm = (begun(warm=each, levels_above=20) for each in (False, True))
    whole = dict.fromkeys(cold.admins, PEERS // SITES)
    told = cold.run_until(
        lambda: all(
            heard.wide and {site: told.summary.alive for site, told in heard.sites.items()} == whole
            for heard in (node_of(p).site_summaries for p in cold.peers)
        ),
        10 * SUMMARY_EVERY_S,
    )
    assert told
    for a, b in zip(cold.peers, warm.peers, strict=True):
        joined, settled = node_of(a), node_of(b)
        assert joined.site_summaries.wide
        assert settled.site_summaries.wide
        assert settled.site_summaries.peers() == joined.site_summaries.peers() == PEERS
        assert settled.site_summaries.sites.keys() == joined.site_summaries.sites.keys()
        near = [
            {peer: known for peer, known in known_of(node).items() if known.site == b.site}
            for node in (joined, settled)
        ]
        assert near[0] == near[1]
        roots = [node.broadcast.directory.root(b.site) for node in (joined, settled)]
        assert roots[0] == roots[1] != 0
        settled.check()


def test_neighbours_are_those_of_an_overlay_at_rest() -> None:
    world = begun(warm=True)
    assert connected(world)
    for degree, remote in degrees(world):
        assert ACTIVE_VIEW - 2 <= degree <= ACTIVE_VIEW
        assert 1 <= remote <= ACTIVE_REMOTE
    for peer in world.peers:
        node = node_of(peer)
        assert len(node.membership.view.passive) > PASSIVE_VIEW // 3
        assert all(node.membership.links.direct(p) for p in node.membership.view.neighbours)
    world.run(30.0)
    assert not [peer.name for peer in world.peers if peer.notes["peer.suspect"]]
    assert world.trace.messages["Hello"] < PEERS
    assert world.trace.messages["Ping"] > PEERS


def test_news_goes_along_the_tree_from_the_first_line_on() -> None:
    outcome = play(Scenario(3, 60, 4, 10.0, warm=True, tell=4))
    reached = sum(len(telling.heard_s) for telling in outcome.world.meter.tellings)
    assert reached == 4 * 59
    assert sum(telling.payloads for telling in outcome.world.meter.tellings) < 1.1 * reached
