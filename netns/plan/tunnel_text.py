"""What the tunnel of one network lets in, as an nftables ruleset: frames from the hosts that carry it, alone.

The kernel hands a VXLAN packet to the device of its network whoever sent it. So each network has a table of
its own on the host, beside that of its bridge, which drops packets with its number from any other source. It
hangs at the host's input, where fragments have been put together. Whoever can forge a carrier's address on the
underlay still gets in: a sealed network alone is shut to it. Its frames come and go inside packets of the
forwarder, so nothing in VXLAN with its number is let in from anybody, nor out: it fails closed. Neither does
anything of a network that WireGuard carries, but by the interface of WireGuard.
"""

from netns.inside import link_name
from netns.model import VXLAN_PORT, NetworkPlan

_NUMBER = "@th,96,24"
"""Where the network's number is: behind 8 bytes of UDP and 4 of VXLAN (RFC 7348), 24 bits."""


def ruleset(plan: NetworkPlan) -> str:
    """Text for `nft -f -` that replaces the network's table, whatever it was before."""
    if plan.wireguard is not None:
        return _inside(plan)
    return _sealed(plan) if plan.sealed else _plain(plan)


def _sealed(plan: NetworkPlan) -> str:
    rule = f"{_ours(plan)} drop"
    return _table(plan, _chain("input", rule) + _chain("output", rule))


def _inside(plan: NetworkPlan) -> str:
    link = link_name(plan.owner_tag)
    came = (
        f'{_ours(plan)} iifname != "{link}" drop',
        f"{_ours(plan)} ip6 saddr != @carriers drop",
    )
    goes = _chain("output", f'{_ours(plan)} oifname != "{link}" drop')
    return _table(plan, [*_carriers(plan, "ipv6_addr"), *_chain("input", *came), *goes])


def _plain(plan: NetworkPlan) -> str:
    ip, of = ("ip6", "ipv6_addr") if ":" in plan.underlay else ("ip", "ipv4_addr")
    rule = f"{_ours(plan)} {ip} saddr != @carriers drop"
    return _table(plan, [*_carriers(plan, of), *_chain("input", rule)])


def _ours(plan: NetworkPlan) -> str:
    """What VXLAN packets of this network are known by."""
    return f"udp dport {VXLAN_PORT} {_NUMBER} {plan.vni}"


def _carriers(plan: NetworkPlan, of: str) -> list[str]:
    carriers = sorted({neighbour.via for neighbour in plan.neighbours})
    elements = ["\t\telements = { " + ", ".join(carriers) + " }"] if carriers else []
    return ["\tset carriers {", f"\t\ttype {of}", *elements, "\t}"]


def _chain(hook: str, *rules: str) -> list[str]:
    head = f"\t\ttype filter hook {hook} priority -10; policy accept;"
    return [f"\tchain {hook} {{", head, *(f"\t\t{rule}" for rule in rules), "\t}"]


def _table(plan: NetworkPlan, inside: list[str]) -> str:
    table = f"inet {plan.table}"
    begin = [f"add table {table}", f"delete table {table}", f"table {table} {{"]
    return "\n".join([*begin, *inside, "}", ""])
