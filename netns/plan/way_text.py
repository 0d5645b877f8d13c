"""The way out of a network, and in: the addresses of its two ends, and the nftables tables for it, as text.

Two networks of one host may have the same range, so their guests' addresses mean nothing outside. What leaves
the namespace has an address of that way alone, out of the link-local range, which no router passes on; what
leaves the host has the host's. The host itself is no destination, other ways are none, and nothing begins from
outside but what comes to an exposed port. That goes to the same port of the namespace's end, and from there to
the guest: its source stays as it is. A port that is exposed no more cuts off who is connected by it.

Which ranges guests do not reach is the bridge's filter's business (`filter_text`): there it is known who sends.
It lets pass what comes from an exposed port, as that may be an answer; whether it is one is known in the
namespace, which lets no guest begin anything there either.
"""

from ipaddress import IPv4Address, IPv4Network

from netns.model import Egress, Exposed, NetworkPlan
from netns.plan import dnsmasq
from netns.resources import INNER_LINK, OUTER_LINK

RANGE = IPv4Network("169.254.192.0/18")
"""Where the ends of the ways out are. The metadata address is not in it."""
SLOTS = RANGE.num_addresses // 2


def ends(slot: int) -> tuple[str, str]:
    """(outside, inside): the addresses of the host's end and of the namespace's."""
    first = int(RANGE.network_address) + 2 * slot
    return str(IPv4Address(first)), str(IPv4Address(first + 1))


def ruleset(plan: NetworkPlan, slot: int) -> str:
    """Text for `nft -f -` that replaces the host's table for the way out, whatever it was before."""
    link, exposed = plan.way, _by_protocol(plan.exposed)
    outside, inside = ends(slot)
    asked = [
        f'iifname "{link}" ip daddr {address} {protocol} dport {port} accept'
        for address, port in _resolvers(plan.egress, outside)
        for protocol in ("udp", "tcp")
    ]
    comes = [
        f'iifname != "ov*" ip daddr {plan.exposed_at} {protocol} dport {ports} dnat to {inside}'
        for protocol, ports in exposed
    ]
    begun = f'oifname "{link}" ct direction original'
    lets_in = [f'oifname "{link}" {_ERRORS}'] if exposed else []
    lets_in += [
        f"{begun} ct status dnat {protocol} dport {ports} accept" for protocol, ports in exposed
    ]
    lets_in += [f"{begun} drop"] if exposed else []
    chains = {
        "input": (
            "type filter hook input priority -10",
            f'iifname "{link}" ct state {{ established, related }} accept',
            *asked,
            f'iifname "{link}" drop',
            f'ip daddr {outside} iifname != "lo" drop',  # its host alone is to ask there
        ),
        "forward": (
            "type filter hook forward priority -10",
            f'iifname "{link}" ip saddr != {inside} drop',
            f'iifname "{link}" oifname "ov*" drop',
            *([] if plan.egress else [f'iifname "{link}" ct direction original drop']),
            *lets_in,
            f'oifname "{link}" ct state != {{ established, related }} drop',
        ),
    }
    if comes:
        chains["prerouting"] = ("type nat hook prerouting priority dstnat", *comes)
    if plan.egress is not None:
        masked = f"ip saddr {inside} masquerade"
        chains["postrouting"] = ("type nat hook postrouting priority srcnat", masked)
    return _table(plan.table, chains)


def _resolvers(egress: Egress | None, outside: str) -> list[tuple[str, int]]:
    """(address, port) of whom the namespace's server may ask about names of the outside."""
    if egress is None:
        return []
    if dnsmasq.asks_host(egress):
        return [(outside, dnsmasq.RELAY_PORT)]
    return [(resolver, 53) for resolver in sorted(egress.resolvers)]


def inner_ruleset(plan: NetworkPlan) -> str:
    """The same for the table in the network's namespace."""
    begun = f'iifname "{INNER_LINK}" ct direction original'
    ways = sorted(plan.exposed, key=lambda e: (e.outside, e.protocol))
    to = [(f"{e.protocol} dport {e.outside}", e) for e in ways]
    chains: dict[str, tuple[str, ...]] = {
        "prerouting": (
            "type nat hook prerouting priority dstnat",
            *(f'iifname "{OUTER_LINK}" {asked} dnat to {e.address}:{e.port}' for asked, e in to),
        ),
        "input": (
            "type filter hook input priority filter",
            f'iifname "{OUTER_LINK}" ct state {{ established, related }} accept',
            f'iifname "{OUTER_LINK}" drop',
        ),
        "forward": (
            "type filter hook forward priority filter",
            f'iifname "{OUTER_LINK}" {_ERRORS}',
            *(
                f'iifname "{OUTER_LINK}" ct status dnat ip daddr {e.address} {e.protocol} dport {e.port} accept'
                for e in ways
            ),
            f'iifname "{OUTER_LINK}" ct direction original drop',
            *_shut(plan, begun),
        ),
        "postrouting": (
            "type nat hook postrouting priority srcnat",
            f'oifname "{OUTER_LINK}" masquerade',
        ),
    }
    return _table("ovl_out", chains)


_ERRORS = "ip protocol icmp ct state related accept"
"""Of a packet that was too large, for example: whoever sent it has to hear of that."""


def _shut(plan: NetworkPlan, begun: str) -> tuple[str, ...]:
    """Where guests do not go by themselves. An answer goes anywhere."""
    if plan.egress is None:
        return (f"{begun} drop",)
    closed = ", ".join(plan.egress.closed)
    return (f"{begun} ip daddr {{ {closed} }} drop",) if closed else ()


def _by_protocol(exposed: tuple[Exposed, ...]) -> list[tuple[str, str]]:
    """(protocol, the ports of the host as a set of nft's), of protocols with any."""
    ports: dict[str, list[int]] = {}
    for each in sorted(exposed, key=lambda e: (e.protocol, e.outside)):
        ports.setdefault(each.protocol, []).append(each.outside)
    return [(name, f"{{ {', '.join(map(str, found))} }}") for name, found in ports.items()]


def _table(table: str, chains: dict[str, tuple[str, ...]]) -> str:
    name = f"ip {table}"
    lines = [f"add table {name}", f"delete table {name}", f"table {name} {{"]
    for chain, (hook, *rules) in chains.items():
        lines += [f"\tchain {chain} {{", f"\t\t{hook}; policy accept;"]
        lines += [*(f"\t\t{rule}" for rule in rules), "\t}"]
    return "\n".join([*lines, "}", ""])
