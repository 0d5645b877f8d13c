"""The way out of a network: a veth pair, a route and rules on either side.

As for filters, what nft printed right after it loaded the host's table is kept; inside, where nobody else has
business, it is the kernel's count of changes of the rules.
"""

import socket
import struct
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from pyroute2 import IPRoute

from netns import program, saved
from netns.kernel import filters, namespaces, rtnetlink, sysctl
from netns.kernel.rtnetlink import attributes, ipv4, number
from netns.resources import OUTER_LINK, WayOut

_UP = 1
_GETROUTE = 26
_LINK_HEAD = struct.Struct("=BxHiII")
_ADDRESS_HEAD = struct.Struct("=BBBBi")
_ROUTE_HEAD = struct.Struct("=BBBBBBBBI")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_GATEWAY = 4, 5
_BITS = 31


class Inside(NamedTuple):
    """The end in the namespace. `via` is where the default route leads by it."""

    ifindex: int
    up: bool
    address: str
    via: str
    generation: int


class _Applied(msgspec.Struct, frozen=True):
    rules: str
    printed: str
    generation: int
    inner: str = ""


def look_inside(handle: socket.socket) -> Inside | None:
    """The end in the calling thread's namespace; None if there is none. `handle` is a netlink socket there."""
    found = _link(handle, OUTER_LINK)
    if found is None:
        return None
    index, up, _ = found
    address, via = "", ""
    head = _ADDRESS_HEAD.pack(socket.AF_INET, 0, 0, 0, 0)
    for payload in rtnetlink.dump(handle, rtnetlink.GETADDR, head):
        _, bits, _, _, at = _ADDRESS_HEAD.unpack_from(payload)
        if at == index and bits == _BITS:
            address = ipv4(attributes(payload, _ADDRESS_HEAD.size).get(_IFA_LOCAL))
    head = _ROUTE_HEAD.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    for payload in rtnetlink.dump(handle, _GETROUTE, head):
        has = attributes(payload, _ROUTE_HEAD.size)
        if payload[1] == 0 and number(has.get(_RTA_OIF)) == index:
            via = ipv4(has.get(_RTA_GATEWAY))
    return Inside(index, up, address, via, filters.generation())


def observe(
    namespace: str, link: str, inside: Inside | None, directory: Path, printed: str | None
) -> WayOut | None:
    """The way out as it is; None if nothing of it is there. `printed`: what nft prints of the host's table."""
    with rtnetlink.open_socket() as handle:
        host = _link(handle, link)
        outside = _held(handle, host[0]) if host is not None else ""
    if host is None and inside is None and printed is None:
        return None
    applied = saved.read(_path(directory), _Applied)
    paired = host is not None and inside is not None and host[2] == inside.ifindex
    return WayOut(
        namespace,
        link,
        inside=inside.address if inside is not None and paired else "",
        outside=outside,
        rules=applied.rules if applied is not None and applied.printed == printed else "",
        leads=inside is not None
        and host is not None
        and host[1]
        and inside.up
        and inside.via == outside,
        inner=applied.inner
        if inside is not None and applied is not None and applied.generation == inside.generation
        else "",
    )


def bring_about(wanted: WayOut, table: str, alias: str, directory: Path) -> None:
    """Makes it so, whatever was there. Raises NetnsError when the kernel refuses."""
    _path(directory).unlink(missing_ok=True)
    printed = filters.put(table, wanted.rules)
    with IPRoute() as netlink:
        if not _is_paired(wanted):
            _delete(netlink, wanted.link)
            namespaces.inside(wanted.namespace, _delete_outer)
            peer = {"ifname": OUTER_LINK, "net_ns_fd": wanted.namespace}
            netlink.link("add", ifname=wanted.link, kind="veth", peer=peer)
        (index,) = netlink.link_lookup(ifname=wanted.link)
        sysctl.disable_ipv6(wanted.link)
        netlink.link("set", index=index, ifalias=alias)
        _settle(netlink, index, wanted.outside)
    generation = namespaces.inside(wanted.namespace, lambda: _settle_inside(wanted))
    saved.write(_path(directory), _Applied(wanted.rules, printed, generation, wanted.inner))


def remove(link: str, table: str, directory: Path) -> None:
    """Leaves nothing of it. It is no error if there is nothing."""
    with IPRoute() as netlink:
        _delete(netlink, link)
    filters.drop(table)
    _path(directory).unlink(missing_ok=True)


def _settle(netlink: Any, index: int, address: str) -> None:
    for entry in netlink.get_addr(family=socket.AF_INET, index=index):
        if (entry.get("local"), entry["prefixlen"]) != (address, _BITS):
            netlink.addr(
                "del", index=index, address=entry.get("local"), prefixlen=entry["prefixlen"]
            )
    netlink.addr("replace", index=index, address=address, prefixlen=_BITS)
    netlink.link("set", index=index, state="up")


def _settle_inside(wanted: WayOut) -> int:
    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=OUTER_LINK)
        sysctl.disable_ipv6(OUTER_LINK)
        _settle(netlink, index, wanted.inside)
        netlink.route("replace", dst="default", gateway=wanted.outside, oif=index)
    program.run(["nft", "-f", "-"], text=wanted.inner)
    return filters.generation()


def _is_paired(wanted: WayOut) -> bool:
    def inner() -> int | None:
        with rtnetlink.open_socket() as handle:
            found = _link(handle, OUTER_LINK)
            return found[0] if found is not None else None

    with rtnetlink.open_socket() as handle:
        host = _link(handle, wanted.link)
    return host is not None and host[2] == namespaces.inside(wanted.namespace, inner)


def _link(handle: socket.socket, name: str) -> tuple[int, bool, int] | None:
    """(index, up, index of its peer) of a link; None if there is none."""
    asked = struct.pack("=HH16s", 20, rtnetlink.IFLA_IFNAME, name.encode())
    try:
        payload = rtnetlink.ask(handle, rtnetlink.GETLINK, _LINK_HEAD.pack(0, 0, 0, 0, 0) + asked)
    except OSError:
        return None
    _, _, index, flags, _ = _LINK_HEAD.unpack_from(payload)
    peer = number(attributes(payload, _LINK_HEAD.size).get(rtnetlink.IFLA_LINK))
    return index, bool(flags & _UP), peer or 0


def _held(handle: socket.socket, index: int) -> str:
    head = _ADDRESS_HEAD.pack(socket.AF_INET, 0, 0, 0, 0)
    for payload in rtnetlink.dump(handle, rtnetlink.GETADDR, head):
        if _ADDRESS_HEAD.unpack_from(payload)[4] == index:
            return ipv4(attributes(payload, _ADDRESS_HEAD.size).get(_IFA_LOCAL))
    return ""


def _delete_outer() -> None:
    with IPRoute() as netlink:
        _delete(netlink, OUTER_LINK)


def _delete(netlink: Any, name: str) -> None:
    for index in netlink.link_lookup(ifname=name):
        netlink.link("del", index=index)


def _path(directory: Path) -> Path:
    return directory / "way.json"
