"""What a host is told of the peer around it."""

from one_peer import FACTS, FED, NOW, OTHER, friends, hello, identity

from protocol.capacity.advert import Advert, Spent
from protocol.capacity.quantum import Quantum
from protocol.node.events import Arrived, Connected, RecordGiven
from protocol.node.host_surroundings import PeerSurroundings
from protocol.node.node import Node
from protocol.policy.demand import NOTHING, Demand
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.identity import Identity

STAR = KeyId("5" * 64)


def around(peer: Node) -> PeerSurroundings:
    return PeerSurroundings(peer.overlay.membership, peer.relaying, peer.overlay, peer.directory)


def says(peer: Node, who: Identity, workspaces: int) -> None:
    """A host tells what VO star has there."""
    spent = Spent(STAR, 500 * workspaces, 7 * workspaces, 0, workspaces, workspaces)
    advert = Advert(FACTS, Quantum(), (), (), workspaces, spent=(spent,))
    peer.directory.advertised(who.peer, advert, NOW)


def test_it_knows_the_sites_and_names_of_peers_its_own_among_them() -> None:
    """The host's own daemon claims room, too, and is of the site whose order that is."""
    sees = around(friends())
    assert sees.site(OTHER.peer) == OTHER.site
    assert sees.name(OTHER.peer) == OTHER.name
    assert sees.name(PeerId("f" * 64)) == "f" * 12
    assert sees.site(identity("h1").peer) == OTHER.site
    assert sees.site(PeerId("f" * 64)) == ""


def test_what_others_have_is_that_of_the_other_hosts_of_its_site() -> None:
    peer, far = friends(), identity("far", site="s2")
    peer.handle(Connected(far.peer), NOW)
    peer.handle(Arrived(far.peer, hello(far), ""), NOW)
    sees = around(peer)
    assert sees.elsewhere(STAR) == NOTHING
    says(peer, OTHER, 2)
    says(peer, peer.identity, 100)
    assert sees.elsewhere(STAR) == Demand(Quantum(1000, 14, 0, (("device", 2),)), 2)
    assert sees.elsewhere(KeyId("6" * 64)) == NOTHING


def test_another_sites_host_keeps_nobody_out_of_this_one() -> None:
    peer, far = friends(), identity("far", site="s2")
    peer.handle(Connected(far.peer), NOW)
    peer.handle(Arrived(far.peer, hello(far), ""), NOW)
    assert around(peer).site(far.peer) == "s2"
    says(peer, far, 1000)
    assert around(peer).elsewhere(STAR) == NOTHING


def test_it_has_the_newest_policy_of_its_own_site_and_of_no_other() -> None:
    peer = friends()
    sees, mine = around(peer), identity("h1").site
    own, other = FED.site(mine), FED.site("elsewhere")
    assert sees.site_key() == own.key
    for site, name in ((other, "elsewhere"), (own, mine)):
        assert sees.policy() is None
        made = SitePolicy(name, 3, NOW, FED.site_chain(name))
        peer.handle(RecordGiven(sign_policy(made, site)), NOW)
    newest = sees.policy()
    assert newest is not None
    assert newest.number == 3
    assert sees.least_policy() == 0
