"""Addresses of a grid: chosen once, for the whole grid, by arithmetic alone.

Within a network the first host address (.1) is the gateway and service address. Workspaces take the
addresses from the 10th on, in file order (not start order), and then the 2nd to 9th. So every address but
the network's, the gateway's and the broadcast address can be used. A workspace keeps its address when
images, sizes or `requires` change, when a cluster behind its own grows or appears, and when its own
cluster grows. In a grid that was changed the record says who has which place (`Places`), so nobody moves.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

import msgspec

from protocol.grid.expand import names_of, workspace_name
from protocol.grid.model import GridSpec
from protocol.grid.record import Places

_FIRST = 10
"""Low addresses stay free for people as long as there is room."""


class Card(msgspec.Struct, frozen=True):
    """A workspace's place on one network."""

    workspace: str
    network: str
    address: str
    """IPv4, dotted."""
    prefix: int


def plan(spec: GridSpec) -> tuple[Card, ...]:
    """All cards, by network and then by workspace in file order. `spec` has no `check.problems`."""
    cards: list[Card] = []
    for network in spec.networks:
        cidr = IPv4Network(network.cidr)
        names = (
            name
            for cluster in spec.clusters
            if network.name in cluster.networks
            for name in names_of(cluster)
        )
        cards += (
            Card(name, network.name, str(_nth(cidr, position)), cidr.prefixlen)
            for position, name in enumerate(names)
        )
    return tuple(cards)


def seated(spec: GridSpec, places: Sequence[Places]) -> tuple[Card, ...]:
    """All cards of a grid that was changed, in the same order: an address follows from a place.

    `places` are of the same spec (`places_after` in apply.py). Raises ValueError if one is beyond its network.
    """
    cidrs = {network.name: IPv4Network(network.cidr) for network in spec.networks}
    return tuple(
        Card(
            workspace_name(of.cluster, index),
            of.network,
            str(_nth(cidrs[of.network], position)),
            cidrs[of.network].prefixlen,
        )
        for of in places
        for index, position in enumerate(of.positions, start=1)
    )


def gateway(cidr: str) -> str:
    """The first host address, where a network's own services are. Raises ValueError if it is no CIDR."""
    return str(IPv4Network(cidr)[1])


def capacity(cidr: IPv4Network) -> int:
    """How many workspaces a network holds: its addresses but network, gateway and broadcast."""
    return max(0, cidr.num_addresses - 3)


def _nth(cidr: IPv4Network, position: int) -> IPv4Address:
    """The address of the workspace in that place, from 0. Raises ValueError when the network is full."""
    if position >= capacity(cidr):
        raise ValueError(f"{cidr} holds {capacity(cidr)} workspaces")
    high = max(0, cidr.num_addresses - 1 - _FIRST)
    return cidr[_FIRST + position] if position < high else cidr[2 + position - high]
