"""What of a network exists on this host, as resources. Reads only."""

from collections.abc import Iterator
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netns.kernel import namespaces, offload, sysctl
from netns.resources import (
    INNER_LINK,
    ArpEntry,
    BridgeEntry,
    Gateway,
    Link,
    LinkKind,
    LinkSettings,
    Namespace,
    Resource,
    Scope,
    TunnelEntry,
)

NUD_PERMANENT, NUD_NOARP = 0x80, 0x40  # as a bridge entry: the port's own address; static
NTF_SELF, NTF_MASTER = 0x02, 0x04
_AF_INET = 2
_UP = 1


def observe(scope: Scope) -> list[Resource]:
    """Links, forwarding entries and the namespace. Filters and services are observed elsewhere."""
    found: list[Resource] = []
    if scope.namespace in namespaces.names():
        found.append(Namespace(scope.namespace, namespaces.is_mounted(scope.namespace)))
    with IPRoute() as netlink:
        links = list(netlink.get_links())
        names = {link["index"]: str(link.get("ifname")) for link in links}
        indices = {name: index for index, name in names.items()}
        gateway, inner_index = _gateway(scope)
        for link in links:
            kind = _kind(link, scope, names)
            if kind is not None:
                found.append(_link(link, kind, scope, inner_index))
                found.append(_settings(link, names, is_bridge=kind is LinkKind.BRIDGE))
        if gateway is not None:
            found.append(gateway)
        if scope.bridge in indices or scope.vxlan in indices:
            found += _forwarding(netlink, scope, names, indices)
        if scope.vxlan in indices:
            found += _neighbours(netlink, scope.vxlan, indices[scope.vxlan])
    return found


def aliased_links() -> list[tuple[str, str]]:
    """Name and alias of the links of the current namespace that have an alias."""
    with IPRoute() as netlink:
        return [
            (str(link.get("ifname")), str(link.get("ifalias")))
            for link in netlink.get_links()
            if link.get("ifalias")
        ]


def link_alias(name: str) -> str:
    """The alias of a link of the current namespace; empty when it has none or is not there."""
    return dict(aliased_links()).get(name, "")


def mtu_of_address(address: str) -> int | None:
    """MTU of the link that has this IPv4 address; None when no link has it."""
    with IPRoute() as netlink:
        for entry in netlink.get_addr(family=_AF_INET):
            if entry.get("local") == address or entry.get("address") == address:
                return int(netlink.get_links(entry["index"])[0].get("mtu"))
    return None


def _kind(link: Any, scope: Scope, names: dict[int, str]) -> LinkKind | None:
    """What the link is to this network; None if it has nothing to do with it."""
    name, real = link.get("ifname"), link.get(("linkinfo", "kind"))
    expected = {
        scope.bridge: LinkKind.BRIDGE,
        scope.vxlan: LinkKind.VXLAN,
        scope.veth: LinkKind.VETH,
    }.get(name)
    if expected is not None:
        return expected if real == expected else LinkKind.FOREIGN
    if name in scope.taps or names.get(link.get("master") or 0) == scope.bridge:
        return LinkKind.PORT
    return None


def _link(link: Any, kind: LinkKind, scope: Scope, inner_index: int | None) -> Link:
    name = str(link.get("ifname"))
    if kind is LinkKind.VXLAN:
        data = link.get(("linkinfo", "data"))
        return Link(
            name,
            kind,
            vni=int(data.get("vxlan_id")),
            local=str(data.get("vxlan_local")),
            safe=not data.get("vxlan_learning")
            and bool(data.get("vxlan_proxy"))
            and int(data.get("vxlan_port")) == 4789
            and not data.get("vxlan_group"),
        )
    if kind is LinkKind.VETH:
        paired = inner_index is not None and link.get("link") == inner_index
        return Link(name, kind, namespace=scope.namespace if paired else "")
    return Link(name, kind)


def _settings(link: Any, names: dict[int, str], *, is_bridge: bool) -> LinkSettings:
    name = str(link.get("ifname"))
    data = link.get(("linkinfo", "data" if is_bridge else "slave_data")) or {}
    watched = (
        ("IFLA_BR_STP_STATE", "IFLA_BR_MCAST_SNOOPING")
        if is_bridge
        else ("IFLA_BRPORT_LEARNING", "IFLA_BRPORT_UNICAST_FLOOD", "IFLA_BRPORT_MCAST_FLOOD")
    )
    return LinkSettings(
        name,
        master=names.get(link.get("master") or 0, ""),
        mtu=int(link.get("mtu")),
        alias=str(link.get("ifalias") or ""),
        up=bool(link["flags"] & _UP),
        ipv6=sysctl.ipv6_enabled(name),
        flooding=any(data.get(attribute) != 0 for attribute in watched),
    )


def _gateway(scope: Scope) -> tuple[Gateway | None, int | None]:
    """The inner end of the veth pair, and its index."""
    if not namespaces.is_mounted(scope.namespace):
        return None, None
    return namespaces.inside(scope.namespace, lambda: _look_inside(scope))


def _look_inside(scope: Scope) -> tuple[Gateway | None, int | None]:
    with IPRoute() as netlink:
        try:
            (link,) = netlink.link("get", ifname=INNER_LINK)
        except NetlinkError:
            return None, None
        addresses = [
            f"{entry.get('address')}/{entry['prefixlen']}"
            for entry in netlink.get_addr(family=_AF_INET, index=link["index"])
        ]
    gateway = Gateway(
        scope.namespace,
        scope.veth,
        address=" ".join(sorted(addresses)),
        mac=str(link.get("address")),
        mtu=int(link.get("mtu")),
        up=bool(link["flags"] & _UP),
        ipv6=sysctl.ipv6_enabled(INNER_LINK),
        forwarding=sysctl.forwarding(),
        checksum_offload=offload.checksum_offload(INNER_LINK),
    )
    return gateway, int(link["index"])


def _forwarding(
    netlink: Any, scope: Scope, names: dict[int, str], indices: dict[str, int]
) -> Iterator[Resource]:
    for entry in netlink.fdb("dump"):
        mac, link = str(entry.get("lladdr")), names.get(entry["ifindex"], "")
        master = entry.get("master")
        if master is not None and master == indices.get(scope.bridge):
            if entry["state"] == NUD_NOARP:
                yield BridgeEntry(scope.bridge, link, mac)
        elif link == scope.vxlan and entry.get("dst") is not None:
            passing = "" if entry["state"] & NUD_PERMANENT else " (passing)"
            yield TunnelEntry(scope.vxlan, mac, f"{entry.get('dst')}{passing}")


def _neighbours(netlink: Any, vxlan: str, index: int) -> Iterator[Resource]:
    for entry in netlink.get_neighbours(family=_AF_INET, ifindex=index):
        if entry["state"] & NUD_PERMANENT:
            yield ArpEntry(vxlan, str(entry.get("dst")), str(entry.get("lladdr")))
