"""The nftables ruleset of one network on one host, as text.

Each network has a table of the bridge family of its own, so that networks cannot disturb each other. The
kernels we run on have no `meta ibrname`, so every rule goes by the name of the port a frame came in by; those
names are ours alone. A guest may send ARP and IPv4 from the MAC and address it was given, and the ARP probe
and DHCP request it needs before it has one. It may send no other broadcast, because none would reach the
members on other hosts, unless the network has `multicast`: then as many a second go there as the hosts can
make copies of. A table is replaced in one transaction, so it is never half there.

With IPv6 it may send what is its own there, too, and from its link-local address what it says to the gateway
alone: it asks for its router and its address. Its multicast goes nowhere. A question for a neighbour is led to
whom it is about: the group that it goes to ends with the last three bytes of the address that is meant, and
those tell a network's members apart. What the gateway says to all becomes a broadcast, which ends on this host.
"""

from ipaddress import IPv6Address

from netns.model import GATEWAY_LINK_ADDRESS, METADATA_ADDRESS, Neighbour, NetworkPlan, Port

_BROADCAST = "ff:ff:ff:ff:ff:ff"
COPIES_S = 10_000
"""Copies a second, of all that guests here send to groups of one network, to all other hosts together."""
_GROUP_FRAMES_S_MIN = 10
"""So many frames may be sent to groups however many hosts there are."""
_TCP_IPV4_BYTES = 40  # the least headers of both
_TCP_IPV6_BYTES = 60
_GROUP = int(IPv6Address("ff02::1:ff00:0"))
"""The groups in which members are asked whether an address is theirs; three bytes of it follow (RFC 4291)."""
_IS_GROUP = "ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00"
"""Everybody is one, too."""
_LINK_LOCAL = "fe80::/10"
_CLAIMED = "@th,64,128"
"""In an advertisement of a neighbour: the address that is said to be its."""
_CLAIMS_MORE = "@th,64,16 & 0xffc0 != 0xfe80"
"""An address that is not link-local. What those are, the guests alone know, and nobody but the gateway asks."""
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
    if plan.cidr6:
        parts += _chain("six_from_guest", "", _six_from_guest(plan))
        parts += _chain("six_from_tunnel", "", _SIX_FROM_TUNNEL)
        parts += _chain("six_from_service", "", _six_from_service(plan))
    parts += _chain("from_guest", "", _from_guest(plan))
    parts += _chain("from_tunnel", "", [*_six(plan, "tunnel"), *_from_tunnel(plan)])
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
        *(_six_sets(plan) if plan.cidr6 else ()),
        *(
            _set("closed", "ipv4_addr", list(plan.egress.closed), ranges=True)
            if plan.egress
            else ()
        ),
    ]


def _six_sets(plan: NetworkPlan) -> list[str]:
    own = [(f'"{port.tap}" . {port.mac} . ', plan.six(port.address)) for port in _ports(plan)]
    with_six = [one for one in plan.neighbours if not one.four_alone]
    afar = [(f"{one.mac} . ", plan.six(one.address)) for one in with_six]
    members: tuple[Port | Neighbour, ...] = (*plan.ports, *with_six)
    asked = {plan.six(member.address): member.mac for member in members}
    asked |= {plan.six(plan.gateway): plan.gateway_mac, GATEWAY_LINK_ADDRESS: plan.gateway_mac}
    groups = sorted(
        {
            IPv6Address(_GROUP | int(IPv6Address(six)) & 0xFFFFFF): mac
            for six, mac in asked.items()
        }.items()
    )
    return [
        *_set("owner6", "ifname . ether_addr . ipv6_addr", [who + six for who, six in own]),
        *_set("remote6", "ether_addr . ipv6_addr", sorted(who + six for who, six in afar)),
        *_set(
            "claims",
            f"iifname . ether saddr . {_CLAIMED}",
            [who + _number(six) for who, six in own],
            like=True,
        ),
        *_set(
            "claims_afar",
            f"ether saddr . {_CLAIMED}",
            sorted(who + _number(six) for who, six in afar),
            like=True,
        ),
        *_set(
            "asked", "ipv6_addr : ether_addr", [f"{to} : {mac}" for to, mac in groups], kind="map"
        ),
    ]


def _number(address: str) -> str:
    return f"0x{int(IPv6Address(address)):032x}"


def _six(plan: NetworkPlan, where: str) -> list[str]:
    """Where IPv6 is judged."""
    return [f"ether type ip6 goto six_from_{where}"] if plan.cidr6 else []


def _set(
    name: str,
    of: str,
    elements: list[str],
    *,
    ranges: bool = False,
    kind: str = "set",
    like: bool = False,
) -> list[str]:
    """`like`: `of` says what it is compared with in place of the types of that."""
    lines = [f"\t{kind} {name} {{", f"\t\t{'typeof' if like else 'type'} {of}"]
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


_NO_DHCP = ("udp sport 67 drop", "udp dport 68 drop")
_NO_DHCP6 = ("udp sport 547 drop", "udp dport 546 drop")
"""By either port: clients do not mind from which one a server speaks. The gateway's does not come by here."""
_MAY_SEND = "iifname . ether saddr != @card drop"
_SENDS = [
    "iifname . arp saddr ether . arp saddr ip @owner accept",
    "iifname . arp saddr ether @card arp saddr ip 0.0.0.0 arp operation request accept",
    "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
    "iifname . ether saddr . ip saddr != @owner drop",
    f"ip daddr {METADATA_ADDRESS} tcp flags & (syn | ack) == syn jump knocks",
    *_NO_DHCP,  # no DHCP servers among the guests
    "udp sport 68 udp dport 67 accept",
    "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether type ip accept",
    "drop",
]


def _from_guest(plan: NetworkPlan) -> list[str]:
    begin = [_MAY_SEND, *_six(plan, "guest")]
    sends = [*_SENDS[:-2], "ether type ip accept", "drop"] if plan.multicast else _SENDS
    if plan.egress is None:
        return [*begin, *sends]
    # What a guest gives to the gateway leaves the network, but for what it asks of the gateway itself.
    own = f"{{ {plan.gateway}, {METADATA_ADDRESS} }}"
    answers = [
        f"ether daddr {plan.gateway_mac} ip saddr {e.address} {e.protocol} sport {e.port} accept"
        for e in sorted(plan.exposed, key=lambda e: (e.address, e.protocol, e.port))
    ]
    shut = f"ether daddr {plan.gateway_mac} ip daddr != {own} ip daddr @closed drop"
    # Whether it is an answer is known further on (way_text.py).
    return [*begin, *sends[:-2], *answers, shut, *sends[-2:]]


def _six_from_guest(plan: NetworkPlan) -> list[str]:
    to_gateway = f"ether daddr set {plan.gateway_mac} accept"
    claims = f"iifname . ether saddr . {_CLAIMED} != @claims"
    return [
        "icmpv6 type { nd-router-advert, nd-redirect } drop",  # no routers among the guests
        *_NO_DHCP6,  # nor DHCP servers
        # Who has no address yet asks whether somebody has its own: nobody has. The other is the gateway's.
        f"ip6 saddr {{ ::, {GATEWAY_LINK_ADDRESS} }} drop",
        f"ip6 saddr != {_LINK_LOCAL} iifname . ether saddr . ip6 saddr != @owner6 drop",
        f"ip6 saddr {_LINK_LOCAL} icmpv6 type nd-router-solicit {to_gateway}",
        f"ip6 saddr {_LINK_LOCAL} ip6 daddr ff02::1:2 udp sport 546 udp dport 547 {to_gateway}",
        *_ASKS,
        f"{_IS_GROUP} drop",
        f"icmpv6 type nd-neighbor-advert {_CLAIMS_MORE} {claims} drop",
        f"ether daddr {plan.gateway_mac} accept",
        f"icmpv6 type nd-neighbor-advert {claims} drop",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        f"ip6 saddr {_LINK_LOCAL} drop",
        "accept",
    ]


_ASKS = ["icmpv6 type nd-neighbor-solicit ether daddr set ip6 daddr map @asked accept"]
_SIX_FROM_TUNNEL = [
    f"{_IS_GROUP} drop",
    "ether saddr . ip6 saddr != @remote6 drop",
    *_NO_DHCP6,
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-redirect } drop",
    # The vxlan device's answers, or the forwarder's.
    f"icmpv6 type nd-neighbor-advert ether saddr . {_CLAIMED} != @claims_afar drop",
    "accept",
]


def _six_from_service(plan: NetworkPlan) -> list[str]:
    ours = f"{{ {plan.six(plan.gateway)}, {GATEWAY_LINK_ADDRESS} }}"
    return [
        f"ip6 saddr != {ours} drop",
        *_ASKS,
        "ip6 daddr ff02::16 drop",  # in which groups it is: nobody here keeps account of that
        f"{_IS_GROUP} ether daddr set {_BROADCAST}",
        "accept",
    ]


def _from_tunnel(plan: NetworkPlan) -> list[str]:
    return [
        # The only ARP from there are the answers of the vxlan device, or of the forwarder.
        "arp operation reply arp saddr ether . arp saddr ip @remote accept",
        *([] if plan.multicast else [f"{_IS_GROUP} drop"]),
        *_NO_DHCP,
        "ether saddr . ip saddr @remote ether type ip accept",
        "drop",
    ]


def _from_service(plan: NetworkPlan) -> list[str]:
    ours = f"{{ {plan.gateway}, {METADATA_ADDRESS} }}"
    return [
        f"ether saddr != {plan.gateway_mac} drop",
        *_six(plan, "service"),
        f"arp saddr ip {ours} accept",
        f"ip saddr {ours} accept",
        *([f"ip saddr != {plan.cidr} ether type ip accept"] if plan.leads_out else []),
        "drop",
    ]


def _forward(plan: NetworkPlan) -> list[str]:
    tunnel = f'oifname "{plan.tunnel}"'
    most = plan.mtu - _TCP_IPV4_BYTES
    return [
        # A guest that runs keeps the MTU that it was told at its start, though a host's link may carry less by
        # now. TCP then goes by what both ends say that they take.
        f"tcp flags syn tcp option maxseg size > {most} tcp option maxseg size set {most}",
        *([_clamped_six(plan)] if plan.cidr6 else ()),
        f"{tunnel} ether saddr {plan.gateway_mac} drop",  # each host has its own gateway
        f"{tunnel} ether type arp accept",  # ends in the tunnel's device, which answers or drops it
        *_to_groups(plan, tunnel),
    ]


def _to_groups(plan: NetworkPlan, tunnel: str) -> list[str]:
    if not plan.multicast:
        return [f"{tunnel} ether daddr {_BROADCAST} drop"]
    hosts = {neighbour.peer or neighbour.via for neighbour in plan.neighbours}
    most = max(_GROUP_FRAMES_S_MIN, COPIES_S // max(1, len(hosts)))
    return [
        f"{tunnel} udp dport 67 drop",  # DHCP is each host's own
        f"{tunnel} {_IS_GROUP} limit rate over {most}/second burst {most} packets drop",
    ]


def _clamped_six(plan: NetworkPlan) -> str:
    most = plan.mtu - _TCP_IPV6_BYTES
    size = "tcp option maxseg size"
    return f"ether type ip6 tcp flags syn {size} > {most} {size} set {most}"
