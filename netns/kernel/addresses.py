"""This host's IPv4 addresses and the links that have them, and being told when either changes."""

import errno
import socket
import struct

import msgspec

from netns.kernel import rtnetlink
from netns.kernel.rtnetlink import attributes, ipv4, number, text

_IFLA_MTU = 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_GROUP_LINK, _GROUP_ADDRESS = 0x1, 0x10
_LOOPBACK = 0x8
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_BUFFER_BYTES = 1 << 16

# Nothing is sent there: the kernel only chooses a way. RFC 5737 keeps these addresses for documentation.
_OUTSIDE = "203.0.113.1"
_DISCARD = 9


class LinkAddress(msgspec.Struct, frozen=True):
    """One IPv4 address of this host."""

    link: str
    address: str
    mtu: int
    """The link's, in bytes."""
    loopback: bool = False
    prefix_bits: int = 32


def addresses() -> tuple[LinkAddress, ...]:
    """Every IPv4 address, in the kernel's order. Raises OSError if the kernel does not say."""
    with rtnetlink.open_socket() as handle:
        head = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + rtnetlink.SKIP_STATS
        links = dict(map(_link, rtnetlink.dump(handle, rtnetlink.GETLINK, head)))
        head = _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
        held = list(map(_address, rtnetlink.dump(handle, rtnetlink.GETADDR, head)))
    return tuple(
        LinkAddress(name, address, mtu, loopback, bits)
        for index, address, bits in held
        if address and index in links
        for name, mtu, loopback in (links[index],)
    )


def source_towards(address: str = _OUTSIDE) -> str:
    """The address from which the kernel would send to `address`; empty if it has no way there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((address, _DISCARD))
        except OSError:
            return ""
        return str(asked.getsockname()[0])


def listener() -> socket.socket:
    """A socket that can be read when a link or an IPv4 address has changed; `drain` empties it."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    ear = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    ear.bind((0, _GROUP_LINK | _GROUP_ADDRESS))
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


def _address(body: bytes) -> tuple[int, str, int]:
    _, bits, _, _, index = _ADDRESS.unpack_from(body)
    found = attributes(body, _ADDRESS.size)
    return index, ipv4(found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)), bits
