"""The links of a lab, as `ip` and `tc` batches. Text only; `Lab.up` runs them.

host h1            wan
eth0 ----- veth --- h1 -+
                        s0 (bridge) --- u0 ===== r0 (router, last address of the subnet)
eth0 ----- veth --- h2 -+          TBF on u0: out of the site; on r0: into it

A site with `nat` has its router in a namespace of its own, with a leg `out` to n0 in the wide-area one. The
wide area has a route to the private subnet, so that only the router's filter keeps others out.
"""

from collections.abc import Callable
from ipaddress import IPv4Interface, ip_network

from netns.lab.topology import Host, Site, Topology

_QUEUE_MS = 50  # how long TBF lets a packet wait
_BURST_BYTES_MIN = 131_072  # two of the largest segments a veth carries


NAT_TABLE = "lab_nat"
CLOSED = "closed"
"""The chain that keeps others out of a site behind NAT. There is none while the site is open."""


def router_of(site: Site) -> str:
    """The short name of the namespace of a site's NAT router. It has a dot, which no host's name has."""
    return f"{site.name}.nat"


def wan_links(plan: Topology, namespace_of: Callable[[str], str]) -> str:
    """For `ip -n WAN -batch -`: everything in the wide-area namespace."""
    lines: list[str] = []
    number = 0
    for index, site in enumerate(plan.sites):
        inside = f" netns {namespace_of(router_of(site))}" if site.nat else ""
        lines += [
            f"link add s{index} type bridge mcast_snooping 0",
            f"link add u{index} type veth peer name r{index}{inside}",
            f"link set u{index} master s{index} alias uplink-of-{site.name}",
            *(f"link set {link}{index} up" for link in "su"),
        ]
        if site.nat:
            bits = IPv4Interface(site.nat).network.prefixlen
            lines += [
                f"link add n{index} type veth peer name out{inside}",
                f"address add {site.nat_gateway}/{bits} dev n{index}",
                f"link set n{index} up",
                f"route add {site.subnet} via {site.nat_address}",
            ]
        else:
            lines += [
                f"address add {site.router}/{_bits(site)} dev r{index}{_at_once(site)}",
                f"link set r{index} up",
            ]
        for host in site.hosts:
            lines += [
                f"link add h{number} type veth peer name eth0 netns {namespace_of(host.name)}",
                f"link set h{number} master s{index} alias {host.name} up",
            ]
            number += 1
    return _batch(lines)


def router_links(index: int, site: Site) -> str:
    """For `ip -n ROUTER -batch -`."""
    return _batch(
        [
            f"address add {site.router}/{_bits(site)} dev r{index}",
            f"link set r{index} up",
            f"address add {site.nat} dev out",
            "link set out up",
            f"route add default via {site.nat_gateway}",
        ]
    )


def masquerade() -> str:
    """For `nft -f -` in a NAT router's namespace: packets that go out have the router's address."""
    return f"""table ip {NAT_TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "out" masquerade
    }}
}}
"""


def closed() -> str:
    """For `nft -f -` there: packets that answer nothing do not come in."""
    return f"""add chain ip {NAT_TABLE} {CLOSED} {{ type filter hook forward priority filter; policy accept; }}
flush chain ip {NAT_TABLE} {CLOSED}
add rule ip {NAT_TABLE} {CLOSED} ct state established,related accept
add rule ip {NAT_TABLE} {CLOSED} iifname "out" drop
"""


def reached_only(plan: Topology) -> str:
    """For `nft -f -` in the wide-area namespace: sites that only one other reaches."""
    subnets = {site.name: site.subnet for site in plan.sites}
    rules = [
        rule
        for site in plan.sites
        if site.through
        for rule in (
            f"ip saddr {site.subnet} ip daddr != {subnets[site.through]} drop",
            f"ip daddr {site.subnet} ip saddr != {subnets[site.through]} drop",
        )
    ]
    if not rules:
        return ""
    lines = "\n        ".join(rules)
    return f"""table ip lab_through {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        {lines}
    }}
}}
"""


def host_links(site: Site, host: Host) -> str:
    """For `ip -n HOST -batch -`."""
    return _batch(
        [
            f"address add {host.address}/{_bits(site)} dev eth0{_at_once(site)}",
            "link set eth0 up",
            f"route add default via {site.router}",
        ]
    )


def rates(plan: Topology) -> str:
    """For `tc -n WAN -batch -`."""
    lines = []
    for index, site in enumerate(plan.sites):
        if site.rate_bits_per_s:
            # Into a site behind NAT the wide-area end of its router's link sends.
            ends = ("u", "n") if site.nat else ("u", "r")
            burst = max(_BURST_BYTES_MIN, site.rate_bits_per_s // 800)  # 10 ms worth
            shape = f"tbf rate {site.rate_bits_per_s}bit burst {burst} latency {_QUEUE_MS}ms"
            lines += [f"qdisc replace dev {end}{index} root {shape}" for end in ends]
    return _batch(lines)


def _bits(site: Site) -> int:
    return ip_network(site.subnet).prefixlen


def _at_once(site: Site) -> str:
    """Nobody is asked first whether the address is taken, which takes a second."""
    return " nodad" if site.is_ipv6 else ""


def _batch(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
