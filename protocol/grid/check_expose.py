"""Ports that clusters expose: each of the guest once, each of the host for one, and a network to answer by."""

from collections.abc import Iterator

from protocol.grid import limits
from protocol.grid.model import ClusterSpec, Exposure, GridSpec, Transport
from protocol.grid.problem import Path, Problem
from protocol.terms.ranges import PORT_MOST


def fixed_ports(spec: GridSpec) -> tuple[int, ...]:
    """The ports of hosts that a grid names, each once."""
    return tuple(dict.fromkeys(e.outside for c in spec.clusters for e in c.expose if e.outside))


def expose_problems(spec: GridSpec, cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    """What is wrong with what one cluster exposes."""
    if cluster.expose and not cluster.networks:
        names = ", ".join(network.name for network in spec.networks) or "NAME"
        said = "found ports of guests that are on no network"
        yield Problem(
            (*at, "expose"), f"{said}; write networks: [{names}], by which they are reached"
        )
    inside: dict[tuple[int, Transport], None] = {}
    outside: dict[tuple[int, Transport], int] = {}
    for position, each in enumerate(cluster.expose):
        yield from _one(each, (*at, "expose", position), inside, outside)


def _one(
    each: Exposure,
    at: Path,
    inside: dict[tuple[int, Transport], None],
    outside: dict[tuple[int, Transport], int],
) -> Iterator[Problem]:
    """The same of one port; `inside` and `outside` have those before it."""
    allowed = f"allowed are 1 to {PORT_MOST}"
    if not 1 <= each.port <= PORT_MOST:
        yield Problem((*at, "port"), f"found {each.port}; {allowed}")
    elif (each.port, each.transport) in inside:
        said = f"found {each.port}/{each.transport} a second time"
        yield Problem((*at, "port"), f"{said}; each port of a guest is exposed once")
    inside[each.port, each.transport] = None
    if not each.outside:
        return
    there = outside.setdefault((each.outside, each.transport), each.port)
    if not 1 <= each.outside <= PORT_MOST:
        yield Problem((*at, "outside"), f"found {each.outside}; {allowed}")
    elif there != each.port:
        said = f"found {each.outside}/{each.transport} a second time"
        yield Problem((*at, "outside"), f"{said}; it leads to port {there} of the guest")


def too_many_fixed(spec: GridSpec) -> Iterator[Problem]:
    """Whether a grid names more ports of hosts than these are asked about."""
    if (found := len(fixed_ports(spec))) > limits.FIXED_PORTS_MAX:
        allowed = f"at most {limits.FIXED_PORTS_MAX} are allowed"
        yield Problem(("clusters",), f"found {found} ports under `as`; {allowed}")
