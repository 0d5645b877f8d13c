"""One step at a time: links, their settings, forwarding entries, neighbours, the inner end.

Every function is idempotent. It may find that a process that was killed has done half of its work.
"""

import contextlib
import errno
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netns.failures import NetnsError
from netns.kernel import namespaces, offload, sysctl
from netns.kernel.observe import EVERYBODY, NTF_MASTER, NTF_SELF, NUD_NOARP, NUD_PERMANENT
from netns.kernel.tap import add_tap, other_end
from netns.model import VXLAN_PORT, card_name
from netns.resources import (
    INNER_LINK,
    Action,
    ArpEntry,
    BridgeEntry,
    CopyEntry,
    Gateway,
    Link,
    LinkKind,
    LinkSettings,
    TunnelEntry,
)

_FORWARDING = 3  # of a bridge port
_GONE = (errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL)


def apply(
    action: Action,
    resource: Link | LinkSettings | Gateway | BridgeEntry | TunnelEntry | CopyEntry | ArpEntry,
) -> None:
    """Brings one resource about, or takes it away. Raises NetnsError when the kernel refuses."""
    try:
        with IPRoute() as netlink:
            _apply(netlink, action, resource)
    except (NetlinkError, OSError) as error:
        raise NetnsError(f"the kernel refused: {error}") from error


def _apply(
    netlink: Any,
    action: Action,
    resource: Link | LinkSettings | Gateway | BridgeEntry | TunnelEntry | CopyEntry | ArpEntry,
) -> None:
    match resource:
        case Link():
            if action is not Action.ADD:
                _delete_link(netlink, resource.name)
            if action is not Action.DELETE:
                _add_link(netlink, resource)
        case LinkSettings():
            _settle(netlink, resource)
        case Gateway():
            namespaces.inside(resource.namespace, lambda: _settle_gateway(resource))
        case BridgeEntry() | TunnelEntry():
            _forward(netlink, action, resource)
        case CopyEntry():
            _copy(netlink, action, resource)
        case ArpEntry():
            _neighbour(netlink, action, resource)


def _add_link(netlink: Any, link: Link) -> None:
    if _index(netlink, link.name) is not None:
        return
    match link.kind:
        case LinkKind.BRIDGE:
            netlink.link("add", ifname=link.name, kind="bridge", br_mcast_snooping=0)
        case LinkKind.VXLAN:
            netlink.link(
                "add",
                ifname=link.name,
                kind="vxlan",
                vxlan_id=link.vni,
                **{"vxlan_local6" if ":" in link.local else "vxlan_local": link.local},
                vxlan_port=VXLAN_PORT,
                vxlan_learning=0,
                vxlan_proxy=1,
            )
        case LinkKind.VETH:
            namespaces.inside(link.namespace, _delete_inner)
            inner = {"ifname": INNER_LINK, "net_ns_fd": link.namespace}
            netlink.link("add", ifname=link.name, kind="veth", peer=inner)
        case LinkKind.PORT | LinkKind.SEALED:
            add_tap(link.name)
        case LinkKind.CARD:
            _delete_link(netlink, card_name(link.name))
            card = {"ifname": card_name(link.name), "address": link.mac}
            netlink.link(
                "add", ifname=link.name, kind="veth", address=other_end(link.mac), peer=card
            )
        case LinkKind.FOREIGN:
            raise AssertionError(f"nobody wants {link}")
    sysctl.disable_ipv6(link.name)


def _delete_inner() -> None:
    with IPRoute() as netlink:
        _delete_link(netlink, INNER_LINK)


def _delete_link(netlink: Any, name: str) -> None:
    index = _index(netlink, name)
    if index is not None:
        _unless_gone(netlink.link, "del", index=index)


def _settle(netlink: Any, wanted: LinkSettings) -> None:
    index = _need_index(netlink, wanted.name)
    sysctl.set_ipv6(wanted.name, wanted.ipv6)
    master = _need_index(netlink, wanted.master) if wanted.master else 0
    netlink.link("set", index=index, mtu=wanted.mtu, ifalias=wanted.alias, master=master)
    if wanted.master:
        netlink.brport(
            "set",
            index=index,
            learning=0,
            unicast_flood=0,
            mcast_flood=int(wanted.floods),
            bcast_flood=1,
            isolated=0,
        )
    else:
        netlink.link("set", index=index, kind="bridge", br_stp_state=0, br_mcast_snooping=0)
        with contextlib.suppress(NetlinkError):  # a kernel that knows no VLANs filters none
            netlink.link("set", index=index, kind="bridge", br_vlan_filtering=0)
    netlink.link("set", index=index, state="up")
    if wanted.master:
        # Without a carrier it is refused, and the bridge opens the port when there is one.
        with contextlib.suppress(NetlinkError):
            netlink.brport("set", index=index, brport_state=_FORWARDING)


def _settle_gateway(wanted: Gateway) -> None:
    sysctl.set_forwarding(wanted.forwarding)
    sysctl.set_ipv6(INNER_LINK, wanted.ipv6)
    offload.set_checksum_offload(INNER_LINK, False)
    addresses = [_with_bits(one) for one in wanted.address.split()]
    with IPRoute() as netlink:
        index = _need_index(netlink, INNER_LINK)
        netlink.link("set", index=index, address=wanted.mac, mtu=wanted.mtu, state="up")
        for entry in netlink.get_addr(index=index):
            if (entry.get("address"), entry["prefixlen"]) not in addresses:
                netlink.addr(
                    "del", index=index, address=entry.get("address"), prefixlen=entry["prefixlen"]
                )
        for address, bits in addresses:
            netlink.addr("replace", index=index, address=address, prefixlen=bits)


def _with_bits(address: str) -> tuple[str, int]:
    host, _, bits = address.partition("/")
    return host, int(bits)


def _forward(netlink: Any, action: Action, entry: BridgeEntry | TunnelEntry) -> None:
    how: dict[str, Any] = {"lladdr": entry.mac}
    if isinstance(entry, TunnelEntry):
        how |= {"dst": entry.via.split()[0], "flags": NTF_SELF, "state": NUD_PERMANENT}
        link = entry.vxlan
    else:
        how |= {"flags": NTF_MASTER, "state": NUD_NOARP}
        link = entry.link
    if action is Action.DELETE:
        index = _index(netlink, link)
        if index is not None:
            _unless_gone(netlink.fdb, "del", ifindex=index, **how)
    else:
        netlink.fdb("replace", ifindex=_need_index(netlink, link), **how)


def _copy(netlink: Any, action: Action, entry: CopyEntry) -> None:
    """Of one that is there already, nothing is changed. Others to other VTEPs stay beside it."""
    how = {"lladdr": EVERYBODY, "dst": entry.via.split()[0], "flags": NTF_SELF}
    how["state"] = NUD_PERMANENT
    index = _index(netlink, entry.vxlan)
    if action is not Action.ADD and index is not None:
        _unless_gone(netlink.fdb, "del", ifindex=index, **how)
    if action is not Action.DELETE:
        netlink.fdb("append", ifindex=_need_index(netlink, entry.vxlan), **how)


def _neighbour(netlink: Any, action: Action, entry: ArpEntry) -> None:
    how = {"dst": entry.address, "lladdr": entry.mac, "state": NUD_PERMANENT}
    if action is Action.DELETE:
        index = _index(netlink, entry.vxlan)
        if index is not None:
            _unless_gone(netlink.neigh, "del", ifindex=index, **how)
    else:
        netlink.neigh("replace", ifindex=_need_index(netlink, entry.vxlan), **how)


def _index(netlink: Any, name: str) -> int | None:
    found = netlink.link_lookup(ifname=name)
    return int(found[0]) if found else None


def _need_index(netlink: Any, name: str) -> int:
    index = _index(netlink, name)
    if index is None:
        raise NetlinkError(errno.ENODEV, f"there is no link {name}")
    return index


def _unless_gone(call: Any, *what: Any, **how: Any) -> None:
    try:
        call(*what, **how)
    except NetlinkError as error:
        if error.code not in _GONE:
            raise
