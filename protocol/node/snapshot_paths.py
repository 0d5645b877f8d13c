"""How this host reaches the other hosts of a grid that it carries, by network."""

from collections.abc import Iterator

from protocol.grid.carrier import Carrier, carriers_of
from protocol.hosting.lease import Lease
from protocol.node.node import Node
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import MTU_LEAST
from protocol.terms.paths import PATHS_MOST, PathTold


def paths(node: Node, grid: GridId) -> tuple[PathTold, ...] | None:
    """Those to each host with members on a network that has members here, as many as may be told."""
    row = node.host.leases.row(grid)
    return None if row is None else tuple(_paths(node, row))[:PATHS_MOST]


def _paths(node: Node, row: Lease) -> Iterator[PathTold]:
    leases, host_of = node.host.leases, row.record.placed
    mtus = dict(node.host.tunnels.mtus(row))
    places = {told.peer: told.end for told in row.ends}
    on: dict[str, dict[PeerId, None]] = {}
    for card in leases.cards(row):
        if card.workspace in host_of:
            on.setdefault(card.network, {})[host_of[card.workspace]] = None
    networks = leases.ordered(row).spec.networks
    carriers = carriers_of(row.record, networks, leases.cards(row))
    for network in networks:
        hosts = on.get(network.name, {})
        for peer in hosts if node.me in hosts else ():
            if peer == node.me:
                continue
            carrier, mtu = carriers[network.name], mtus.get(network.name, MTU_LEAST)
            if carrier is Carrier.SEALED:
                yield node.tunnel_partners.path(network.name, peer, mtu)
            else:
                end = places.get(peer)
                place = end.underlay if end is not None else ""
                yield PathTold(network.name, peer, carrier, mtu=mtu, place=place)
