"""Who is to keep the register of an order: who signs it draws them, from the hosts that a peer knows."""

from random import SystemRandom

from overlayd.cli.client import Client
from protocol.grid.stewards import draw_stewards, stores_of
from protocol.node.rows import PeerRow
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import STEWARDS

_HEARD = ("self", "alive")


Seats = tuple[tuple[PeerId, ...], tuple[StoreId, ...]]
"""Hosts, and which store of each."""


def stewards(client: Client, site: str) -> Seats:
    """Three hosts, or one of fewer, that the peer asked hears; of that site first. With their stores.

    None that is to be stopped for good, if there are enough others.
    """
    rows = client.get("/peers", list[PeerRow])
    heard = [row for row in rows if row.health in _HEARD]
    stays = [row for row in heard if not row.leaving]
    several = stays if len(stays) >= STEWARDS else heard
    drawn = draw_stewards([(row.peer, row.site) for row in several], site, SystemRandom())
    return drawn, stores_of(drawn, {row.peer: row.store for row in rows})
