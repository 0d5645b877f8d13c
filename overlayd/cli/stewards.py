"""Who is to keep the register of an order: who signs it draws them, from the hosts that a peer knows."""

from collections.abc import Sequence
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
    return drawn(client.get("/peers", list[PeerRow]), site)


def drawn(rows: Sequence[PeerRow], site: str) -> Seats:
    """The same, from the answer to `GET /v1/peers`."""
    heard = _hosts(rows)
    stays = [row for row in heard if not row.leaving]
    several = stays if len(stays) >= STEWARDS else heard
    seats = draw_stewards([(row.peer, row.site) for row in several], site, SystemRandom())
    return seats, stores_of(seats, {row.peer: row.store for row in rows})


def _hosts(rows: Sequence[PeerRow]) -> list[PeerRow]:
    """Those that are alive and have told what they offer: who never does may be no host, or a dead one.

    In a large overlay a peer is told that only by its own site's hosts. Then those of others count as well.
    """
    alive = [row for row in rows if row.health in _HEARD]
    own = next((row.site for row in alive if row.health == "self"), "")
    far = any(row.site != own and row.age_s >= 0 for row in alive)
    return [row for row in alive if row.age_s >= 0 or (row.site != own and not far)]
