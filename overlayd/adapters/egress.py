"""The way out that this host gives to networks: what stays closed, who is asked for names, what stops it."""

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses
from pathlib import Path

from netns.kernel.addresses import addresses
from netns.kernel.sysctl import forwarding
from netns.model import Egress
from overlayd.adapters.underlay import OURS
from overlayd.config.daemonfile import EgressUse, NetworkTable
from overlayd.config.values import is_address

_RESOLV = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
"""The first that is there. systemd's stub listens on the loopback, where no guest's question gets."""


def fault_of(network: NetworkTable) -> str:
    """Why guests get no way out though they are to, and what would help; empty if nothing stops it."""
    if network.egress is EgressUse.NONE or forwarding():
        return ""
    return (
        "guests get no way out: this host does not forward packets (network.egress: nat); "
        "`sysctl -w net.ipv4.ip_forward=1`, and a firewall that lets pass what guests may"
    )


def way_out(network: NetworkTable, hosts: Iterable[str]) -> Egress | None:
    """The way out; None if there is none. `hosts` are addresses of hosts of the overlay, which stay closed."""
    if network.egress is EgressUse.NONE or fault_of(network):
        return None
    own = (one for one in addresses() if one.is_ipv4 and not one.link.startswith(OURS))
    ours = [f"{one.address}/{one.prefix_bits}" for one in own]
    hosts = [host for host in hosts if is_address(host)]
    closed = [IPv4Network(text, strict=False) for text in (*network.egress_closed, *ours, *hosts)]
    return Egress(
        closed=tuple(str(one) for one in collapse_addresses(closed)),
        resolvers=network.resolvers or resolvers_in(_resolv()),
    )


def resolvers_in(text: str) -> tuple[str, ...]:
    """The IPv4 name servers that a resolv.conf names, but for those on the loopback."""
    words = [line.split() for line in text.splitlines()]
    named = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return tuple(a for a in dict.fromkeys(named) if is_address(a) and not a.startswith("127."))


def _resolv() -> str:
    for path in _RESOLV:
        if path.exists():
            return path.read_text(errors="replace")
    return ""
