"""The way out of a network: the addresses of its two ends, and the host's nftables table for it, as text.

Two networks of one host may have the same range, so their guests' addresses mean nothing outside. What leaves
the namespace has an address of that way alone, out of the link-local range, which no router passes on; what
leaves the host has the host's. The host itself is no destination, other ways are none, and nothing begins from
outside. Which ranges guests do not reach is the bridge's filter's business (`filter_text`): there it is known
who sends.
"""

from ipaddress import IPv4Address, IPv4Network

from netns.model import Egress
from netns.plan import dnsmasq

RANGE = IPv4Network("169.254.192.0/18")
"""Where the ends of the ways out are. The metadata address is not in it."""
SLOTS = RANGE.num_addresses // 2


def ends(slot: int) -> tuple[str, str]:
    """(outside, inside): the addresses of the host's end and of the namespace's."""
    first = int(RANGE.network_address) + 2 * slot
    return str(IPv4Address(first)), str(IPv4Address(first + 1))


def ruleset(table: str, link: str, slot: int, egress: Egress) -> str:
    """Text for `nft -f -` that replaces the host's table for the way out, whatever it was before."""
    name = f"ip {table}"
    outside, inside = ends(slot)
    places = [(resolver, 53) for resolver in sorted(egress.resolvers)]
    if dnsmasq.asks_host(egress):
        places = [(outside, dnsmasq.RELAY_PORT)]
    asked = [
        f'\t\tiifname "{link}" ip daddr {address} {protocol} dport {port} accept'
        for address, port in places
        for protocol in ("udp", "tcp")
    ]
    lines = [
        f"add table {name}",
        f"delete table {name}",
        f"table {name} {{",
        "\tchain input {",
        "\t\ttype filter hook input priority -10; policy accept;",
        f'\t\tiifname "{link}" ct state {{ established, related }} accept',
        *asked,
        f'\t\tiifname "{link}" drop',
        f'\t\tip daddr {outside} iifname != "lo" drop',  # its host alone is to ask there
        "\t}",
        "\tchain forward {",
        "\t\ttype filter hook forward priority -10; policy accept;",
        f'\t\tiifname "{link}" ip saddr != {inside} drop',
        f'\t\tiifname "{link}" oifname "ov*" drop',
        f'\t\toifname "{link}" ct state != {{ established, related }} drop',
        "\t}",
        "\tchain postrouting {",
        "\t\ttype nat hook postrouting priority srcnat; policy accept;",
        f"\t\tip saddr {inside} masquerade",
        "\t}",
        "}",
        "",
    ]
    return "\n".join(lines)
