"""Who is to keep the register of an order: who signs it draws them, from the hosts that a peer knows."""

from random import SystemRandom

from overlayd.cli.client import Client
from protocol.grid.stewards import draw_stewards
from protocol.node.rows import PeerRow
from protocol.terms.ids import PeerId

_HEARD = ("self", "alive")


def stewards(client: Client, site: str) -> tuple[PeerId, ...]:
    """Three hosts, or one of fewer, that the peer asked hears; of that site first."""
    rows = client.get("/peers", list[PeerRow])
    heard = [(row.peer, row.site) for row in rows if row.health in _HEARD]
    return draw_stewards(heard, site, SystemRandom())
