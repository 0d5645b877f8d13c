"""Who is to keep the register of an order: who signs it draws them, from the hosts that a peer knows."""

from random import SystemRandom

from overlayd.cli.client import Client
from protocol.grid.stewards import draw_stewards, stores_of
from protocol.node.rows import PeerRow
from protocol.terms.ids import PeerId, StoreId

_HEARD = ("self", "alive")


Seats = tuple[tuple[PeerId, ...], tuple[StoreId, ...]]
"""Hosts, and which store of each."""


def stewards(client: Client, site: str) -> Seats:
    """Three hosts, or one of fewer, that the peer asked hears; of that site first. With their stores."""
    rows = client.get("/peers", list[PeerRow])
    heard = [(row.peer, row.site) for row in rows if row.health in _HEARD]
    drawn = draw_stewards(heard, site, SystemRandom())
    return drawn, stores_of(drawn, {row.peer: row.store for row in rows})
