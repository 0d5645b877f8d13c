"""The nftables ruleset of one network on one host, as text.

Each network has a table of the bridge family of its own, so that networks cannot disturb each other. The
kernels we run on have no `meta ibrname`, so every rule goes by the name of the port a frame came in by; those
names are ours alone. A guest may send ARP and IPv4 from the MAC and address it was given, and the ARP probe
and DHCP request it needs before it has one. It may send no other broadcast, because none would reach the
members on other hosts. A table is replaced in one transaction, so it is never half there.
"""

from netns.model import METADATA_ADDRESS, NetworkPlan, Port

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_TCP_IPV4_BYTES = 40  # the least headers of both
_KNOCKS = "limit rate over 10/second burst 64 packets"
"""What a guest may begin at the metadata address. One that floods it costs the daemon no more than that."""
_EARLY = "priority -250; policy accept;"  # before br_netfilter hands frames to the host's IP rules


def ruleset(plan: NetworkPlan) -> str:
    """Text for `nft -f -` that replaces the network's table, whatever it was before."""
    table = f"bridge {plan.table}"
    parts = [f"add table {table}", f"delete table {table}", f"table {table} {{"]
    parts += _sets(plan)
    parts += _chain("prerouting", "type filter hook prerouting", _dispatch(plan))
    parts += _chain("knocks", "", [f'iifname "{p.tap}" {_KNOCKS} drop' for p in _ports(plan)])
    parts += _chain("from_guest", "", _from_guest(plan))
    parts += _chain("from_tunnel", "", _FROM_TUNNEL)
    parts += _chain("from_service", "", _from_service(plan))
    parts += _chain("forward", "type filter hook forward", _forward(plan))
    members = ", ".join(f'"{name}"' for name in _links(plan))
    # The host is no member: nothing reaches its own stack through the bridge, nothing leaves it.
    parts += _chain("input", "type filter hook input", [f"iifname {{ {members} }} drop"])
    parts += _chain("output", "type filter hook output", [f"oifname {{ {members} }} drop"])
    return "\n".join([*parts, "}", ""])


def _links(plan: NetworkPlan) -> list[str]:
    return [plan.tunnel, plan.veth, *(port.tap for port in _ports(plan))]


def _ports(plan: NetworkPlan) -> list[Port]:
    return sorted(plan.ports, key=lambda port: port.tap)


def _sets(plan: NetworkPlan) -> list[str]:
    ports = _ports(plan)
    remote = sorted(plan.neighbours, key=lambda neighbour: neighbour.mac)
    cards = [f'"{port.tap}" . {port.mac}' for port in ports]
    owners = [f'"{port.tap}" . {port.mac} . {port.address}' for port in ports]
    afar = [f"{neighbour.mac} . {neighbour.address}" for neighbour in remote]
    return [
        *_set("card", "ifname . ether_addr", cards),
        *_set("owner", "ifname . ether_addr . ipv4_addr", owners),
        *_set("remote", "ether_addr . ipv4_addr", afar),
        *(
            _set("closed", "ipv4_addr", list(plan.egress.closed), ranges=True)
            if plan.egress
            else ()
        ),
    ]


def _set(name: str, of: str, elements: list[str], *, ranges: bool = False) -> list[str]:
    lines = [f"\tset {name} {{", f"\t\ttype {of}"]
    lines += ["\t\tflags interval", "\t\tauto-merge"] if ranges else []
    if elements:
        lines.append("\t\telements = { " + ",\n\t\t\t     ".join(elements) + " }")
    return [*lines, "\t}"]


def _chain(name: str, hook: str, rules: list[str]) -> list[str]:
    head = [f"\t\t{hook} {_EARLY}"] if hook else []
    return [f"\tchain {name} {{", *head, *(f"\t\t{rule}" for rule in rules), "\t}"]


def _dispatch(plan: NetworkPlan) -> list[str]:
    doors = [f'"{plan.tunnel}" : goto from_tunnel', f'"{plan.veth}" : goto from_service']
    doors += [f'"{port.tap}" : goto from_guest' for port in _ports(plan)]
    return ["iifname vmap { " + ",\n\t\t\t       ".join(doors) + " }"]


_SENDS = [
    "iifname . ether saddr != @card drop",
    "iifname . arp saddr ether . arp saddr ip @owner accept",
    "iifname . arp saddr ether @card arp saddr ip 0.0.0.0 arp operation request accept",
    "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
    "iifname . ether saddr . ip saddr != @owner drop",
    f"ip daddr {METADATA_ADDRESS} tcp flags & (syn | ack) == syn jump knocks",
    "udp sport 67 drop",  # no DHCP servers among the guests
    "udp sport 68 udp dport 67 accept",
    "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether type ip accept",
    "drop",
]


def _from_guest(plan: NetworkPlan) -> list[str]:
    if plan.egress is None:
        return _SENDS
    # What a guest gives to the gateway leaves the network, but for what it asks of the gateway itself.
    own = f"{{ {plan.gateway}, {METADATA_ADDRESS} }}"
    shut = f"ether daddr {plan.gateway_mac} ip daddr != {own} ip daddr @closed drop"
    return [*_SENDS[:-2], shut, *_SENDS[-2:]]


_FROM_TUNNEL = [
    # The only ARP from there are the answers of the vxlan device, or of the forwarder.
    "arp operation reply arp saddr ether . arp saddr ip @remote accept",
    "ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 drop",
    "udp sport 67 drop",
    "ether saddr . ip saddr @remote ether type ip accept",
    "drop",
]


def _from_service(plan: NetworkPlan) -> list[str]:
    ours = f"{{ {plan.gateway}, {METADATA_ADDRESS} }}"
    return [
        f"ether saddr != {plan.gateway_mac} drop",
        f"arp saddr ip {ours} accept",
        f"ip saddr {ours} accept",
        *([f"ip saddr != {plan.cidr} ether type ip accept"] if plan.egress else []),
        "drop",
    ]


def _forward(plan: NetworkPlan) -> list[str]:
    tunnel = f'oifname "{plan.tunnel}"'
    most = plan.mtu - _TCP_IPV4_BYTES
    return [
        # A guest that runs keeps the MTU that it was told at its start, though a host's link may carry less by
        # now. TCP then goes by what both ends say that they take.
        f"tcp flags syn tcp option maxseg size > {most} tcp option maxseg size set {most}",
        f"{tunnel} ether saddr {plan.gateway_mac} drop",  # each host has its own gateway
        f"{tunnel} ether type arp accept",  # ends in the tunnel's device, which answers or drops it
        f"{tunnel} ether daddr {_BROADCAST} drop",
    ]
