"""Who is on a network of a grid though it carries nothing of it, and which addresses are left for such."""

from collections.abc import Container, Iterator
from hashlib import sha256
from ipaddress import AddressValueError, IPv4Address, IPv4Network

import msgspec

from protocol.grid.addresses import Card, gateway
from protocol.grid.carrier import Carrier, carriers_of
from protocol.grid.model import GridSpec, NetworkSpec
from protocol.grid.record import GridRecord, GridState
from protocol.terms.ids import PeerId
from protocol.terms.ranges import Name, Place

_SPREAD = 64
"""Among so many of the highest addresses that are free each asker begins at its own."""


WORKS = "; would work: "
"""Before what would work in place of what was asked, at the end of a reason."""


class AttachBody(msgspec.Struct, frozen=True):
    """Body of an order to attach. The order's `via` is the host that is to be on the network."""

    network: Name


class Attached(msgspec.Struct, frozen=True, array_like=True):
    """A host on a network of a grid, as long as it asks for that again and again."""

    network: Name
    peer: PeerId
    address: Place
    site: Name

    @property
    def name(self) -> str:
        """What it is called on the network. No workspace is: their names end in numbers."""
        return f"attached-{self.address.replace('.', '-')}-host"


def members_on(network: str, record: GridRecord, cards: tuple[Card, ...]) -> dict[str, PeerId]:
    """Who carries each member of a network, by its address, in the order of `cards`, which are of the grid."""
    host_of = record.placed
    there = (card for card in cards if card.network == network and card.workspace in host_of)
    return {card.address: host_of[card.workspace] for card in there}


def barred(name: str, record: GridRecord, spec: GridSpec, cards: tuple[Card, ...]) -> str:
    """Why nobody is attached to that network of a grid now; empty if hosts may be."""
    if record.state is not GridState.UP:
        return f"{record.name} is {record.state}"
    network = network_named(name, spec)
    if network is None:
        there = ", ".join(f"{record.name}/{each.name}" for each in spec.networks)
        return f"{record.name} has no network {name}" + (WORKS + there if there else "")
    match carriers_of(record, spec.networks, cards)[name]:
        case Carrier.SEALED:
            return ""
        case Carrier.PLAIN:
            why = "is not sealed (`encryption: none`)"
        case Carrier.WIREGUARD:
            why = "is carried by WireGuard"
    return f"{record.name}/{name} {why}, and only networks that forwarders seal take hosts in"


def carried(grid: str, network: str) -> str:
    """Why a host with members on a network is not attached to it."""
    there = f"`overlayctl --peer SOCKET attach {grid}/{network}` at a peer that carries none"
    return f"the host carries members of {grid}/{network} itself{WORKS}{there}"


def network_named(name: str, spec: GridSpec) -> NetworkSpec | None:
    """The network of that name; None if there is none."""
    return next((network for network in spec.networks if network.name == name), None)


def is_free(address: str, cidr: str, taken: Container[str]) -> bool:
    """Whether somebody may be attached there: it is a host's address, and neither the gateway's nor `taken`."""
    try:
        place, network = IPv4Address(address), IPv4Network(cidr)
    except AddressValueError:
        return False
    ends = (network.network_address, network.broadcast_address)
    plain = str(place) == address and place in network and place not in ends
    return plain and address != gateway(cidr) and address not in taken


def candidates(cidr: str, peer: PeerId, taken: Container[str]) -> Iterator[str]:
    """The addresses that an asker tries, in order: from the top of the range, where workspaces come last."""
    network = IPv4Network(cidr)
    highest = (str(network[-n]) for n in range(2, min(network.num_addresses, 2 * _SPREAD)))
    free = [text for text in highest if is_free(text, cidr, taken)]
    first = int.from_bytes(sha256(f"{peer} {cidr}".encode()).digest()[:4])
    first = first % min(_SPREAD, len(free)) if free else 0
    yield from (*free[first:], *free[:first])
