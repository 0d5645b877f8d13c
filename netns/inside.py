"""How networks cross hosts inside WireGuard: a host's one interface, its address in there, and its peers.

A host has one interface for all of its networks. Its address inside follows from who it is, so nobody chooses
it. WireGuard takes packets from an address by the key of its host alone.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

import msgspec

WIREGUARD_BYTES = 60  # IPv4 20, UDP 8, header 16, tag 16
VXLAN_INSIDE_BYTES = 70  # of what is in there: IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14
MTU_MIN = 1280  # of a link that speaks IPv6 (RFC 8200)
_PORT_MAX = 65_535
_PREFIX = bytes((0xFD,)) + sha256(b"overlayd, inside WireGuard").digest()[:5]
PREFIX = f"{IPv6Address(_PREFIX + bytes(10))}/48"
"""The addresses of hosts in there: unique local ones (RFC 4193), of one prefix for all of us."""

_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")


class WireguardPeer(msgspec.Struct, frozen=True):
    """Another host that a network crosses to.

    - `peer`: who it is. `address`: where it is inside, which follows from that.
    - `key`: its public key, as `wg` writes it.
    - `endpoint`: where it takes packets, `198.51.100.1:7701`; empty if that is not known.
    """

    peer: str
    key: str
    address: str
    endpoint: str = ""


class Wireguard(msgspec.Struct, frozen=True):
    """This host's address inside, its UDP port, and the hosts that a network crosses to.

    A host that has no interface any more has no port: the network is not carried there.
    """

    address: str
    port: int
    peers: tuple[WireguardPeer, ...] = ()

    def faults(self) -> Iterator[str]:
        """What makes no sense of it."""
        if not self.port:
            yield "it crosses hosts inside WireGuard, which this host cannot do any more"
        elif not 1 <= self.port <= _PORT_MAX:
            yield f"WireGuard's port {self.port} is not in 1..{_PORT_MAX}"
        for peer in self.peers:
            if not is_key(peer.key):
                yield f"{peer.peer}: {peer.key!r} is not a key of WireGuard"
            if peer.address != inside_address(peer.peer):
                yield f"{peer.peer}: {peer.address!r} is not its address inside WireGuard"
            if peer.endpoint and not _is_endpoint(peer.endpoint):
                yield f"{peer.peer}: {peer.endpoint!r} is not an address and a port"
        own = [self.address, *(peer.address for peer in self.peers)]
        if len(set(own)) != len(own):
            yield "two hosts have one address inside WireGuard"


def link_name(owner_tag: str) -> str:
    """What a host's interface is called."""
    return f"ovw-{owner_tag}"


def table_name(owner_tag: str) -> str:
    """The table of the rules that belong to it, as nft takes it."""
    return f"inet ovw_{owner_tag}"


def inside_address(peer: str) -> str:
    """Where a host is inside. It follows from who it is: nobody takes another's."""
    return str(IPv6Address(_PREFIX + sha256(peer.encode()).digest()[:10]))


def is_key(text: str) -> bool:
    """Whether `text` is a key as `wg` writes it: 32 bytes in base64."""
    return _KEY.fullmatch(text) is not None


def endpoint_of(address: str, port: int) -> str:
    """An address and a port, as `wg` takes them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    try:
        ip = ip_address(host.removeprefix("[").removesuffix("]"))
        return text == endpoint_of(str(ip), int(port)) and 1 <= int(port) <= _PORT_MAX
    except ValueError:
        return False
