"""What of a network exists on this host, as resources. Reads only."""

import contextlib
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from netns import tun
from netns.failures import NetnsError
from netns.kernel import namespaces, offload, rates, rtnetlink, sysctl, ways
from netns.kernel.rtnetlink import Attributes, attributes, ip, mac, number, text
from netns.kernel.tap import other_end
from netns.model import VXLAN_PORT, rate_name
from netns.resources import (
    INNER_LINK,
    ArpEntry,
    BridgeEntry,
    CopyEntry,
    Gateway,
    Link,
    LinkKind,
    LinkSettings,
    Namespace,
    Rate,
    Resource,
    Scope,
    TunnelEntry,
    WayOut,
)

NUD_PERMANENT, NUD_NOARP = 0x80, 0x40  # as a bridge entry: the port's own address; static
NTF_SELF, NTF_MASTER = 0x02, 0x04
_UP = 1
_OPERATES = (0, 6)  # unknown, as a tunnel device always is; up
_FORWARDING = 3

_LINK_HEAD = struct.Struct("=BxHiII")  # family, type, index, flags, change
_NEIGHBOUR_HEAD = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_ADDRESS_HEAD = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index

# Attributes, as linux/if_link.h, if_bridge.h, neighbour.h and if_addr.h number them.
_ADDRESS, _MTU, _PEER, _MASTER, _OPERSTATE, _INFO, _ALIAS = 1, 4, 5, 10, 16, 18, 20
_CARRIER = 33
_INFO_KIND, _INFO_DATA, _INFO_SLAVE = 1, 2, 5
_VXLAN_VNI, _VXLAN_GROUP, _VXLAN_LOCAL = 1, 2, 4
_VXLAN_LEARNING, _VXLAN_PROXY, _VXLAN_PORT = 7, 11, 15
_VXLAN_GROUP6, _VXLAN_LOCAL6 = 16, 17
_TUN_OWNER, _TUN_TYPE, _TUN_VNET_HDR, _TUN_PERSIST, _TUN_QUEUES = 1, 3, 5, 6, 7
_BRIDGE_WANTED = {5: 0, 23: 0}
"""A bridge does not speak STP or snoop multicast."""
_BRIDGE_VLANS = 7
_PORT_WANTED = {8: 0, 9: 0, 30: 1, 33: 0}
"""A port does not learn, flood unknown destinations, or stand alone; broadcasts (ARP) pass."""
_PORT_GROUPS = 27
EVERYBODY = "00:00:00:00:00:00"
"""Of an entry of a vxlan device: for what has no other."""
_PORT_STATE = 1
_NDA_DST, _NDA_MAC, _NDA_MASTER = 1, 2, 9
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


_KERNELS_NAME = {LinkKind.SEALED: "tun"}
"""Kinds that the kernel calls otherwise."""


class _LinkSeen(NamedTuple):
    """A link of the host."""

    ifindex: int
    up: bool
    name: str
    has: Attributes
    kind: str
    data: Attributes
    as_port: Attributes

    @property
    def master(self) -> int:
        return number(self.has.get(_MASTER)) or 0

    @property
    def carries(self) -> bool:
        """Whether frames can pass, and the bridge has heard of it. A tap that nobody uses has no carrier."""
        operates = number(self.has.get(_OPERSTATE)) in _OPERATES
        return self.up and operates and bool(number(self.has.get(_CARRIER)))


class _EntrySeen(NamedTuple):
    """A forwarding entry or a neighbour."""

    ifindex: int
    state: int
    has: Attributes


class InnerSeen(NamedTuple):
    """What is in a network's namespace: the inner end of the veth pair, its index, the end of the way out."""

    gateway: Gateway | None
    ifindex: int | None
    way: ways.Inside | None


_NOTHING = InnerSeen(None, None, None)


class HostSeen:
    """The calling thread's namespace and those of networks, read once for all networks."""

    def __init__(
        self,
        links: Iterable[_LinkSeen],
        forwarding: Iterable[_EntrySeen],
        neighbours: Iterable[_EntrySeen],
        inner: dict[str, InnerSeen],
    ) -> None:
        """`inner`: what is in the networks' namespaces, by namespace."""
        self.inner = inner
        self.buckets: dict[int, int] = {}
        self.redirected: dict[int, int] = {}
        self.by_name = {link.name: link for link in links}
        self.names = {link.ifindex: link.name for link in self.by_name.values()}
        self.ports: defaultdict[int, list[_LinkSeen]] = defaultdict(list)
        self.bridged: defaultdict[int, list[_EntrySeen]] = defaultdict(list)
        self.tunnelled: defaultdict[int, list[_EntrySeen]] = defaultdict(list)
        self.permanent: defaultdict[int, list[_EntrySeen]] = defaultdict(list)
        for link in self.by_name.values():
            self.ports[link.master].append(link)
        for entry in forwarding:
            master = number(entry.has.get(_NDA_MASTER))
            if master is not None and entry.state == NUD_NOARP:
                self.bridged[master].append(entry)
            elif master is None and _NDA_DST in entry.has:
                self.tunnelled[entry.ifindex].append(entry)
        for entry in neighbours:
            if entry.state & NUD_PERMANENT:
                self.permanent[entry.ifindex].append(entry)

    def look_at_rates(self, taps: Iterable[str]) -> None:
        """Reads what is held to a rate, if any of these taps is: one dump, and one for each of those."""
        held = [tap for tap in taps if rate_name(tap) in self.by_name and tap in self.by_name]
        if held:
            self.buckets = rates.buckets()
            self.redirected = rates.redirections(self.by_name[tap].ifindex for tap in held)


def look(scopes: Iterable[Scope]) -> HostSeen:
    """Four dumps of netlink of the host, and a look into the namespaces of these networks.

    Of a host with cards that are held to a rate, one dump more, and one for each.
    """
    scopes = tuple(scopes)
    with rtnetlink.open_socket() as handle:
        links = rtnetlink.dump(
            handle, rtnetlink.GETLINK, _LINK_HEAD.pack(0, 0, 0, 0, 0) + rtnetlink.SKIP_STATS
        )
        host = HostSeen(
            map(_link_seen, links),
            _entries(handle, socket.AF_BRIDGE),
            (*_entries(handle, socket.AF_INET), *_entries(handle, socket.AF_INET6)),
            _inner(scopes),
        )
    host.look_at_rates(tap for scope in scopes for tap in scope.taps)
    return host


def observe(scope: Scope, host: HostSeen) -> list[Resource]:
    """Links, forwarding entries and the namespace. Filters and services are observed elsewhere."""
    found: list[Resource] = []
    if namespaces.exists(scope.namespace):
        found.append(Namespace(scope.namespace, namespaces.is_mounted(scope.namespace)))
    gateway, inner_index, _ = host.inner.get(scope.namespace, _NOTHING)
    for link, kind in _links(scope, host):
        found.append(_link(link, kind, scope, inner_index))
        found.append(_settings(link, host.names, is_bridge=kind is LinkKind.BRIDGE))
    if gateway is not None:
        found.append(gateway)
    bridge, vxlan = host.by_name.get(scope.bridge), host.by_name.get(scope.vxlan)
    for entry in host.bridged[bridge.ifindex] if bridge else ():
        link_name = host.names.get(entry.ifindex, "")
        found.append(BridgeEntry(scope.bridge, link_name, mac(entry.has.get(_NDA_MAC))))
    for entry in host.tunnelled[vxlan.ifindex] if vxlan else ():
        passing = "" if entry.state & NUD_PERMANENT else " (passing)"
        via, to = f"{ip(entry.has.get(_NDA_DST))}{passing}", mac(entry.has.get(_NDA_MAC))
        if to == EVERYBODY:
            found.append(CopyEntry(scope.vxlan, via))
        else:
            found.append(TunnelEntry(scope.vxlan, to, via))
    found += (rate for tap in scope.taps if (rate := _rate(tap, host)) is not None)
    for entry in host.permanent[vxlan.ifindex] if vxlan else ():
        address = ip(entry.has.get(_NDA_DST))
        found.append(ArpEntry(scope.vxlan, address, mac(entry.has.get(_NDA_MAC))))
    return found


def way_out(scope: Scope, host: HostSeen, directory: Path, printed: str | None) -> WayOut | None:
    """The network's way out; None if nothing of it is there. `printed` is what nft prints of its table."""
    there = scope.way in host.by_name or printed is not None
    inside = host.inner.get(scope.namespace, _NOTHING).way
    if not there and inside is None:
        return None
    return ways.observe(scope.namespace, scope.way, inside, directory, printed)


def without_carrier(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the links of the current namespace that are there and have no carrier."""
    wanted, links = set(names), _all_links()
    return tuple(
        link.name for link in links if link.name in wanted and not number(link.has.get(_CARRIER))
    )


def is_paired(name: str) -> bool:
    """Whether that link is one end of a veth pair."""
    return any(link.name == name and link.kind == LinkKind.VETH for link in _all_links())


def aliased_links() -> list[tuple[str, str]]:
    """Name and alias of the links of the current namespace that have an alias."""
    return [(link.name, alias) for link in _all_links() if (alias := text(link.has.get(_ALIAS)))]


def link_state(name: str) -> tuple[bool, int] | None:
    """Whether a link of the current namespace is up, and its MTU; None if it is not there."""
    found = [link for link in _all_links() if link.name == name]
    return (found[0].up, number(found[0].has.get(_MTU)) or 0) if found else None


def link_alias(name: str) -> str:
    """The alias of a link of the current namespace; empty when it has none or is not there."""
    return dict(aliased_links()).get(name, "")


def mtu_of_address(address: str) -> int | None:
    """MTU of the link that has this address; None when no link has it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wanted = socket.inet_pton(family, address)
    with rtnetlink.open_socket() as handle:
        head = _ADDRESS_HEAD.pack(family, 0, 0, 0, 0)
        found = rtnetlink.dump(handle, rtnetlink.GETADDR, head)
    for payload in found:
        has = attributes(payload, _ADDRESS_HEAD.size)
        if wanted in (has.get(_IFA_LOCAL), has.get(_IFA_ADDRESS)):
            *_, index = _ADDRESS_HEAD.unpack_from(payload)
            mtus = [link.has.get(_MTU) for link in _all_links() if link.ifindex == index]
            return number(mtus[0]) if mtus else None
    return None


def _all_links() -> list[_LinkSeen]:
    with rtnetlink.open_socket() as handle:
        head = _LINK_HEAD.pack(0, 0, 0, 0, 0) + rtnetlink.SKIP_STATS
        return list(map(_link_seen, rtnetlink.dump(handle, rtnetlink.GETLINK, head)))


def _link_seen(payload: bytes) -> _LinkSeen:
    _, _, index, flags, _ = _LINK_HEAD.unpack_from(payload)
    has = attributes(payload, _LINK_HEAD.size)
    info = attributes(has.get(_INFO, b""))
    return _LinkSeen(
        index,
        bool(flags & _UP),
        text(has.get(rtnetlink.IFLA_IFNAME)),
        has,
        text(info.get(_INFO_KIND)),
        attributes(info.get(_INFO_DATA, b"")),
        attributes(info.get(_INFO_SLAVE, b"")),
    )


def _entries(handle: socket.socket, family: int) -> tuple[_EntrySeen, ...]:
    found = []
    for payload in rtnetlink.dump(
        handle, rtnetlink.GETNEIGH, _NEIGHBOUR_HEAD.pack(family, 0, 0, 0, 0)
    ):
        _, index, state, _, _ = _NEIGHBOUR_HEAD.unpack_from(payload)
        found.append(_EntrySeen(index, state, attributes(payload, _NEIGHBOUR_HEAD.size)))
    return tuple(found)


def _links(scope: Scope, host: HostSeen) -> Iterator[tuple[_LinkSeen, LinkKind]]:
    """The links that have to do with this network, and what they are to it."""
    expected = {
        scope.bridge: LinkKind.BRIDGE,
        scope.vxlan: LinkKind.VXLAN,
        scope.sealed: LinkKind.SEALED,
        scope.veth: LinkKind.VETH,
    }
    for name, kind in expected.items():
        if (link := host.by_name.get(name)) is not None:
            yield link, kind if link.kind == _KERNELS_NAME.get(kind, kind) else LinkKind.FOREIGN
    bridge = host.by_name.get(scope.bridge)
    ports = {link.name: link for link in host.ports[bridge.ifindex]} if bridge else {}
    ports |= {tap: host.by_name[tap] for tap in scope.taps if tap in host.by_name}
    for name, link in ports.items():
        if name in scope.cards:
            yield link, LinkKind.CARD if link.kind == "veth" else LinkKind.FOREIGN
        elif name not in expected:
            yield link, LinkKind.PORT


def _link(link: _LinkSeen, kind: LinkKind, scope: Scope, inner_index: int | None) -> Link:
    if kind is LinkKind.VXLAN:
        data = link.data
        return Link(
            link.name,
            kind,
            vni=number(data.get(_VXLAN_VNI)) or 0,
            local=ip(data.get(_VXLAN_LOCAL) or data.get(_VXLAN_LOCAL6)),
            safe=not number(data.get(_VXLAN_LEARNING))
            and bool(number(data.get(_VXLAN_PROXY)))
            and data.get(_VXLAN_PORT) == struct.pack("!H", VXLAN_PORT)
            and not any(data.get(_VXLAN_GROUP, b"") + data.get(_VXLAN_GROUP6, b"")),
        )
    if kind is LinkKind.SEALED:
        return Link(link.name, kind, safe=_stays(link.data))
    if kind is LinkKind.VETH:
        paired = inner_index is not None and number(link.has.get(_PEER)) == inner_index
        return Link(link.name, kind, namespace=scope.namespace if paired else "")
    if kind is LinkKind.CARD:
        return Link(link.name, kind, mac=other_end(mac(link.has.get(_ADDRESS))))
    return Link(link.name, kind)


def _rate(tap: str, host: HostSeen) -> Rate | None:
    """What the card at a tap is held to; None without the link that is beside its tap then."""
    aside = host.by_name.get(rate_name(tap))
    if aside is None:
        return None
    index = host.by_name[tap].ifindex if tap in host.by_name else 0
    redirected = aside.up and host.redirected.get(index) == aside.ifindex
    return Rate(
        tap,
        aside.name,
        to_bits_s=host.buckets.get(index, 0),
        from_bits_s=host.buckets.get(aside.ifindex, 0) if redirected else 0,
        alias=text(aside.has.get(_ALIAS)),
    )


def _stays(tap: Attributes) -> bool:
    """Whether a tap stays without a process that has it open, is root's alone, and has one queue."""
    return (
        number(tap.get(_TUN_OWNER)) == 0
        and tap.get(_TUN_TYPE, b"")[:1] == bytes((tun.IFF_TAP,))
        and any(tap.get(_TUN_VNET_HDR, b""))
        and any(tap.get(_TUN_PERSIST, b""))
        and not any(tap.get(_TUN_QUEUES, b""))
    )


def _settings(link: _LinkSeen, names: dict[int, str], *, is_bridge: bool) -> LinkSettings:
    data, wished = (link.data, _BRIDGE_WANTED) if is_bridge else (link.as_port, _PORT_WANTED)
    amiss = any(number(data.get(kind)) != value for kind, value in wished.items())
    amiss |= is_bridge and bool(number(data.get(_BRIDGE_VLANS)))
    if not is_bridge and link.carries:
        amiss |= number(data.get(_PORT_STATE)) != _FORWARDING
    return LinkSettings(
        link.name,
        master=names.get(link.master, ""),
        mtu=number(link.has.get(_MTU)) or 0,
        alias=text(link.has.get(_ALIAS)),
        up=link.up,
        ipv6=sysctl.ipv6_enabled(link.name),
        amiss=amiss,
        floods=not is_bridge and bool(number(data.get(_PORT_GROUPS))),
    )


def _inner(scopes: Iterable[Scope]) -> dict[str, InnerSeen]:
    """What is in the namespaces of networks. One thread goes from one to another."""
    found: dict[str, InnerSeen] = {}

    def go_round() -> None:
        for scope in mounted:
            with contextlib.suppress(NetnsError, OSError):  # gone meanwhile
                namespaces.enter(scope.namespace)
                found[scope.namespace] = _look_inside(scope)

    mounted = [scope for scope in scopes if namespaces.is_mounted(scope.namespace)]
    if mounted:
        namespaces.apart(go_round)
    return found


def _look_inside(scope: Scope) -> InnerSeen:
    with rtnetlink.open_socket() as handle:
        way = ways.look_inside(handle)
        try:
            asked = struct.pack("=HH16s", 20, rtnetlink.IFLA_IFNAME, INNER_LINK.encode())
            head = _LINK_HEAD.pack(0, 0, 0, 0, 0)
            link = _link_seen(rtnetlink.ask(handle, rtnetlink.GETLINK, head + asked))
        except OSError:
            return InnerSeen(None, None, way)
        addresses = []
        head = _ADDRESS_HEAD.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        for payload in rtnetlink.dump(handle, rtnetlink.GETADDR, head):
            _, bits, _, _, index = _ADDRESS_HEAD.unpack_from(payload)
            if index == link.ifindex:
                has = attributes(payload, _ADDRESS_HEAD.size)
                addresses.append(f"{ip(has.get(_IFA_ADDRESS))}/{bits}")
    gateway = Gateway(
        scope.namespace,
        scope.veth,
        address=" ".join(sorted(addresses)),
        mac=mac(link.has.get(_ADDRESS)),
        mtu=number(link.has.get(_MTU)) or 0,
        up=link.up,
        ipv6=sysctl.ipv6_enabled(INNER_LINK),
        forwarding=sysctl.forwarding(),
        checksum_offload=offload.checksum_offload(INNER_LINK),
    )
    return InnerSeen(gateway, link.ifindex, way)
