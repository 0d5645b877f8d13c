"""A site with many hosts that claims room for orders it saw: it has the share of one site, not of many hosts.

A claim is in memory only, so after a restart there is none, and what is said again is bounded as before.
"""

from random import Random

import pytest
from negotiating import ADMIN, AUTHORITY, FEDERATION, MIB, NOW, A, B, C, offer, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import RoomClaim
from protocol.hosting.claims import CLAIMERS, Claims
from protocol.sim.people import Admin
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import CLAIMS_PER_HOST
from protocol.terms.site_limits import CLAIMS_OF_SITE
from protocol.trust.order import SignedOrder

LIARS = [PeerId(f"{number:064x}") for number in range(31)]
OWN = PeerId("a1" * 32), PeerId("a2" * 32)
"""Peers at the owner's site."""
ROOM = Quantum(64_000, 64 * 128 * MIB, 1 << 40)


def site_of(peer: PeerId) -> str:
    if peer in LIARS:
        return "s9"
    return "s1" if peer in OWN else f"site of {peer[:8]}"


class Attacked:
    """A host's claims, in one life or the next."""

    def __init__(self) -> None:
        self.claims = Claims(AUTHORITY, Ledger(ROOM, NOW), lambda: offer(A), site_of)

    def claim(self, peer: PeerId, order: SignedOrder, count: int = 1) -> None:
        names = tuple(f"web-{n}" for n in range(1, count + 1))
        self.claims.ask(peer, RoomClaim(order, names), NOW)
        self.claims.check()

    def told(self) -> list[PeerId]:
        """Who is told of room that is kept for it."""
        return [e.peer for e in self.claims.tell(NOW) if isinstance(e, Send)]


def of_site(number: int) -> SignedOrder:
    """An order of some other owner, older than anybody's."""
    admin = Admin(FEDERATION, f"site-{number}", Random(number), lambda: (A, B, C))
    return admin.up(shop(9), NOW - 300 - number)


@pytest.fixture(params=["at once", "after a restart"])
def attacked(request: pytest.FixtureRequest) -> Attacked:
    made = Attacked()
    if request.param == "after a restart":
        for peer in LIARS:
            made.claim(peer, of_site(1))
        made = Attacked()
    return made


def test_hosts_of_one_site_have_one_place_for_an_order_they_saw(attacked: Attacked) -> None:
    order = ADMIN.up(shop(9), NOW - 9)
    for peer in LIARS:
        attacked.claim(peer, order)
    assert len(attacked.claims) == 1
    attacked.claim(C, order)
    assert attacked.told() == [LIARS[0], C]


def test_peers_at_the_owners_site_have_their_places_whoever_came_first(attacked: Attacked) -> None:
    order = ADMIN.up(shop(9), NOW - 9)
    strangers = [PeerId(f"{number:064x}") for number in range(100, 100 + CLAIMERS)]
    for peer in strangers:
        attacked.claim(peer, order)
    for peer in OWN:
        attacked.claim(peer, order)
    assert attacked.told() == [strangers[0], *OWN]
    attacked.claim(strangers[1], order)
    assert len(attacked.claims) == CLAIMERS, "they are not put out again"


def test_one_site_does_not_fill_the_places_of_all(attacked: Attacked) -> None:
    for number in range(CLAIMS_PER_HOST):
        attacked.claim(LIARS[number % len(LIARS)], of_site(number))
    assert len(attacked.claims) == CLAIMS_OF_SITE
    order = ADMIN.up(shop(9), NOW - 9)
    attacked.claim(OWN[0], order)
    assert OWN[0] in attacked.told(), "though it is younger than all of theirs"
