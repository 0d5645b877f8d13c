"""What the tunnel of one network lets in, as an nftables ruleset: frames from the hosts that carry it, alone.

The kernel hands a VXLAN packet to the device of its network whoever sent it. So each network has a table of
its own on the host, beside that of its bridge, which drops packets with its number from any other source. It
hangs at the host's input, where fragments have been put together. Whoever can forge a carrier's address on the
underlay still gets in: that ends with sealed tunnels only.
"""

from netns.model import VXLAN_PORT, NetworkPlan

_NUMBER = "@th,96,24"
"""Where the network's number is: behind 8 bytes of UDP and 4 of VXLAN (RFC 7348), 24 bits."""


def ruleset(plan: NetworkPlan) -> str:
    """Text for `nft -f -` that replaces the network's table, whatever it was before."""
    table = f"inet {plan.table}"
    carriers = sorted({neighbour.via for neighbour in plan.neighbours})
    elements = ["\t\telements = { " + ", ".join(carriers) + " }"] if carriers else []
    lines = [
        f"add table {table}",
        f"delete table {table}",
        f"table {table} {{",
        "\tset carriers {",
        "\t\ttype ipv4_addr",
        *elements,
        "\t}",
        "\tchain input {",
        "\t\ttype filter hook input priority -10; policy accept;",
        f"\t\tudp dport {VXLAN_PORT} {_NUMBER} {plan.vni} ip saddr != @carriers drop",
        "\t}",
        "}",
        "",
    ]
    return "\n".join(lines)
