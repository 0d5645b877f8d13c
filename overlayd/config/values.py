"""Scalars with a notation of their own: sizes, addresses, names, files.

Each is a plain str or int once it is read. `from_written` takes what the document has (text or a number), and
raises ValueError with what is allowed. The walker in typed.py adds what was found. `SCHEMA` is its JSON Schema.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Any, ClassVar, Protocol, Self

from protocol.grid.model import Exposure, Transport
from protocol.grid.syntax import label_problem, tag_problem
from protocol.terms.address import Address, Ip, ip_of, read_address
from protocol.terms.ids import PeerId, is_64_digits
from protocol.terms.quantities import (
    parse_count,
    parse_cpus,
    parse_duration,
    parse_rate,
    parse_size,
)
from protocol.terms.ranges import PORT_MOST
from protocol.terms.refusal import PORTS

_HOST = r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])"
_PORT = re.compile(r"([0-9]{1,5})(?:/(tcp|udp))?")
_LINK = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
"""Linux takes 15 characters. One that begins with a digit would be read as a mistyped address."""


class Written(Protocol):
    """A scalar type that reads itself."""

    SCHEMA: ClassVar[Mapping[str, Any]]

    @classmethod
    def from_written(cls, found: object) -> Self:
        """The value. Raises ValueError with what is allowed, as an instruction: `write for example 4G`."""


class Size(int):
    """Bytes, written 512M or 4G."""

    ALLOWED: ClassVar[str] = "write for example 512M, 4G or 1.5T"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": ["string", "integer"],
        "pattern": r"^[0-9]+(\.[0-9]+)?\s*([KMGTP]?)(i?B)?$",
        "minimum": 0,
        "examples": ["512M", "4G", "1.5T"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        return cls(_parsed(parse_size, _text_or_number(found, cls.ALLOWED), cls.ALLOWED))


class DiskSize(Size):
    """Bytes of something that is there: 0 is no size of it."""

    ALLOWED: ClassVar[str] = f"{Size.ALLOWED}, or leave it out"

    @classmethod
    def from_written(cls, found: object) -> Self:
        size = super().from_written(found)
        if size == 0:
            raise ValueError(cls.ALLOWED)
        return size


class Cpus(int):
    """Thousandths of a cpu, written 2, 0.5 or 500m."""

    ALLOWED: ClassVar[str] = "write for example 2, 0.5 or 500m"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": ["number", "string"],
        "pattern": r"^[0-9]+(\.[0-9]{1,3}|m)?$",
        "minimum": 0,
        "examples": [2, 0.5, "500m"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        return cls(_parsed(parse_cpus, _text_or_number(found, cls.ALLOWED), cls.ALLOWED))


class Rate(int):
    """Bits a second of a network, written 100M or 1G."""

    ALLOWED: ClassVar[str] = "write for example 100M, 1G or 2.5G: bits a second"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": ["string", "integer"],
        "pattern": r"^[0-9]+(\.[0-9]{1,3})?\s*([KMGT]?)(bit(/s)?)?$",
        "minimum": 0,
        "examples": ["100M", "1G", "2.5G"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        return cls(_parsed(parse_rate, _text_or_number(found, cls.ALLOWED), cls.ALLOWED))


class DiskRate(Size):
    """Bytes a second of a disk, written 50M or 1G: powers of 1024, as sizes are."""

    ALLOWED: ClassVar[str] = "write for example 50M or 1G: bytes a second"


class Operations(int):
    """Reads and writes of a disk in a second: a whole number."""

    ALLOWED: ClassVar[str] = "write a whole number, for example 500: reads and writes a second"
    SCHEMA: ClassVar[Mapping[str, Any]] = {"type": "integer", "minimum": 0, "examples": [500]}

    @classmethod
    def from_written(cls, found: object) -> Self:
        return cls(_parsed(parse_count, _text_or_number(found, cls.ALLOWED), cls.ALLOWED))


class Duration(int):
    """Whole seconds, written 90s, 30m or 6h."""

    ALLOWED: ClassVar[str] = "write for example 90s, 30m, 6h or 2d"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]{1,3})?\s*(s|m|h|d|w)$",
        "examples": ["90s", "30m", "6h", "2d"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        seconds = _parsed(parse_duration, _text(found, cls.ALLOWED), cls.ALLOWED)
        if seconds != int(seconds):
            raise ValueError("whole seconds are allowed")
        return cls(seconds)


class Milliseconds(int):
    """Whole milliseconds of a round trip, written 30ms or 2s."""

    ALLOWED: ClassVar[str] = "write for example 5ms, 30ms or 1s"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]{1,3})?\s*(ms|s)$",
        "examples": ["30ms"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, cls.ALLOWED)
        if not text.rstrip().endswith("s"):
            raise ValueError(cls.ALLOWED)
        milliseconds = round(_parsed(parse_duration, text, cls.ALLOWED) * 1000, 3)
        if milliseconds != int(milliseconds) or milliseconds < 1:
            raise ValueError("whole milliseconds are allowed, 1 at least")
        return cls(milliseconds)


class Name(str):
    """The name of a host or site: a DNS label."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        "maxLength": 40,
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, "write a name, for example uc-1")
        if problem := label_problem(text):
            raise ValueError(problem.partition("; ")[2])
        return cls(text)


class Label(str):
    """A host's label: a word, or a word with a value."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": "^[a-z0-9][a-z0-9._-]*(=[A-Za-z0-9._-]+)?$",
        "maxLength": 63,
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, "write a label, for example ssd or rack=b7")
        if problem := tag_problem(text):
            raise ValueError(problem.partition("; ")[2])
        return cls(text)


class UserIds(str):
    """A range of user ids that belong to nobody: the first and the last. Empty: it is not said."""

    __slots__ = ()
    ALLOWED: ClassVar[str] = (
        "write the first and the last of at least two, for example 700000-709999"
    )
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": "^([1-9][0-9]{3,9}-[1-9][0-9]{3,9})?$",
        "examples": ["700000-709999"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, cls.ALLOWED)
        match = re.fullmatch(r"([1-9][0-9]{3,9})-([1-9][0-9]{3,9})", text)
        if not text:
            return cls()
        if match is None or not int(match[1]) < int(match[2]) < 0xFFFF_FFFF:
            raise ValueError(cls.ALLOWED)
        return cls(match[0])

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last. It must not be empty."""
        first, _, last = self.partition("-")
        return int(first), int(last)


AUTO = "auto"


class UnderlaySource(str):
    """Where this host's address towards others comes from: an address, an interface's name, or `auto`."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "examples": ["192.0.2.7", "2001:db8::7", "eth0", AUTO],
    }

    @property
    def ip(self) -> Ip | None:
        """The address that is written; None if it is none."""
        return ip_of(self)

    @classmethod
    def from_written(cls, found: object) -> Self:
        allowed = "write an address, an interface or auto: 192.0.2.7, 2001:db8::7, eth0"
        text = _text(found, allowed)
        if ip := ip_of(text):
            return cls(ip)
        if not _LINK.fullmatch(text):
            raise ValueError(allowed)
        return cls(text)


class Endpoint(str):
    """A host, by address or name, and a TCP port: `192.0.2.7:7700`. Empty: it is not said."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": rf"^{_HOST}:[0-9]+$",
        "examples": ["192.0.2.7:7700", "[2001:db8::7]:7700", "uc-1.example.org:7700"],
    }

    @property
    def address(self) -> Address:
        """Host and port. It must not be empty."""
        return read_address(self)

    @property
    def host(self) -> str:
        """The address, without brackets, or the name; empty if it is not said."""
        return self.address.host if self else ""

    @property
    def is_everywhere(self) -> bool:
        """Whether it stands for every address that this host has and gets."""
        ip = ip_of(self.host)
        return ip is not None and ip.is_unspecified

    @classmethod
    def from_written(cls, found: object) -> Self:
        address = read_address(_text(found, "write HOST:PORT, for example 192.0.2.7:7700"))
        ip = address.ip
        if ip is not None and ip.is_multicast:
            raise ValueError(f"{ip} is of many hosts; write an address of one")
        return cls(address)


class Contact(str):
    """A peer to join by: its key, which it must prove to have, and where it listens."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": rf"^[0-9a-f]{{64}}@{_HOST}:[0-9]+$",
    }

    @property
    def peer(self) -> PeerId:
        """The peer's public key."""
        return PeerId(self.partition("@")[0])

    @property
    def endpoint(self) -> Endpoint:
        """The address and port where it listens."""
        return Endpoint(self.partition("@")[2])

    @classmethod
    def from_written(cls, found: object) -> Self:
        allowed = "write KEY@HOST:PORT, KEY being that peer's 64 hexadecimal digits"
        text = _text(found, allowed)
        key, _, endpoint = text.partition("@")
        if not is_64_digits(key.lower()):
            raise ValueError(allowed)
        try:
            where = Endpoint.from_written(endpoint)
        except ValueError as error:
            raise ValueError(f"behind the @, {error}") from None
        return cls(f"{key.lower()}@{where}")


class ExposedPort(str):
    """A port of a guest, and perhaps which of its host's leads to it: `443/tcp`, `53/udp as 5353`."""

    __slots__ = ()
    ALLOWED: ClassVar[str] = "write 443, 53/udp or {port: 22, as: 2222}"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "oneOf": [
            {"type": ["integer", "string"], "pattern": "^[0-9]+(/(tcp|udp))?$"},
            {
                "type": "object",
                "properties": {
                    "port": {"type": ["integer", "string"], "pattern": "^[0-9]+(/(tcp|udp))?$"},
                    "as": {"type": "integer", "minimum": 1, "maximum": 65535},
                },
                "required": ["port"],
                "additionalProperties": False,
            },
        ],
        "examples": [443, "53/udp", {"port": 22, "as": 2222}],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        outside: object = 1
        port = found
        if isinstance(found, dict):
            if not {"port"} <= found.keys() <= {"port", "as"}:
                raise ValueError(cls.ALLOWED)
            port, outside = found["port"], found.get("as", 1)
        match = _PORT.fullmatch(str(_text_or_number(port, cls.ALLOWED)))
        if match is None or isinstance(outside, bool) or not isinstance(outside, int):
            raise ValueError(cls.ALLOWED)
        if not 1 <= outside <= PORT_MOST:
            raise ValueError(f"allowed under `as` are 1 to {PORT_MOST}")
        chosen = f" as {outside}" if isinstance(found, dict) and "as" in found else ""
        return cls(f"{match[1]}/{match[2] or Transport.TCP}{chosen}")

    @property
    def exposure(self) -> Exposure:
        """What it asks for; of a placeholder, nothing that is allowed."""
        inside, _, outside = self.partition(" as ")
        port, _, transport = inside.partition("/")
        return Exposure(int(port or 1), Transport(transport or Transport.TCP), int(outside or 0))


class Ipv4(str):
    """An IPv4 address. Empty: it is not said."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {"type": "string", "examples": ["198.51.100.7"]}

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, "write an IPv4 address")
        if text and not is_address(text):
            raise ValueError("write an IPv4 address")
        return cls(text)


class PortRange(str):
    """Ports of a host, the first and the last. Empty: none."""

    __slots__ = ()
    ALLOWED: ClassVar[str] = "write the first and the last, for example 30000-32767"
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": "^([1-9][0-9]{0,4}-[1-9][0-9]{0,4})?$",
        "examples": ["30000-32767"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, cls.ALLOWED)
        match = re.fullmatch(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})", text)
        if not text:
            return cls()
        if match is None or not int(match[1]) <= int(match[2]) <= PORT_MOST:
            raise ValueError(cls.ALLOWED)
        return cls(text)

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last; twice 0 if there are none."""
        first, _, last = self.partition("-")
        return int(first or 0), int(last or 0)

    @property
    def counted(self) -> dict[str, int]:
        """How many there are, as a host's capacity has it."""
        first, last = self.ends
        return {PORTS: last - first + 1} if first else {}


class FilePath(str):
    """A file or folder on this host. Relative ones are relative to the document's folder."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {"type": "string", "minLength": 1}

    @classmethod
    def from_written(cls, found: object) -> Self:
        text = _text(found, "write a path")
        if not text or not text.isprintable():
            raise ValueError("write a path of printable characters")
        return cls(text)


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 address, dotted."""
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _text(found: object, allowed: str) -> str:
    if not isinstance(found, str):
        raise ValueError(allowed)
    return found


def _text_or_number(found: object, allowed: str) -> str | int | float:
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise ValueError(allowed)
    return found


def _parsed(parse: Callable[[Any], float], written: object, allowed: str) -> float:
    """The parsed value, with our own words for what is allowed: the parser's would repeat what was found."""
    try:
        return parse(written)
    except ValueError:
        raise ValueError(allowed) from None
