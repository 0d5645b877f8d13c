"""Do the sizes make sense that some workspaces of a cluster have for themselves?"""

from collections.abc import Iterator

from protocol.grid import limits
from protocol.grid.expand import workspace_name
from protocol.grid.model import ClusterSpec, OwnSize
from protocol.grid.problem import Path, Problem, quoted
from protocol.terms.quantities import cpus_in_words, format_cpus, format_rate, format_size


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
        if not own.cpus_milli and not own.memory_bytes and not own.network_bits_s:
            said = "found neither cpus nor memory nor a network-rate; one of them is given, or more"
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
    if own.network_bits_s:
        yield from rate_problems(cluster, own.network_bits_s, at)


def rate_problems(cluster: ClusterSpec, bits_s: int, at: Path) -> Iterator[Problem]:
    """What is wrong with a rate of the cluster, or of a workspace of it."""
    least, most = limits.NETWORK_BITS_S_MIN, limits.NETWORK_BITS_S_MAX
    here = (*at, "network_bits_s")
    if not least <= bits_s <= most:
        beyond = "no rate" if bits_s <= 0 else "a number beyond 64 bits"
        found = format_rate(bits_s) if 0 < bits_s < 1 << 63 else beyond
        yield Problem(
            here, f"found {found}; allowed are {format_rate(least)} to {format_rate(most)}"
        )
    elif not cluster.networks:
        yield Problem(
            here, "found a rate, and no networks that it could be of; name them, or leave it out"
        )


def _number(cpus_milli: int) -> str:
    return format_cpus(cpus_milli) if 0 < cpus_milli < 1 << 63 else "no number of cpus"
