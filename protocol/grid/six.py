"""IPv6 of a grid's networks: it follows from what is there already, so no host has to be told.

A network that says `auto` has a /64 out of fd00::/8 that follows from the grid's id and the network's name: 56
bits of a hash, so two networks have one prefix as good as never (RFC 4193 has 40 of them chosen at random). A
member's address is the prefix with its IPv4 address behind: one place in the record gives both.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Network

from protocol.grid.addresses import Card
from protocol.grid.model import SIX_AUTO, NetworkSpec
from protocol.terms.ids import GridId

PREFIX_BITS = 64
_PRIVATE = 0xFD
_HASHED_BYTES = 7


def cidr6_of(network: NetworkSpec, grid: GridId) -> str:
    """The network's range of IPv6 in that grid; empty if it has none."""
    if network.cidr6 != SIX_AUTO:
        return network.cidr6
    hashed = sha256(f"{grid}/{network.name}".encode()).digest()[:_HASHED_BYTES]
    return str(IPv6Network((bytes((_PRIVATE,)) + hashed + bytes(8), PREFIX_BITS)))


def address6(cidr6: str, address: str) -> str:
    """The IPv6 address of who has that IPv4 address on a network with that range."""
    return str(IPv6Network(cidr6)[int(IPv4Address(address))])


def ranges6(networks: Iterable[NetworkSpec], grid: GridId) -> dict[str, str]:
    """The range of IPv6 of each of these networks in that grid, by name, if it has one."""
    return {network.name: cidr6 for network in networks if (cidr6 := cidr6_of(network, grid))}


def cards6(cards: Iterable[Card], ranges: Mapping[str, str]) -> Iterator[tuple[Card, str]]:
    """Those of the cards whose networks have one of these ranges, each with its IPv6 address."""
    for card in cards:
        if cidr6 := ranges.get(card.network):
            yield card, address6(cidr6, card.address)
