"""The table of networks as the loop uses it: bytes instead of text, found by one look."""

from ipaddress import IPv4Address
from typing import NamedTuple

from netns.tunnel.tables import Networks, SealedNetwork


class Remote(NamedTuple):
    """A member elsewhere."""

    peer: str
    address: bytes


class Route(NamedTuple):
    """One network."""

    vni: int
    tap: str
    mtu: int
    local: frozenset[bytes]
    remote: dict[bytes, Remote]
    """By MAC."""
    macs: dict[bytes, bytes]
    """MACs of members elsewhere by address."""


def routes(table: Networks) -> dict[int, Route]:
    """By VNI. The table was checked."""
    return {network.vni: _route(network) for network in table.networks}


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _route(network: SealedNetwork) -> Route:
    remote = {
        mac_bytes(member.mac): Remote(member.peer, IPv4Address(member.address).packed)
        for member in network.members
    }
    return Route(
        vni=network.vni,
        tap=network.tap,
        mtu=network.mtu,
        local=frozenset(map(mac_bytes, network.local)),
        remote=remote,
        macs={member.address: mac for mac, member in remote.items()},
    )
