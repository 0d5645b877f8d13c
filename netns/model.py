"""What one host carries of one grid network, and what everything belonging to it is called.

A `NetworkPlan` is the whole wish. The caller is asked for nothing else, neither to bring it about nor to
take it down. Names of links and namespaces are pure functions of the plan, so a leftover of an earlier life
is recognised by its name.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

import msgspec

from netns.inside import VXLAN_INSIDE_BYTES, WIREGUARD_BYTES, Wireguard

VNI_MAX = (1 << 24) - 1  # 24 bits in the VXLAN header (RFC 7348)
MTU_MIN = 576  # what every IPv4 host must take (RFC 791)
MTU_MAX = 65_485  # the kernel's largest link, less the encapsulation
VXLAN_OVERHEAD_BYTES = (
    50  # by IPv4; outer Ethernet is not counted: IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14
)
SEALED_OVERHEAD_BYTES = (
    82  # IPv4 20, UDP 8, a sealed frame's header 16, tag 16, flags and network 8, inner Ethernet 14
)
IPV6_MORE_BYTES = 20  # its header has 40 bytes, IPv4's 20
BITS_S_MIN, BITS_S_MAX = 64_000, 10**13  # below, a frame waits longer than anybody does
PORTS_MAX = 4_096  # members of one network, local and remote together
OWNER_TAG_MAX = 6  # keeps namespace names short and file names readable
IFNAME_MAX = 15  # IFNAMSIZ less the final zero
TAP_PREFIX = "ovt-"
CARD_PREFIX = "ovc-"
RATE_PREFIX = "ovr-"
_PORT_MAX = 65_535
VXLAN_PORT = 4789  # RFC 7348
PREFIX6_BITS = 64
MTU6_MIN = 1280  # what every link of IPv6 takes (RFC 8200)
PREFIX_WITH_SIX_MIN = 8
"""So three bytes tell the members of a network apart: groups of neighbour discovery have no more of them."""
GATEWAY_LINK_ADDRESS = "fe80::1"
"""Of every network's gateway, on each host: who sends router advertisements and answers DHCPv6."""
METADATA_ADDRESS = "169.254.169.254"
"""Where guests ask who they are. Every network's namespace has it besides the gateway's address."""

NETWORK_ID_MAX = (
    128  # a directory's name has at most 255 bytes, a link's alias, with 16 before the id, as many
)

_NETWORK = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{NETWORK_ID_MAX - 1}}}")
_OWNER = re.compile(rf"[a-z0-9]{{1,{OWNER_TAG_MAX}}}")
_TAP = re.compile(rf"{TAP_PREFIX}[A-Za-z0-9_-]{{1,{IFNAME_MAX - len(TAP_PREFIX)}}}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Port(msgspec.Struct, frozen=True):
    """A local workspace's network card: the tap it is plugged into, and the address it keeps.

    `paired`: it is for a container. Then the tap is one end of a veth pair, and `card_name` the other, which is
    to be moved into the container. `bits_s`: the rate it is held to, each way, in bits a second; 0 if to none.
    """

    tap: str
    mac: str
    address: str
    name: str
    paired: bool = False
    bits_s: int = 0


class Neighbour(msgspec.Struct, frozen=True):
    """A workspace on another host. `via` is that host's underlay address (its VTEP).

    On a sealed network `via` is empty: `peer` is who that host is, and the forwarder knows where it is. On one
    that WireGuard carries `via` is that host's address inside (`inside_address`).
    """

    mac: str
    address: str
    name: str
    via: str = ""
    peer: str = ""
    four_alone: bool = False
    """Whether it has no IPv6 address, though its network has IPv6."""


class Egress(msgspec.Struct, frozen=True):
    """A way out of a network, by source NAT at each host.

    - `closed`: sorted IPv4 ranges that guests do not reach: this host's networks, other hosts, private ones.
    - `resolvers`: DNS servers, by IPv4 address, that names of the outside are asked of. Without any they are
      those that the host itself asks, whatever these become.
    """

    closed: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()


class Exposed(msgspec.Struct, frozen=True):
    """A port of this host, `outside`, that leads to one of a local member, for `protocol` (tcp or udp)."""

    address: str
    port: int
    protocol: str
    outside: int


class NetworkPlan(msgspec.Struct, frozen=True):
    """One grid network on one host.

    - `network`: its id (letters, digits, `_.-`, at most 128).
    - `owner_tag`: the host's short name (at most 6 of a-z0-9). It keeps apart the names in /run/netns of
      several hosts on one machine.
    - `gateway`: the service address. The network's namespace on every host holds it.
    - `mtu`: the largest packet guests may send, in bytes.
    - `underlay`: this host's own VTEP address.
    - `domain`: the DNS domain.
    - `epoch`: the record's. An older plan never replaces a newer one.
    - `others`: (name, address) of who is not on this network, and is known by name here: a guest that is on
      two networks asks one DNS server for the names of both.
    - `egress`: the way out; None if there is none.
    - `exposed`: the ports of this host that lead to members here, and `exposed_at`, the address of this host
      where they are.
    - `sealed`: what goes to other hosts is sealed, by a forwarder that has the tap `tunnel` open. If none has,
      nothing goes.
    - `wireguard`: what goes to other hosts goes in VXLAN by this host's WireGuard interface, by nothing else.
    - `cidr6`: a /64 in which the gateway and each member have an address besides (`address6`). Empty: none.
    - `others6`: IPv6 addresses of some of `others`.
    - `multicast`: what guests send to groups and to all goes to all members, wherever they are.
    - `told_mtu`: the largest packet that guests are told of, if a path to another host takes less than `mtu`.
      Those that were told `mtu` before go on.
    """

    network: str
    owner_tag: str
    vni: int
    cidr: str
    gateway: str
    mtu: int
    underlay: str
    domain: str
    epoch: int
    ports: tuple[Port, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    egress: Egress | None = None
    exposed: tuple[Exposed, ...] = ()
    exposed_at: str = ""
    sealed: bool = False
    wireguard: Wireguard | None = None
    cidr6: str = ""
    others6: tuple[tuple[str, str], ...] = ()
    multicast: bool = False
    told_mtu: int = 0

    @property
    def guests_mtu(self) -> int:
        """What guests are told that they may send: with IPv6 no less than that takes."""
        least = min(self.mtu, MTU6_MIN) if self.cidr6 else 0
        return max(self.told_mtu or self.mtu, least)

    @property
    def bridge(self) -> str:
        return bridge_name(self.vni)

    @property
    def vxlan(self) -> str:
        return vxlan_name(self.vni)

    @property
    def tunnel(self) -> str:
        """The bridge's way to other hosts: its vxlan device, or the tap of the forwarder that seals."""
        return sealed_name(self.vni) if self.sealed else self.vxlan

    @property
    def overhead_bytes(self) -> int:
        """What the way to other hosts takes of the packets that their link carries."""
        if self.wireguard is not None:
            return VXLAN_INSIDE_BYTES + WIREGUARD_BYTES + _ipv6_more(self.underlay)
        if self.sealed:
            return SEALED_OVERHEAD_BYTES + _ipv6_more(self.underlay)
        return vxlan_overhead(self.underlay)

    @property
    def vtep(self) -> str:
        """This host's end of the network's VXLAN."""
        return self.wireguard.address if self.wireguard is not None else self.underlay

    @property
    def veth(self) -> str:
        """The bridge's end of the pair that leads into the network's namespace."""
        return veth_name(self.vni)

    @property
    def way(self) -> str:
        """The host's end of the way out."""
        return way_name(self.vni)

    @property
    def leads_out(self) -> bool:
        """Whether anything passes between the network and what is outside of this host."""
        return self.egress is not None or bool(self.exposed)

    @property
    def namespace(self) -> str:
        return namespace_name(self.owner_tag, self.vni)

    @property
    def table(self) -> str:
        return table_name(self.vni)

    @property
    def gateway_mac(self) -> str:
        """The same on every host, so that a guest that migrates keeps a valid ARP entry."""
        return mac_of(self.network, self.gateway)

    def six(self, address: str) -> str:
        """The IPv6 address of who has that IPv4 address. Only if there is a `cidr6`."""
        return address6(self.cidr6, address)

    @property
    def prefix_bits(self) -> int:
        return IPv4Network(self.cidr).prefixlen

    def check(self) -> None:
        """Raises ValueError if it cannot be carried out, with everything that is wrong, `; ` between."""
        wrong = list(_wrong_in(self))
        if wrong:
            raise ValueError(f"network {self.network!r}: " + "; ".join(wrong))


def is_network_id(text: str) -> bool:
    """Whether `text` can be the id of a network. Such an id is also safe as a file name."""
    return _NETWORK.fullmatch(text) is not None


def vxlan_overhead(underlay: str) -> int:
    """What VXLAN takes of the packets of a link, in bytes, between hosts of that address's family."""
    return VXLAN_OVERHEAD_BYTES + _ipv6_more(underlay)


def _ipv6_more(underlay: str) -> int:
    return IPV6_MORE_BYTES if ":" in underlay else 0


def bridge_name(vni: int) -> str:
    return f"ovb-{vni:06x}"


def vxlan_name(vni: int) -> str:
    return f"ovx-{vni:06x}"


def sealed_name(vni: int) -> str:
    return f"ovs-{vni:06x}"


def own_link_name(vni: int, address: str) -> str:
    """The card of the host itself on a network that it carries nothing of: another one at another address."""
    return f"ova-{vni:06x}-{int(IPv4Address(address)) & 0xFFFF:04x}"


def veth_name(vni: int) -> str:
    return f"ovv-{vni:06x}"


def way_name(vni: int) -> str:
    return f"ove-{vni:06x}"


def namespace_prefix(owner_tag: str) -> str:
    return f"ovl-{owner_tag}-"


def namespace_name(owner_tag: str, vni: int) -> str:
    return f"{namespace_prefix(owner_tag)}{vni:06x}"


def table_name(vni: int) -> str:
    return f"ovl_{vni:06x}"


def tap_name(network: str, workspace: str) -> str:
    """The name of the tap of one workspace on one network: 15 characters, with 44 bits of hash."""
    return TAP_PREFIX + _hash(network, workspace).hex()[: IFNAME_MAX - len(TAP_PREFIX)]


def card_name(tap: str) -> str:
    """What the other end of a container's tap is called until its container has it."""
    return CARD_PREFIX + tap.removeprefix(TAP_PREFIX)


def rate_name(tap: str) -> str:
    """The link beside a tap, in which waits what its guest sends faster than it may."""
    return RATE_PREFIX + tap.removeprefix(TAP_PREFIX)


def tap_beside(link: str) -> str:
    """The tap that such a link is beside."""
    return TAP_PREFIX + link.removeprefix(RATE_PREFIX)


def mac_of(network: str, address: str) -> str:
    """The locally administered MAC of an address in a network. Two addresses never share one."""
    raw = bytes((0x02, _hash(network)[0])) + IPv4Address(address).packed
    return raw.hex(":")


def is_cidr6(text: str) -> bool:
    """Whether it is an IPv6 network of 64 bits, as every network of guests is."""
    try:
        return IPv6Network(text).prefixlen == PREFIX6_BITS
    except ValueError:
        return False


def address6(cidr6: str, address: str) -> str:
    """The IPv6 address of whoever has that IPv4 address in a network: that one, behind the prefix.

    So there is nothing to remember, and a forwarder that knows the one knows the other.
    """
    return str(IPv6Network(cidr6)[int(IPv4Address(address))])


def vni_of(network: str, attempt: int = 0) -> int:
    """A VXLAN id from a network's id, 1..2^24-1. If another network has it, use the next `attempt`."""
    return int.from_bytes(_hash("vni", network, str(attempt))[:8]) % VNI_MAX + 1


def _hash(*parts: str) -> bytes:
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()


def _wrong_in(plan: NetworkPlan) -> Iterator[str]:
    if not is_network_id(plan.network):
        yield f"its id needs 1 to {NETWORK_ID_MAX} letters, digits or _.- and must not begin with a dot"
    if not _OWNER.fullmatch(plan.owner_tag):
        yield f"owner_tag {plan.owner_tag!r} needs 1 to {OWNER_TAG_MAX} of a-z and 0-9"
    if not 1 <= plan.vni <= VNI_MAX:
        yield f"vni {plan.vni} is not in 1..{VNI_MAX}"
    if not MTU_MIN <= plan.mtu <= MTU_MAX:
        yield f"mtu {plan.mtu} is not in {MTU_MIN}..{MTU_MAX}"
    if plan.told_mtu and not MTU_MIN <= plan.told_mtu <= plan.mtu:
        yield f"told_mtu {plan.told_mtu} is not in {MTU_MIN}..{plan.mtu}"
    if plan.epoch < 0:
        yield f"epoch {plan.epoch} is negative"
    if not all(map(_LABEL.fullmatch, plan.domain.split("."))) or len(plan.domain) > 200:
        yield f"domain {plan.domain!r} is not a DNS name in lower case"
    if not _is_ip(plan.underlay):
        yield f"underlay {plan.underlay!r} is not an address"
    if len(plan.others) > PORTS_MAX:
        yield f"{len(plan.others)} names of other networks are more than {PORTS_MAX}"
    if plan.egress is not None:
        yield from _wrong_egress(plan.egress)
    if len(plan.ports) + len(plan.neighbours) > PORTS_MAX:
        yield f"{len(plan.ports) + len(plan.neighbours)} members are more than {PORTS_MAX}"
    if plan.wireguard is not None:
        yield from plan.wireguard.faults()
        if plan.sealed:
            yield "it is sealed, and carried by WireGuard: one of both"
    yield from _wrong_exposed(plan)
    yield from _wrong_members(plan)
    yield from _wrong_addresses(plan)
    yield from _wrong_six(plan)


def _wrong_members(plan: NetworkPlan) -> Iterator[str]:
    members: tuple[Port | Neighbour, ...] = (*plan.ports, *plan.neighbours)
    for member in members:
        if not _MAC.fullmatch(member.mac) or int(member.mac[:2], 16) & 1:
            yield f"{member.name}: {member.mac!r} is not a unicast MAC in lower case"
        if not _LABEL.fullmatch(member.name):
            yield f"{member.name!r} is not a DNS label in lower case"
    for name, address in plan.others:
        if not _LABEL.fullmatch(name) or _address(address) is None:
            yield f"{name!r} at {address!r} is not a DNS label with an IPv4 address"
    for port in plan.ports:
        if not _TAP.fullmatch(port.tap):
            yield (
                f"{port.name}: tap {port.tap!r} must begin with {TAP_PREFIX} and have at most "
                f"{IFNAME_MAX} characters"
            )
        if port.bits_s and not BITS_S_MIN <= port.bits_s <= BITS_S_MAX:
            yield f"{port.name}: {port.bits_s} bits a second are not in {BITS_S_MIN}..{BITS_S_MAX}"
    for neighbour in plan.neighbours:
        if plan.sealed:
            if not neighbour.peer:
                yield f"{neighbour.name}: it is not said which peer has it, as a sealed network needs"
        elif plan.wireguard is not None:
            if neighbour.via not in [peer.address for peer in plan.wireguard.peers]:
                yield f"{neighbour.name}: via {neighbour.via!r} is no host inside WireGuard"
        elif not _is_ip(neighbour.via):
            yield f"{neighbour.name}: via {neighbour.via!r} is not an address"
        elif (":" in neighbour.via) != (":" in plan.underlay):
            yield f"{neighbour.name}: via {neighbour.via} is of another family than {plan.underlay}"
        elif neighbour.via == plan.underlay:
            yield f"{neighbour.name}: via {neighbour.via} is this host itself"
    macs = [plan.gateway_mac] if _address(plan.gateway) else []
    yield from _twice("tap", (port.tap for port in plan.ports))
    yield from _twice("mac", [*macs, *(member.mac for member in members)])
    yield from _twice("address", [plan.gateway, *(member.address for member in members)])
    names = [*(member.name for member in members), *(name for name, _ in plan.others)]
    yield from _twice("name", names)


def _wrong_addresses(plan: NetworkPlan) -> Iterator[str]:
    try:
        cidr = IPv4Network(plan.cidr)
    except ValueError:
        yield f"cidr {plan.cidr!r} is not an IPv4 network such as 10.42.0.0/24"
        return
    if IPv4Address(METADATA_ADDRESS) in cidr:
        yield f"cidr {plan.cidr} contains {METADATA_ADDRESS}, where guests ask who they are"
    if cidr.prefixlen > 30:
        yield f"cidr {plan.cidr} has no room for a gateway and a member; /30 is the smallest"
    if plan.cidr6 and cidr.prefixlen < PREFIX_WITH_SIX_MIN:
        yield f"cidr {plan.cidr} is wider than /{PREFIX_WITH_SIX_MIN}, so it cannot have a cidr6 besides"
    named = [("gateway", plan.gateway)]
    named += [(port.name, port.address) for port in plan.ports]
    named += [(neighbour.name, neighbour.address) for neighbour in plan.neighbours]
    for name, text in named:
        address = _address(text)
        if address is None:
            yield f"{name}: {text!r} is not an IPv4 address"
        elif address not in cidr or address in (cidr.network_address, cidr.broadcast_address):
            yield f"{name}: {text} is not a host address of {plan.cidr}"


def _wrong_six(plan: NetworkPlan) -> Iterator[str]:
    for name, text in plan.others6:
        try:
            IPv6Address(text)
        except AddressValueError:
            yield f"{name}: {text!r} is not an IPv6 address"
    if not plan.cidr6:
        return
    if not is_cidr6(plan.cidr6):
        yield f"cidr6 {plan.cidr6!r} is not an IPv6 network of {PREFIX6_BITS} bits such as fd42::/64"
    if plan.mtu < MTU6_MIN:
        yield f"mtu {plan.mtu} is below {MTU6_MIN}, which every link of IPv6 takes"


def _wrong_exposed(plan: NetworkPlan) -> Iterator[str]:
    here = [port.address for port in plan.ports]
    for each in plan.exposed:
        if _address(plan.exposed_at) is None:
            yield f"it is not said at which address of this host port {each.outside} is"
        if each.address not in here:
            yield f"{each.address}, to which port {each.outside} leads, is no port's here"
        if each.protocol not in ("tcp", "udp"):
            yield f"port {each.outside}: {each.protocol!r} is neither tcp nor udp"
        if not (1 <= each.outside <= _PORT_MAX and 1 <= each.port <= _PORT_MAX):
            yield f"port {each.outside} leads to port {each.port}; ports are 1 to {_PORT_MAX}"
    yield from _twice("exposed port", (f"{e.outside}/{e.protocol}" for e in plan.exposed))


def _wrong_egress(egress: Egress) -> Iterator[str]:
    for text in egress.closed:
        try:
            IPv4Network(text)
        except ValueError:
            yield f"closed range {text!r} is not an IPv4 network such as 10.0.0.0/8"
    for text in egress.resolvers:
        if _address(text) is None:
            yield f"resolver {text!r} is not an IPv4 address"


def _is_ip(text: str) -> bool:
    """Whether it is an address of either family, as the kernel's are read."""
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def _twice(what: str, values: Iterable[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    yield from (
        f"{what} {value} is there {count} times" for value, count in seen.items() if count > 1
    )
