"""The table of networks as the loop uses it: bytes instead of text, found by one look."""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from netns.model import address6
from netns.tunnel.nd import PREFIX_BYTES
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
    prefix6: bytes
    """What members' IPv6 addresses begin with: all but the IPv4 address at the end. Empty: it has no IPv6."""
    partners: tuple[str, ...] = ()
    """Peers to which a frame to a group is copied. Without `multicast` none is."""
    multicast: bool = False


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
        prefix6=_prefix6(network.cidr6),
        partners=tuple(dict.fromkeys(m.peer for m in network.members)) if network.multicast else (),
        multicast=network.multicast,
    )


def _prefix6(cidr6: str) -> bytes:
    anybody = "192.0.2.1"
    return IPv6Address(address6(cidr6, anybody)).packed[:PREFIX_BYTES] if cidr6 else b""
