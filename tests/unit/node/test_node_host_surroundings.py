"""What a host is told of the peer around it."""

from one_peer import NOW, OTHER, hello, identity, started

from protocol.node.events import Arrived, Connected
from protocol.node.host_surroundings import PeerSurroundings
from protocol.terms.ids import PeerId


def test_it_knows_the_sites_and_names_of_peers_its_own_among_them() -> None:
    """The host's own daemon claims room, too, and is of the site whose order that is."""
    peer = started()
    peer.handle(Connected(OTHER.peer), NOW)
    peer.handle(Arrived(OTHER.peer, hello(OTHER), ""), NOW)
    overlay = peer.overlay
    around = PeerSurroundings(
        overlay.membership,
        peer.relaying,
        overlay.certificates,
        overlay.announcer,
        overlay.policies,
    )
    assert around.site(OTHER.peer) == OTHER.site
    assert around.name(OTHER.peer) == OTHER.name
    assert around.name(PeerId("f" * 64)) == "f" * 12
    assert around.site(identity("h1").peer) == OTHER.site
    assert around.site(PeerId("f" * 64)) == ""
