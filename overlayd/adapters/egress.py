"""The way out that this host gives to networks: what stays closed, who is asked for names, what stops it."""

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses

from netns.kernel.addresses import addresses
from netns.kernel.sysctl import forwarding
from netns.model import Egress
from overlayd.adapters.underlay import OURS
from overlayd.config.daemonfile import EgressUse, NetworkTable
from overlayd.config.values import is_address


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
        resolvers=network.resolvers,
    )
