"""The links of a lab, as `ip` and `tc` batches. Text only; `Lab.up` runs them.

host h1            wan
eth0 ----- veth --- h1 -+
                        s0 (bridge) --- u0 ===== r0 (router, last address of the subnet)
eth0 ----- veth --- h2 -+          TBF on u0: out of the site; on r0: into it
"""

from collections.abc import Callable
from ipaddress import IPv4Network

from netns.lab.topology import Host, Site, Topology

_QUEUE_MS = 50  # how long TBF lets a packet wait
_BURST_BYTES_MIN = 131_072  # two of the largest segments a veth carries


def wan_links(plan: Topology, namespace_of: Callable[[str], str]) -> str:
    """For `ip -n WAN -batch -`: everything that is made in the wide-area namespace."""
    lines: list[str] = []
    number = 0
    for index, site in enumerate(plan.sites):
        lines += [
            f"link add s{index} type bridge mcast_snooping 0",
            f"link add u{index} type veth peer name r{index}",
            f"link set u{index} master s{index} alias uplink-of-{site.name}",
            f"address add {site.router}/{_bits(site)} dev r{index}",
            *(f"link set {link}{index} up" for link in "sur"),
        ]
        for host in site.hosts:
            lines += [
                f"link add h{number} type veth peer name eth0 netns {namespace_of(host.name)}",
                f"link set h{number} master s{index} alias {host.name} up",
            ]
            number += 1
    return _batch(lines)


def host_links(site: Site, host: Host) -> str:
    """For `ip -n HOST -batch -`."""
    return _batch(
        [
            f"address add {host.address}/{_bits(site)} dev eth0",
            "link set eth0 up",
            f"route add default via {site.router}",
        ]
    )


def rates(plan: Topology) -> str:
    """For `tc -n WAN -batch -`."""
    lines = []
    for index, site in enumerate(plan.sites):
        if site.rate_bits_per_s:
            burst = max(_BURST_BYTES_MIN, site.rate_bits_per_s // 800)  # 10 ms worth
            shape = f"tbf rate {site.rate_bits_per_s}bit burst {burst} latency {_QUEUE_MS}ms"
            lines += [f"qdisc replace dev {link}{index} root {shape}" for link in "ur"]
    return _batch(lines)


def _bits(site: Site) -> int:
    return IPv4Network(site.subnet).prefixlen


def _batch(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
