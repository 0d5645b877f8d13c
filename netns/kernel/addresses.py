"""This host's addresses and the links that have them, and being told when either changes."""

import errno
import socket
import struct

import msgspec

from netns.kernel import rtnetlink
from netns.kernel.rtnetlink import attributes, ipv4, ipv6, number, text

_IFLA_MTU = 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_TEMPORARY, _FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40
_GROUP_LINK, _GROUP_IPV4, _GROUP_IPV6 = 0x1, 0x10, 0x100
_LOOPBACK = 0x8
_SCOPE_LINK = 253
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_BUFFER_BYTES = 1 << 16

# Nothing is sent there: the kernel only chooses a way. RFC 5737 and 3849 keep them for documentation.
_OUTSIDE = ("203.0.113.1", "2001:db8::1")
_DISCARD = 9


class LinkAddress(msgspec.Struct, frozen=True):
    """One address of this host."""

    link: str
    address: str
    mtu: int
    """The link's, in bytes."""
    loopback: bool = False
    prefix_bits: int = 32

    @property
    def is_ipv4(self) -> bool:
        return ":" not in self.address


def addresses() -> tuple[LinkAddress, ...]:
    """Every address that others can use, IPv4 first, in the kernel's order. Raises OSError if it does not say.

    Left out are IPv6 addresses of one link only, and those that another host may have as well. Those that come
    and go (RFC 8981) are last.
    """
    with rtnetlink.open_socket() as handle:
        head = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + rtnetlink.SKIP_STATS
        links = dict(map(_link, rtnetlink.dump(handle, rtnetlink.GETLINK, head)))
        head = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        held = list(map(_address, rtnetlink.dump(handle, rtnetlink.GETADDR, head)))
    found = [
        (":" in address, passing, LinkAddress(name, address, mtu, loopback, bits))
        for index, address, bits, passing in held
        if address and index in links
        for name, mtu, loopback in (links[index],)
    ]
    return tuple(each for *_, each in sorted(found, key=lambda one: one[:2]))


def source_towards(address: str = "") -> str:
    """The address from which the kernel would send to `address`, or outside; empty if it has no way there."""
    for towards in (address,) if address else _OUTSIDE:
        if source := _source(towards):
            return source
    return ""


def _source(address: str) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((address, _DISCARD))
            return str(asked.getsockname()[0])
    except OSError:
        return ""


def listener() -> socket.socket:
    """A socket that can be read when a link or an address has changed; `drain` empties it."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    ear = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    ear.bind((0, _GROUP_LINK | _GROUP_IPV4 | _GROUP_IPV6))
    return ear


def drain(ear: socket.socket) -> None:
    """Reads all that is there. That some of it was lost is no harm: whoever was told looks anew."""
    while True:
        try:
            ear.recv(_BUFFER_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise


def _link(body: bytes) -> tuple[int, tuple[str, int, bool]]:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = attributes(body, _LINK.size)
    name, mtu = text(found.get(rtnetlink.IFLA_IFNAME)), number(found.get(_IFLA_MTU)) or 0
    return index, (name, mtu, bool(flags & _LOOPBACK))


def _address(body: bytes) -> tuple[int, str, int, bool]:
    """(index of its link, address, bits, whether it comes and goes). Empty if others cannot use it."""
    family, bits, flags, scope, index = _ADDRESS.unpack_from(body)
    found = attributes(body, _ADDRESS.size)
    raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if family == socket.AF_INET:
        return index, ipv4(raw), bits, False
    flags = number(found.get(_IFA_FLAGS)) or flags
    if family != socket.AF_INET6 or scope == _SCOPE_LINK or flags & (_FAILED | _TENTATIVE):
        return index, "", bits, False
    return index, ipv6(raw), bits, bool(flags & (_TEMPORARY | _DEPRECATED))
