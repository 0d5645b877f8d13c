"""The topology file: sites, hosts, addresses, rates. Every error at once, each with its key."""

import re
import tomllib
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import Any

import msgspec

from netns.failures import NetnsError

SITES_MAX = 64
HOSTS_MAX = 253  # of one site, in a /24 with its router
_Network = IPv4Network | IPv6Network
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_RATE = re.compile(r"([1-9]\d{0,6})(kbit|mbit|gbit)")
_BITS = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}


class TopologyError(NetnsError):
    """The file cannot be a lab. The text has one line for each thing that is wrong."""


class Host(msgspec.Struct, frozen=True):
    name: str
    address: str


class Site(msgspec.Struct, frozen=True):
    """`subnet` is IPv4 or IPv6, and the hosts have no other. `rate_bits_per_s` limits the uplink each way; 0 is
    no limit.
    """

    name: str
    subnet: str
    hosts: tuple[Host, ...]
    rate_bits_per_s: int = 0
    nat: str = ""
    """ADDRESS/BITS of the site's NAT router on the outside; empty if there is no NAT."""
    through: str = ""
    """The one site whose hosts can talk with this site's; empty if every site's can."""

    @property
    def router(self) -> str:
        """The last address of the subnet."""
        return str(ip_network(self.subnet).broadcast_address - 1)

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.subnet

    @property
    def nat_address(self) -> str:
        """The NAT router's address on the outside."""
        return self.nat.partition("/")[0]

    @property
    def nat_gateway(self) -> str:
        """The wide-area end of the router's link: the last address of that subnet."""
        return str(IPv4Interface(self.nat).network.broadcast_address - 1)


class Topology(msgspec.Struct, frozen=True):
    name: str
    sites: tuple[Site, ...]

    def check(self) -> None:
        """Raises TopologyError with everything that is wrong."""
        wrong = list(_wrong_in(self))
        if wrong:
            raise TopologyError("\n".join(wrong))


def read(path: Path, name: str = "") -> Topology:
    """The topology in a file, under another `name` if one is given."""
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise TopologyError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: {error}") from error
    if name:
        raw["name"] = name
    try:
        return parse(raw)
    except TopologyError as error:
        lines = str(error).splitlines()
        raise TopologyError("\n".join(f"{path}: {line}" for line in lines)) from None


def parse(raw: dict[str, Any]) -> Topology:
    """The topology in a decoded TOML document."""
    wrong: list[str] = []
    _only(raw, ("name", "site"), "", wrong)
    sites = []
    for index, table in enumerate(_tables(raw, "site", "", wrong)):
        at = f"site[{index}]."
        _only(table, ("name", "subnet", "rate", "nat", "through", "host"), at, wrong)
        hosts = []
        for number, entry in enumerate(_tables(table, "host", at, wrong)):
            here = f"{at}host[{number}]."
            _only(entry, ("name", "address"), here, wrong)
            hosts.append(
                Host(_text(entry, "name", here, wrong), _text(entry, "address", here, wrong))
            )
        sites.append(
            Site(
                _text(table, "name", at, wrong),
                _text(table, "subnet", at, wrong),
                tuple(hosts),
                _rate(table.get("rate", ""), at, wrong),
                _text(table, "nat", at, wrong, ""),
                _text(table, "through", at, wrong, ""),
            )
        )
    topology = Topology(_text(raw, "name", "", wrong), tuple(sites))
    wrong += _wrong_in(topology)
    if wrong:
        raise TopologyError("\n".join(wrong))
    return topology


def _only(table: dict[str, Any], allowed: tuple[str, ...], at: str, wrong: list[str]) -> None:
    for key in table:
        if key not in allowed:
            wrong.append(f"{at}{key}: unknown; known here are {', '.join(allowed)}")


def _tables(table: dict[str, Any], key: str, at: str, wrong: list[str]) -> list[dict[str, Any]]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        wrong.append(f"{at}{key}: write it as [[{'site.' if at else ''}{key}]] tables")
        return []
    return value


def _text(
    table: dict[str, Any], key: str, at: str, wrong: list[str], default: str | None = None
) -> str:
    value = table.get(key, default)
    if isinstance(value, str):
        return value
    wrong.append(f"{at}{key}: {'missing' if value is None else f'{value!r} is not a text'}")
    return ""


def _rate(value: object, at: str, wrong: list[str]) -> int:
    match = _RATE.fullmatch(str(value))
    if match:
        return int(match[1]) * _BITS[match[2]]
    if value != "":
        wrong.append(f"{at}rate: {value!r} is not a rate; write for example 200mbit or 1gbit")
    return 0


def _wrong_in(topology: Topology) -> Iterator[str]:
    if topology.name and not _NAME.fullmatch(topology.name):
        yield f"name: {topology.name!r} needs 1 to 32 of a-z, 0-9 and inner dashes"
    if not 1 <= len(topology.sites) <= SITES_MAX:
        yield f"site: {len(topology.sites)} sites; a lab has 1 to {SITES_MAX}"
    names: dict[str, str] = {"wan": "the wide-area segment"}
    subnets: list[tuple[str, _Network]] = []
    for index, site in enumerate(topology.sites):
        at = f"site[{index}]."
        yield from _wrong_name(site.name, f"{at}name", names)
        try:
            subnet = ip_network(site.subnet) if site.subnet else None
        except ValueError:
            yield f"{at}subnet: {site.subnet!r} is not a network such as 10.99.1.0/24"
            subnet = None
        if subnet is not None:
            for other, taken in subnets:
                if subnet.overlaps(taken):
                    yield f"{at}subnet: {subnet} overlaps {taken} of {other}"
            subnets.append((f"{at}subnet", subnet))
        yield from _wrong_hosts(site, subnet, at, names)
        if site.nat and site.is_ipv6:
            yield f"{at}nat: {site.subnet} is IPv6, which needs none"
        elif site.nat:
            yield from _wrong_nat(site, at, subnets)
    for index, site in enumerate(topology.sites):
        yield from _wrong_through(site, f"site[{index}].through", topology)


def _wrong_nat(site: Site, at: str, subnets: list[tuple[str, _Network]]) -> Iterator[str]:
    try:
        outside = IPv4Interface(site.nat)
    except ValueError:
        outside = None
    if outside is None or outside.network.prefixlen > 30:
        yield f"{at}nat: {site.nat!r} is not an address with its network, such as 10.98.1.1/30"
        return
    for other, taken in subnets:
        if outside.network.overlaps(taken):
            yield f"{at}nat: {outside.network} overlaps {taken} of {other}"
    subnets.append((f"{at}nat", outside.network))
    ends = (outside.network.network_address, outside.network.broadcast_address)
    if outside.ip in (*ends, outside.network.broadcast_address - 1):
        yield f"{at}nat: {outside.ip} is not the router's to have; the last one is the wide-area end's"


def _wrong_through(site: Site, at: str, topology: Topology) -> Iterator[str]:
    if not site.through:
        return
    other = next((s for s in topology.sites if s.name == site.through), None)
    if other is None or other is site:
        others = ", ".join(s.name for s in topology.sites if s is not site)
        yield f"{at}: {site.through!r} is no other site; there are {others}"
    elif other.nat or site.nat:
        yield f"{at}: neither this site nor {other.name} may have a nat"
    elif other.is_ipv6 or site.is_ipv6:
        yield f"{at}: neither this site nor {other.name} may be IPv6"


def _wrong_hosts(
    site: Site, subnet: _Network | None, at: str, names: dict[str, str]
) -> Iterator[str]:
    if not 1 <= len(site.hosts) <= HOSTS_MAX:
        yield f"{at}host: {len(site.hosts)} hosts; a site has 1 to {HOSTS_MAX}"
    taken: dict[IPv4Address | IPv6Address, str] = {}
    if subnet is not None:
        taken[ip_address(site.router)] = "the site's router"
    for number, host in enumerate(site.hosts):
        here = f"{at}host[{number}]."
        yield from _wrong_name(host.name, f"{here}name", names)
        try:
            address = ip_address(host.address)
        except ValueError:
            if host.address:
                yield f"{here}address: {host.address!r} is not an address"
            continue
        if subnet is not None and (
            address not in subnet or address in (subnet.network_address, subnet.broadcast_address)
        ):
            yield f"{here}address: {address} is not a host address of {subnet}"
        if address in taken:
            yield f"{here}address: {address} is already {taken[address]}"
        taken.setdefault(address, f"{here}address")


def _wrong_name(name: str, at: str, names: dict[str, str]) -> Iterator[str]:
    if name and not _NAME.fullmatch(name):
        yield f"{at}: {name!r} needs 1 to 32 of a-z, 0-9 and inner dashes"
    elif name in names:
        yield f"{at}: {name!r} is already {names[name]}"
    if name:
        names.setdefault(name, at)
