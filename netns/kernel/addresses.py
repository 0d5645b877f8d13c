"""This host's IPv4 addresses and the links that have them, and being told when either changes.

Every daemon reads them, also one that carries no network; so this file speaks rtnetlink(7) by itself and does
not load pyroute2, which is large.
"""

import errno
import socket
import struct
from collections.abc import Iterator

import msgspec

_GET_LINK, _NEW_LINK, _GET_ADDRESS, _NEW_ADDRESS = 18, 16, 22, 20
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x301
_IFLA_NAME, _IFLA_MTU = 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_GROUP_LINK, _GROUP_ADDRESS = 0x1, 0x10
_LOOPBACK = 0x8
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER_BYTES = 1 << 16
_ANSWER_S = 5.0
_IPV4_BYTES = 4

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


def addresses() -> tuple[LinkAddress, ...]:
    """Every IPv4 address, in the kernel's order. Raises OSError if the kernel does not say."""
    links = dict(_link(body) for body in _dump(_GET_LINK, _NEW_LINK))
    found = []
    for body in _dump(_GET_ADDRESS, _NEW_ADDRESS):
        index, address = _address(body)
        if address and index in links:
            name, mtu, loopback = links[index]
            found.append(LinkAddress(name, address, mtu, loopback))
    return tuple(found)


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
    ear = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
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


def _dump(kind: int, answer: int) -> Iterator[bytes]:
    """The bodies of the messages with which the kernel answers. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asked:
        asked.settimeout(_ANSWER_S)
        asked.bind((0, 0))
        body = struct.pack("=Bxxx", socket.AF_INET) + bytes(12)
        head = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0)
        asked.send(head + body)
        while True:
            for said, data in _messages(asked.recv(_BUFFER_BYTES)):
                if said == _DONE:
                    return
                if said == _ERROR:
                    number = -struct.unpack_from("=i", data)[0]
                    raise OSError(number, f"rtnetlink: {errno.errorcode.get(number, number)}")
                if said == answer:
                    yield data


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _link(body: bytes) -> tuple[int, tuple[str, int, bool]]:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = dict(_attributes(body[_LINK.size :]))
    name = found.get(_IFLA_NAME, b"").rstrip(b"\0").decode(errors="replace")
    mtu = struct.unpack("=I", found[_IFLA_MTU])[0] if _IFLA_MTU in found else 0
    return index, (name, mtu, bool(flags & _LOOPBACK))


def _address(body: bytes) -> tuple[int, str]:
    index = _ADDRESS.unpack_from(body)[4]
    found = dict(_attributes(body[_ADDRESS.size :]))
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")
    return index, socket.inet_ntoa(packed) if len(packed) == _IPV4_BYTES else ""


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
