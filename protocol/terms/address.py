"""HOST:PORT: where a peer listens. One reader for what people write and for what peers say of themselves.

HOST is an IPv4 address, an IPv6 address in brackets (RFC 3986), or a DNS name. A name's last label begins
with a letter, so that no old notation of an IPv4 address (`127.1`, `0x7f000001`) passes for a name. An address
of one link only (`fe80::1%eth0`) means nothing elsewhere, and an IPv4 address written as an IPv6 one would be a
second name of the same host: neither is one.

Nothing here looks a name up. Who does asks `is_one_host` of what it stands for.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network
from typing import NamedTuple

from protocol.terms.ranges import PORT_MOST

Ip = IPv4Address | IPv6Address

NAME_MOST = 253
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*(?=[a-z]){_LABEL}")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a translator gives them to hosts that have IPv6 only (RFC 6052)."""

_FORM = "write HOST:PORT, for example 192.0.2.7:7700, [2001:db8::7]:7700 or uc-1.example.org:7700"


class Address(NamedTuple):
    """A host and a port. Two that are the same are equal, however they were written."""

    host: str
    """An address without brackets, or a name in lower case."""
    port: int

    @property
    def ip(self) -> Ip | None:
        """The host's address; None if the host is a name."""
        return ip_of(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """HOST:PORT. Raises ValueError with what is allowed, as an instruction."""
    host, colon, port = text.rpartition(":")
    bracketed = host[:1] + host[-1:] == "[]"
    if ":" in host and not bracketed:
        raise ValueError(f"an IPv6 address goes in brackets: [{host}]:{port}")
    if not colon or not _PORT.fullmatch(port) or bracketed != (":" in host):
        raise ValueError(_FORM)
    if int(port) > PORT_MOST:
        raise ValueError(f"ports are 1 to {PORT_MOST}")
    return Address(read_host(host[1:-1] if bracketed else host), int(port))


def read_host(text: str) -> str:
    """An address without brackets, or a name, as it is in an `Address`. Raises ValueError likewise."""
    if ip := ip_of(text):
        return str(ip)
    if ":" in text:
        raise ValueError(_no_ipv6(text))
    name = text.lower()
    if len(name) > NAME_MOST or not name.isascii() or not _NAME.fullmatch(name):
        raise ValueError(_FORM)
    return name


def address_of(text: str) -> Address | None:
    """HOST:PORT as somebody says it; None if it is none."""
    try:
        return read_address(text)
    except ValueError:
        return None


def ip_of(text: str) -> Ip | None:
    """An IPv4 or IPv6 address that means the same at every host; None if it is none."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        pass
    try:
        ip = IPv6Address(text)
    except AddressValueError:
        return None
    return None if ip.scope_id or ip.ipv4_mapped or ip.is_link_local else ip


def is_one_host(ip: Ip) -> bool:
    """Whether it is the address of one host that others may mean: not of many, not of none, not of one link.

    The loopback is: whether it may be meant is for each peer to say.
    """
    if ip.is_loopback:
        return True
    if isinstance(ip, IPv6Address) and ip in _NAT64:
        translated = IPv4Address(ip.packed[-4:])
        return is_one_host(translated) and not translated.is_loopback
    return not (ip.is_multicast or ip.is_unspecified or ip.is_link_local or ip.is_reserved)


def _no_ipv6(text: str) -> str:
    try:
        ip = IPv6Address(text)
    except AddressValueError:
        return f"{text} is no IPv6 address; write for example [2001:db8::7]:7700"
    if ip.ipv4_mapped:
        return f"write the IPv4 address: {ip.ipv4_mapped}"
    return f"{text} is of one link only; write an address that others can use, or a name"
