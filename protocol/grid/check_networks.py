"""Networks of a grid: is each a private IPv4 range of its own, with room for its members, its IPv6 a /64?"""

from collections.abc import Iterator
from ipaddress import (
    AddressValueError,
    IPv4Network,
    IPv6Network,
    NetmaskValueError,
    ip_network,
)

from protocol.grid import limits
from protocol.grid.addresses import capacity
from protocol.grid.model import SIX_AUTO, GridSpec
from protocol.grid.problem import Problem, quoted
from protocol.grid.six import PREFIX_BITS

_PRIVATE = tuple(IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_EXAMPLE = "write a private IPv4 range, for example 10.42.0.0/24"
_SIX = tuple(IPv6Network(cidr) for cidr in ("fd00::/8", "2000::/3"))
_EXAMPLE_SIX = (
    "write none, auto, or a /64 of IPv6 inside fd00::/8 or 2000::/3, for example fd42:17::/64"
)


def network_problems(spec: GridSpec) -> Iterator[Problem]:
    """Syntax, privacy, size, room and overlaps of every network, each at its `cidr` or its `cidr6`."""
    yield from _six_problems(spec)
    good: list[tuple[str, IPv4Network]] = []
    for position, network in enumerate(spec.networks):
        path = ("networks", position, "cidr")
        parsed = parse(network.cidr)
        if isinstance(parsed, str):
            yield Problem(path, parsed)
            continue
        for name, other in good:
            if parsed.overlaps(other):
                yield Problem(path, _overlap(parsed, name, other, [cidr for _, cidr in good]))
                break
        good.append((network.name, parsed))
        asked = sum(
            cluster.count
            for cluster in spec.clusters
            if network.name in cluster.networks and 0 < cluster.count <= limits.WORKSPACES_MAX
        )
        if asked > capacity(parsed):
            yield Problem(path, _exhausted(parsed, asked))


def parse(cidr: str) -> IPv4Network | str:
    """The range, or the words for what is wrong with it."""
    try:
        network = IPv4Network(cidr, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return f"found {quoted(cidr)}{_guess(cidr)}; {_EXAMPLE}"
    if "/" not in cidr:
        return f"found {quoted(cidr)}, which has no prefix length; {_EXAMPLE}"
    if str(network) != cidr:
        if str(network[0]) == cidr.split("/", maxsplit=1)[0]:
            return f'found {quoted(cidr)}; write it as "{network}"'
        return f'found {quoted(cidr)}, an address inside a network; the network is "{network}"'
    if not any(network.subnet_of(block) for block in _PRIVATE):
        blocks = ", ".join(str(block) for block in _PRIVATE)
        return f"found {quoted(cidr)}, which is not private; allowed are ranges inside {blocks}"
    if not limits.PREFIX_MIN <= network.prefixlen <= limits.PREFIX_MAX:
        return (
            f"found {quoted(cidr)}, which holds no workspace beside its gateway;"
            f" allowed are /{limits.PREFIX_MIN} to /{limits.PREFIX_MAX}"
        )
    return network


def _six_problems(spec: GridSpec) -> Iterator[Problem]:
    of: dict[IPv6Network, str] = {}
    for position, network in enumerate(spec.networks):
        if network.cidr6 in ("", SIX_AUTO):
            continue
        path = ("networks", position, "cidr6")
        parsed = _parse_six(network.cidr6)
        if isinstance(parsed, str):
            yield Problem(path, parsed)
        elif parsed in of:
            said = f"{parsed} is that of network {of[parsed]}; networks of one grid must be apart"
            yield Problem(path, said)
        else:
            of[parsed] = network.name


def _parse_six(cidr6: str) -> IPv6Network | str:
    found = f"found {quoted(cidr6)}"
    try:
        network = IPv6Network(cidr6, strict=False)
    except ValueError:
        return f"{found}; {_EXAMPLE_SIX}"
    if network.prefixlen != PREFIX_BITS or "/" not in cidr6:
        return f"{found}; a network has {PREFIX_BITS} bits of IPv6; {_EXAMPLE_SIX}"
    if not any(network.subnet_of(block) for block in _SIX):
        return f"{found}, where no host can have an address; {_EXAMPLE_SIX}"
    if str(network) != cidr6:
        return f'{found}; write it as "{network}"'
    return network


def _guess(cidr: str) -> str:
    try:
        return (
            ", which is IPv6 (that is cidr6, beside a cidr)"
            if ip_network(cidr, False).version == 6
            else ""
        )
    except ValueError:
        return ""


def _exhausted(network: IPv4Network, asked: int) -> str:
    said = f"{asked} workspaces asked, {network} holds {capacity(network)}"
    for prefix in range(network.prefixlen - 1, limits.PREFIX_MIN - 1, -1):
        wider = network.supernet(new_prefix=prefix)
        if capacity(wider) >= asked and any(wider.subnet_of(block) for block in _PRIVATE):
            return f"{said}; {wider} holds {capacity(wider)}"
    return f"{said}; ask for fewer, or split them over two networks"


def _overlap(network: IPv4Network, name: str, other: IPv4Network, taken: list[IPv4Network]) -> str:
    said = f"{network} overlaps network {name} ({other}); networks of one grid must be apart"
    free = _free(network.prefixlen, other, taken)
    return f"{said}, for example {free}" if free else said


def _free(prefix: int, after: IPv4Network, taken: list[IPv4Network]) -> IPv4Network | None:
    """The first range of that size behind `after` that is private and overlaps nothing taken."""
    size = 1 << (32 - prefix)
    while True:
        start = -(-(int(after.broadcast_address) + 1) // size) * size
        if start + size > 1 << 32:
            return None
        candidate = IPv4Network((start, prefix))
        if not any(candidate.subnet_of(block) for block in _PRIVATE):
            return None
        clash = next((network for network in taken if network.overlaps(candidate)), None)
        if clash is None:
            return candidate
        after = max(clash, candidate, key=lambda network: int(network.broadcast_address))
