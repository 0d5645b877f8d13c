"""What dnsmasq is told, as text: DHCP for the local ports, DNS for every member of the network.

On a network with IPv6 it advertises the prefix as one whose addresses come by DHCPv6 alone, and the MTU. It is
no router there, so that no guest waits for what has no way out. Guests are known by their MACs, which it asks
the kernel for; and it has the same DUID on every host, so that a guest which arrives from another one goes on.

A guest on two networks asks one of their servers, so each knows the names of the other, too.

Without a way out the server forwards nothing, a name outside the grid is refused, and no router is announced.
With one it asks the resolvers that the plan names. Without these it asks a second dnsmasq, on the host, at the
host's end of the way out, which asks whom the host asks: also what listens on the host's loopback alone, and
whatever /etc/resolv.conf says next. A route to the metadata address is always announced: it leads to the
gateway. `netns.services` gives everything that names a path on the command line, so that these texts are the
same wherever the state lies.
"""

from ipaddress import IPv4Network

from netns.model import (
    METADATA_ADDRESS,
    PORTS_MAX,
    PREFIX6_BITS,
    Egress,
    NetworkPlan,
)
from netns.resources import INNER_LINK

RESOLV_CONF = "/etc/resolv.conf"
RELAY_PORT = 1053
"""Of the host's dnsmasq. Another server of the host may have all of port 53."""
_NAME_TTL_S = 10
_ENTERPRISE = 32473  # reserved for examples (RFC 5612): no DUID of any product begins with it
_ADVERTISED_S, _NO_ROUTER_S = 600, 0
_EXPOSED = "exposed"
"""What guests are tagged with that are reached from outside."""


def asks_host(egress: Egress) -> bool:
    """Whether names of the outside are asked of the host's own dnsmasq."""
    return not egress.resolvers or any(one.startswith("127.") for one in egress.resolvers)


def relay(egress: Egress, outside: str) -> str:
    """The configuration of the host's own, which listens at the host's end of the way out."""
    asked = [f"server={resolver}" for resolver in egress.resolvers]
    lines = [
        f"port={RELAY_PORT}",
        f"listen-address={outside}",
        "bind-interfaces",
        "no-hosts",
        "cache-size=0",  # who asks keeps what it is told
        *(["no-resolv", *asked] if asked else [f"resolv-file={RESOLV_CONF}"]),
    ]
    return "\n".join([*lines, ""])


def config(plan: NetworkPlan, outside: str) -> str:
    """The configuration file. A change of it needs a restart. `outside`: the host's end of the way out."""
    cidr = IPv4Network(plan.cidr)
    lines = [
        f"interface={INNER_LINK}",
        "no-resolv",
        "no-poll",
        "no-hosts",
        "bogus-priv",
        "domain-needed",
        f"domain={plan.domain}",
        f"local=/{plan.domain}/",
        f"local-ttl={_NAME_TTL_S}",
        f"dhcp-range={cidr.network_address},static,{cidr.netmask},infinite",
        f"dhcp-lease-max={PORTS_MAX}",
        "dhcp-ignore=tag:!known",
        "dhcp-authoritative",  # a guest that arrives with a lease of another host keeps it
        "leasefile-ro",  # addresses come from the plan; nothing to remember
        "no-ping",
        f"dhcp-option=option:dns-server,{plan.gateway}",
        f"dhcp-option=option:domain-search,{plan.domain}",
        f"dhcp-option-force=option:mtu,{plan.guests_mtu}",  # also to a guest that does not ask
        *_ways(plan, outside),
        *_six(plan),
        "quiet-dhcp",
    ]
    return "\n".join([*lines, ""])


def _ways(plan: NetworkPlan, outside: str) -> list[str]:
    """What leads out, for guests and for the server itself. Who takes option 121 ignores the router."""
    routes = f"dhcp-option=option:classless-static-route,{METADATA_ADDRESS}/32,{plan.gateway}"
    if plan.egress is None:
        nowhere = ["dhcp-option=option:router", routes]
        return nowhere + [f"dhcp-option=tag:{_EXPOSED},{each}" for each in _back(plan)]
    at_host = asks_host(plan.egress)
    servers = [f"{outside}#{RELAY_PORT}"] if at_host else plan.egress.resolvers
    return [
        *(f"server={server}" for server in servers),
        f"dhcp-option=option:router,{plan.gateway}",
        f"{routes},0.0.0.0/0,{plan.gateway}",
    ]


def _six(plan: NetworkPlan) -> list[str]:
    if not plan.cidr6:
        return []
    return [
        f"dhcp-range={plan.cidr6.partition('/')[0]},static,{PREFIX6_BITS},infinite",
        f"dhcp-duid={_ENTERPRISE},{plan.gateway_mac}",
        f"dhcp-option=option6:dns-server,[{plan.six(plan.gateway)}]",
        f"dhcp-option=option6:domain-search,{plan.domain}",
        "enable-ra",
        f"ra-param={INNER_LINK},mtu:{plan.guests_mtu},{_ADVERTISED_S},{_NO_ROUTER_S}",
        "quiet-dhcp6",
        "quiet-ra",
    ]


def dhcp_hosts(plan: NetworkPlan) -> str:
    """One line for each local port: MAC, addresses, host name. A change of it needs a restart."""
    reached = {each.address: None for each in plan.exposed} if plan.egress is None else {}
    lines = []
    for port in sorted(plan.ports, key=lambda port: port.mac):
        tag = f"set:{_EXPOSED}," if port.address in reached else ""
        addresses = ",".join(_addresses(plan, port.address))
        lines.append(f"{port.mac},{tag}{addresses},{port.name},infinite\n")
    return "".join(lines)


def _addresses(plan: NetworkPlan, address: str) -> tuple[str, ...]:
    return (address, f"[{plan.six(address)}]") if plan.cidr6 else (address,)


def _back(plan: NetworkPlan) -> list[str]:
    """What leads answers out of a guest that is reached from outside, where guests do not get out."""
    if not plan.exposed:
        return []
    everywhere = f"{METADATA_ADDRESS}/32,{plan.gateway},0.0.0.0/0,{plan.gateway}"
    return [f"option:router,{plan.gateway}", f"option:classless-static-route,{everywhere}"]


def names(plan: NetworkPlan) -> str:
    """A hosts file of all members, here and elsewhere, and of others. A change of it needs SIGHUP."""
    members = [(port.name, port.address) for port in plan.ports]
    members += [(neighbour.name, neighbour.address) for neighbour in plan.neighbours]
    if plan.cidr6:
        alone = {neighbour.name for neighbour in plan.neighbours if neighbour.four_alone}
        members += [(name, plan.six(address)) for name, address in members if name not in alone]
    members += [*plan.others, *plan.others6]
    return "".join(f"{address} {name}.{plan.domain} {name}\n" for name, address in sorted(members))
