"""What carries the frames of a grid's network from host to host, and what that takes of each packet.

It follows from the grid's record alone, so all of its hosts come to the same. Each host's grant, which it
signed, says whether it carries networks by WireGuard. A network that is to be encrypted goes by that if all
hosts with members on it granted so, and is sealed otherwise; also between hosts of one site. If a change brings
a host that did not, which may be one of an older build, the network is sealed everywhere from that epoch on. A
host that can do no more what it granted carries nothing of the network: nothing goes otherwise than the record
says.
"""

from collections.abc import Collection
from enum import StrEnum

from protocol.grid.addresses import Card
from protocol.grid.grant import read_grant
from protocol.grid.model import Encryption, NetworkSpec
from protocol.grid.record import GridRecord


class Carrier(StrEnum):
    """How frames cross."""

    PLAIN = "plain"
    """In VXLAN, readable on the way."""
    SEALED = "sealed"
    """Sealed by the forwarder of each host, with keys that the two hosts alone have."""
    WIREGUARD = "wireguard"
    """In VXLAN, inside WireGuard of the hosts' kernels."""


MORE_BYTES = {Carrier.PLAIN: 0, Carrier.SEALED: 32, Carrier.WIREGUARD: 80}
"""What each takes of a packet beyond what VXLAN takes. Sealing: 16 of a header, 16 of a tag; both have 8 more.
WireGuard: 20 of IPv4, 8 of UDP, 16 of a header, 16 of a tag, and 20 as VXLAN is in IPv6 in there."""


def carrier_of(network: NetworkSpec, by_wireguard: bool) -> Carrier:
    """What carries a network; `by_wireguard`: whether all of its hosts do that."""
    if network.encryption is not Encryption.REQUIRED:
        return Carrier.PLAIN
    return Carrier.WIREGUARD if by_wireguard else Carrier.SEALED


def carriers_of(
    record: GridRecord, networks: Collection[NetworkSpec], cards: Collection[Card]
) -> dict[str, Carrier]:
    """What carries each of a grid's networks. `networks` and `cards` are of the whole grid."""
    grants = [read_grant(signed) for signed in record.grants]
    able = {name for grant in grants if grant.wireguard for name in grant.workspaces}
    unable = {name for grant in grants if not grant.wireguard for name in grant.workspaces}
    unable |= {name for name in record.placed if name not in able}
    # One that was removed counts as long as its grant is there: no guest gets another mtu by that.
    sealed = {card.network for card in cards if card.workspace in unable}
    return {network.name: carrier_of(network, network.name not in sealed) for network in networks}


def carries(carrier: Carrier, mtu: int, least: int) -> int:
    """The largest packet of guests that it takes, in bytes, where plain has `mtu`; never below `least`."""
    return max(least, mtu - MORE_BYTES[carrier])
