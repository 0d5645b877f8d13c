"""Do the sizes make sense that some workspaces of a cluster have for themselves?"""

from collections.abc import Iterator

from protocol.grid import limits
from protocol.grid.expand import workspace_name
from protocol.grid.model import ClusterSpec, OwnSize
from protocol.grid.problem import Path, Problem, quoted
from protocol.terms.quantities import (
    cpus_in_words,
    format_byte_rate,
    format_cpus,
    format_operations,
    format_rate,
    format_size,
)

_NETWORK, _DISK, _OPERATIONS = "network_bits_s", "disk_bytes_s", "disk_operations_s"
_RATES = (
    (_NETWORK, limits.NETWORK_BITS_S_MIN, limits.NETWORK_BITS_S_MAX, format_rate),
    (_DISK, limits.DISK_BYTES_S_MIN, limits.DISK_BYTES_S_MAX, format_byte_rate),
    (_OPERATIONS, limits.DISK_OPERATIONS_S_MIN, limits.DISK_OPERATIONS_S_MAX, format_operations),
)
"""Fields that are rates: the least and the most of each, and its words."""


def size_problems(cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    """What is wrong with them. There are no more than a grid has workspaces."""
    most = min(max(cluster.count, 0), limits.WORKSPACES_MAX)
    names = {workspace_name(cluster.name, index) for index in range(1, most + 1)}
    seen: set[str] = set()
    for position, own in enumerate(cluster.sizes):
        here = (*at, "sizes", position)
        if own.workspace not in names:
            first, last = (workspace_name(cluster.name, index) for index in (1, cluster.count))
            there = first if cluster.count == 1 else f"{first} to {last}"
            said = f"found {quoted(own.workspace)}; {cluster.name} has {there}"
            yield Problem((*here, "workspace"), said)
        elif own.workspace in seen:
            yield Problem((*here, "workspace"), f"found {quoted(own.workspace)} twice")
        seen.add(own.workspace)
        if own == OwnSize(own.workspace):
            said = "found neither cpus nor memory nor a rate; one of them is given, or more"
            yield Problem(here, said)
        yield from _amounts(cluster, own, here)


def _amounts(cluster: ClusterSpec, own: OwnSize, at: Path) -> Iterator[Problem]:
    """Of how large it is: as far as any cluster's, and as its cluster says of what runs."""
    if own.cpus_milli:
        least, most = limits.CPUS_MILLI_MIN, cluster.max_cpus_milli or limits.CPUS_MILLI_MAX
        if not least <= own.cpus_milli <= most:
            allowed = f"allowed are {format_cpus(least)} to {cpus_in_words(most)}"
            yield Problem((*at, "cpus_milli"), f"found {_number(own.cpus_milli)}; {allowed}")
    if own.memory_bytes:
        least, most = limits.MEMORY_BYTES_MIN, limits.MEMORY_BYTES_MAX
        if largest := cluster.max_memory_bytes:
            # A guest keeps a table of all that it may ever have.
            least = max(least, -(-largest // limits.MAX_MEMORY_TIMES))
            most = min(most, largest)
        if not least <= own.memory_bytes <= most:
            allowed = f"allowed are {format_size(least)} to {format_size(most)}"
            found = format_size(own.memory_bytes) if 0 < own.memory_bytes < 1 << 63 else "no size"
            yield Problem((*at, "memory_bytes"), f"found {found}; {allowed}")
    yield from rate_problems(cluster, own, at)


def rate_problems(cluster: ClusterSpec, of: ClusterSpec | OwnSize, at: Path) -> Iterator[Problem]:
    """What is wrong with the rates of the cluster, or of a workspace of it."""
    for field, least, most, words in _RATES:
        here, rate = (*at, field), getattr(of, field)
        if rate and not least <= rate <= most:
            beyond = "no rate" if rate <= 0 else "a number beyond 64 bits"
            found = words(rate) if 0 < rate < 1 << 63 else beyond
            yield Problem(here, f"found {found}; allowed are {words(least)} to {words(most)}")
        elif rate and field == _NETWORK and not cluster.networks:
            said = "found a rate, and no networks that it could be of; name them, or leave it out"
            yield Problem(here, said)


def _number(cpus_milli: int) -> str:
    return format_cpus(cpus_milli) if 0 < cpus_milli < 1 << 63 else "no number of cpus"
