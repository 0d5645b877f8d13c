"""Do the sizes make sense that some workspaces of a cluster have for themselves?"""

from collections.abc import Iterator

from protocol.grid import limits
from protocol.grid.expand import workspace_name
from protocol.grid.model import ClusterSpec, OwnSize
from protocol.grid.problem import Path, Problem, quoted
from protocol.terms.quantities import cpus_in_words, format_cpus, format_size


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
        if not own.cpus_milli and not own.memory_bytes:
            yield Problem(here, "found neither cpus nor memory; one of them is given, or both")
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


def _number(cpus_milli: int) -> str:
    return format_cpus(cpus_milli) if 0 < cpus_milli < 1 << 63 else "no number of cpus"
