"""What the tunnel of one network lets in, as an nftables ruleset: frames from the hosts that carry it, alone.

The kernel hands a VXLAN packet to the device of its network whoever sent it. So each network has a table of
its own on the host, beside that of its bridge, which drops packets with its number from any other source. It
hangs at the host's input, where fragments have been put together. Whoever can forge a carrier's address on the
underlay still gets in: a sealed network alone is shut to it. Its frames come and go inside packets of the
forwarder, so nothing in VXLAN with its number is let in from anybody, nor out: it fails closed.
"""

from netns.model import VXLAN_PORT, NetworkPlan

_NUMBER = "@th,96,24"
"""Where the network's number is: behind 8 bytes of UDP and 4 of VXLAN (RFC 7348), 24 bits."""


def ruleset(plan: NetworkPlan) -> str:
    """Text for `nft -f -` that replaces the network's table, whatever it was before."""
    return _sealed(plan) if plan.sealed else _plain(plan)


def _sealed(plan: NetworkPlan) -> str:
    rule = f"\t\tudp dport {VXLAN_PORT} {_NUMBER} {plan.vni} drop"
    chains = []
    for hook in ("input", "output"):
        head = f"\t\ttype filter hook {hook} priority -10; policy accept;"
        chains += [f"\tchain {hook} {{", head, rule, "\t}"]
    return _table(plan, chains)


def _plain(plan: NetworkPlan) -> str:
    carriers = sorted({neighbour.via for neighbour in plan.neighbours})
    elements = ["\t\telements = { " + ", ".join(carriers) + " }"] if carriers else []
    return _table(
        plan,
        [
            "\tset carriers {",
            "\t\ttype ipv4_addr",
            *elements,
            "\t}",
            "\tchain input {",
            "\t\ttype filter hook input priority -10; policy accept;",
            f"\t\tudp dport {VXLAN_PORT} {_NUMBER} {plan.vni} ip saddr != @carriers drop",
            "\t}",
        ],
    )


def _table(plan: NetworkPlan, inside: list[str]) -> str:
    table = f"inet {plan.table}"
    begin = [f"add table {table}", f"delete table {table}", f"table {table} {{"]
    return "\n".join([*begin, *inside, "}", ""])
