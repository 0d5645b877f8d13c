"""What is near this peer: its connections, where others say they are, and where it says it is."""

from random import Random

import pytest

from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Goodbye, Suspicion
from protocol.membership.presence import Known
from protocol.peering.near_peers import NearPeers
from protocol.relay.outcomes import Locator
from protocol.terms.effects import Dial
from protocol.terms.ids import PeerId
from protocol.terms.limits import DIRECT_WITHIN_S
from protocol.terms.reach import VIA_MOST, Reach

NOW = 1_000_000.0
ME, R1, R2, R3, YOU = (PeerId(name) for name in ("me", "r1", "r2", "r3", "you"))
HELLO = Goodbye()


def known(
    peer: PeerId, reach: Reach = Reach.PUBLIC, site: str = "there", left: bool = False
) -> Known:
    return Known(peer, peer, site, f"{peer}:7000", 1, left, NOW * 2, reach, (R3,))


class Scene:
    """A peer at site `here`."""

    def __init__(self) -> None:
        contact = Contact(ME, "here", "me:7000")
        self.membership = Membership(contact, Random(1), (Contact(R3, "there", "r3:1"),), NOW)
        self.near = NearPeers(self.membership)

    def meets(
        self,
        peer: PeerId,
        reach: Reach = Reach.PUBLIC,
        *,
        relayed: bool = False,
        site: str = "there",
    ) -> None:
        """Has it know that peer, which has introduced itself."""
        self.membership.present(known(peer, reach, site), NOW)
        self.membership.links.up(peer, HELLO, NOW, relayed=relayed)
        self.membership.introduced(peer, NOW)

    def neighbour(self, peer: PeerId) -> None:
        contact = known(peer).contact
        self.membership.view.add(contact, self.membership.sites_alive())


# -- connections


def test_direct_is_who_is_introduced_on_a_connection_of_its_own() -> None:
    scene = Scene()
    scene.meets(R2)
    scene.meets(R1)
    scene.meets(YOU, relayed=True)
    scene.membership.links.up(R3, HELLO, NOW)
    assert scene.near.direct() == [R2, R1]
    is_direct = [peer for peer in (R1, R2, R3, YOU) if scene.near.is_direct(peer)]
    assert is_direct == [R1, R2]


def test_whom_the_transport_dials() -> None:
    scene = Scene()
    assert not scene.near.is_dialled(R3)
    assert scene.near.call(R3, NOW) == [Dial(R3, "r3:1")], "it was told to join there"
    assert scene.near.is_dialled(R3)
    assert scene.near.call(R3, NOW) == [], "it is dialled already"


def test_a_call_is_for_a_moment_and_through_no_relay() -> None:
    """A relay that is wanted to reach somebody is not sought through another."""
    scene = Scene()
    scene.near.call(R3, NOW)
    assert scene.membership.links.seeking(NOW + 2 * DIRECT_WITHIN_S) == []


@pytest.mark.parametrize("reach", [Reach.NAT, None])
def test_who_cannot_be_dialled_is_not_called(reach: Reach | None) -> None:
    scene = Scene()
    if reach is not None:
        scene.membership.present(known(YOU, reach), NOW)
    assert scene.near.call(YOU, NOW) == []
    assert not scene.near.is_dialled(YOU)


# -- where others are


@pytest.mark.parametrize("reach", list(Reach))
def test_a_live_peer_is_where_it_says(reach: Reach) -> None:
    scene = Scene()
    scene.membership.present(known(YOU, reach), NOW)
    assert scene.near.told(YOU) == Locator("there", "you:7000", reach, (R3,))


def test_a_suspected_peer_is_so_with_that_word() -> None:
    scene = Scene()
    scene.membership.present(known(YOU), NOW)
    scene.membership.suspected(R1, Suspicion(YOU, 1), NOW)
    assert scene.near.told(YOU) == Locator("there", "you:7000", Reach.PUBLIC, (R3,), suspect=True)


def test_who_is_gone_or_unknown_is_nowhere() -> None:
    scene = Scene()
    assert scene.near.told(YOU) is None
    scene.membership.present(known(YOU, left=True), NOW)
    assert YOU in scene.membership.known
    assert scene.near.told(YOU) is None


# -- where this peer is


def test_who_is_reached_by_all_names_nobody() -> None:
    scene = Scene()
    scene.meets(R1)
    assert scene.near.whereabouts(Reach.PUBLIC) == (Reach.PUBLIC, ())


def test_neighbours_are_named_first_then_others_it_is_connected_with() -> None:
    scene = Scene()
    for peer in (R1, R2, R3):
        scene.meets(peer)
    scene.neighbour(R2)
    assert scene.near.whereabouts(Reach.NAT) == (Reach.NAT, (R2, R1, R3))


def test_a_neighbour_through_a_relay_is_not_named() -> None:
    scene = Scene()
    scene.meets(R1, relayed=True)
    scene.neighbour(R1)
    scene.meets(R2)
    assert scene.near.whereabouts(Reach.RELAYED) == (Reach.RELAYED, (R2,))


def test_who_is_behind_nat_itself_is_named_only_if_there_is_nobody_else() -> None:
    """So it is with a peer of this peer's own site, since others come through it."""
    scene = Scene()
    scene.meets(R1, Reach.NAT, site="here")
    assert scene.near.whereabouts(Reach.NAT) == (Reach.NAT, (R1,))
    scene.meets(R2, Reach.RELAYED)
    assert scene.near.whereabouts(Reach.NAT) == (Reach.NAT, (R2,))


def test_no_more_are_named_than_a_presence_holds() -> None:
    scene = Scene()
    peers = [PeerId(f"p{number}") for number in range(VIA_MOST + 3)]
    for peer in peers:
        scene.meets(peer)
    _, via = scene.near.whereabouts(Reach.NAT)
    assert via == tuple(peers[:VIA_MOST])
