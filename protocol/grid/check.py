"""Does a grid make sense? Every problem at once, each with what was found and what is allowed.

The peer that read the grid file calls this, and again every host that receives the order. So nothing here
may trust sizes or names: too many of anything is said first, and alone.
"""

from collections.abc import Callable, Iterator, Sequence

from protocol.grid import limits
from protocol.grid.check_expose import expose_problems, too_many_fixed
from protocol.grid.check_lease import lease_problems
from protocol.grid.check_networks import network_problems
from protocol.grid.check_placement import (
    cluster_placement_problems,
    label_problems,
    placement_problems,
    twice,
)
from protocol.grid.check_sizes import rate_problems, size_problems
from protocol.grid.expand import providers, workspace_name
from protocol.grid.model import SCRATCH, SCRATCH_PATH, ClusterSpec, GridSpec
from protocol.grid.problem import Path, Problem, quoted, unknown
from protocol.grid.syntax import image_problem, path_problem, ssh_key_problem
from protocol.terms.quantities import format_cpus, format_duration, format_size, parse_size

_SMALL_LISTS = (
    "networks",
    "mounts",
    "provides",
    "requires",
    "labels",
    "preferred_labels",
    "devices",
    "sizes",
    "expose",
)


def problems(spec: GridSpec) -> tuple[Problem, ...]:
    """Everything that is wrong with the grid, in the grid's order; empty if it can be asked for."""
    if too_many := tuple(_too_many(spec)):
        return too_many
    return (
        *_grid_problems(spec),
        *_names(spec),
        *placement_problems(spec),
        *network_problems(spec),
        *_volume_problems(spec),
        *(p for index in range(len(spec.clusters)) for p in _cluster_problems(spec, index)),
        *_sharing_problems(spec),
        *_requires_problems(spec),
    )


def _too_many(spec: GridSpec) -> Iterator[Problem]:
    lists: list[tuple[Path, Sequence[object], int]] = [
        (("clusters",), spec.clusters, limits.CLUSTERS_MAX),
        (("networks",), spec.networks, limits.NETWORKS_MAX),
        (("volumes",), spec.volumes, limits.VOLUMES_MAX),
        (("ssh_authorized_keys",), spec.ssh_authorized_keys, limits.KEYS_MAX),
        (("lease", "warn_s"), spec.lease.warn_s, limits.WARNINGS_MAX),
        *(
            (("placement", field), getattr(spec.placement, field), limits.NAMES_MAX)
            for field in ("sites", "exclude", "exclude_sites", "prefer", "strict", "apart")
        ),
    ]
    files = dict.fromkeys(cluster.user_data for cluster in spec.clusters if cluster.user_data)
    lists.append((("clusters",), list(files), limits.ATTACHMENTS_MAX))
    for index, cluster in enumerate(spec.clusters[: limits.CLUSTERS_MAX]):
        for field in _SMALL_LISTS:
            lists.append((("clusters", index, field), getattr(cluster, field), limits.NAMES_MAX))
    for path, entries, most in lists:
        if len(entries) > most:
            yield Problem(path, f"found {len(entries)} entries; at most {most} are allowed")
    yield from too_many_fixed(spec)
    total = sum(max(0, cluster.count) for cluster in spec.clusters)
    if total > limits.WORKSPACES_MAX and all(_count_allowed(c.count) for c in spec.clusters):
        message = f"found {total} workspaces in all; a grid has at most {limits.WORKSPACES_MAX}"
        yield Problem(("clusters",), message)


def _count_allowed(count: int) -> bool:
    return 1 <= count <= limits.WORKSPACES_MAX


def _grid_problems(spec: GridSpec) -> Iterator[Problem]:
    yield from label_problems(("name",), spec.name, limits.GRID_NAME_MAX)
    if spec.vo:
        yield from label_problems(("vo",), spec.vo)
    yield from _between(
        ("lease_s",), spec.lease_s, limits.LEASE_S_MIN, limits.LEASE_S_MAX, format_duration
    )
    yield from lease_problems(spec.lease, spec.lease_s)
    for index, key in enumerate(spec.ssh_authorized_keys):
        if message := ssh_key_problem(key):
            yield Problem(("ssh_authorized_keys", index), message)
    if not spec.clusters:
        yield Problem(("clusters",), "found none; a grid has at least one cluster")


def _names(spec: GridSpec) -> Iterator[Problem]:
    """Syntax and uniqueness of the names of clusters, networks and volumes, each in its kind."""
    kinds = (
        ("clusters", "cluster", limits.NAME_MAX, [c.name for c in spec.clusters]),
        ("networks", "network", limits.NAME_MAX, [n.name for n in spec.networks]),
        ("volumes", "volume", limits.VOLUME_NAME_MAX, [v.name for v in spec.volumes]),
    )
    for field, kind, most, names in kinds:
        for index, name in enumerate(names):
            yield from label_problems((field, index, "name"), name, most)
            if kind == "volume" and name in limits.VOLUME_NAMES_TAKEN:
                message = (
                    f"found {quoted(name)}, by which a guest knows its seed; choose another name"
                )
                yield Problem((field, index, "name"), message)
            if name in names[:index]:
                message = f"found a second {kind} {quoted(name)}; each needs a name of its own"
                yield Problem((field, index, "name"), message)


def _elastic_problems(spec: GridSpec, cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    """What keeps a cluster from growing and giving room by itself, each with what would work."""
    if not spec.lease.best_effort:
        works = "write lease: {best-effort: true}, or leave elastic out"
        yield Problem(
            at, f"found true; only what makes room for others can have what is left: {works}"
        )
    if cluster.least >= cluster.count:
        works = f"write a min below count, {cluster.count}, or leave elastic out"
        yield Problem(at, f"found true, and nothing between min and count: {works}")
    if cluster.mounts:
        works = "leave its volumes out (scratch is each one's own disk), or elastic"
        yield Problem(at, f"found true, and volumes, which stay on their hosts: {works}")


def _volume_problems(spec: GridSpec) -> Iterator[Problem]:
    for index, volume in enumerate(spec.volumes):
        yield from _between(
            ("volumes", index, "size_bytes"),
            volume.size_bytes,
            limits.VOLUME_BYTES_MIN,
            limits.VOLUME_BYTES_MAX,
            _size,
        )
        if volume.replicas != 1:
            message = (
                f"found {_number(volume.replicas)}; one replica for now, so write 1 or leave it out"
            )
            yield Problem(("volumes", index, "replicas"), message)


def _cluster_problems(spec: GridSpec, index: int) -> Iterator[Problem]:
    cluster = spec.clusters[index]
    at: Path = ("clusters", index)
    yield from _between((*at, "count"), cluster.count, 1, limits.WORKSPACES_MAX, str)
    if _count_allowed(cluster.count) and not 1 <= cluster.least <= cluster.count:
        allowed = f"allowed are 1 to the count, {cluster.count}"
        yield Problem((*at, "minimum"), f"found {_number(cluster.least)}; {allowed}")
    if cluster.elastic:
        yield from _elastic_problems(spec, cluster, (*at, "elastic"))
    if message_ := image_problem(cluster.image.name, cluster.image.digest):
        yield Problem((*at, "image"), message_)
    yield from _between(
        (*at, "cpus_milli"),
        cluster.cpus_milli,
        limits.CPUS_MILLI_MIN,
        limits.CPUS_MILLI_MAX,
        format_cpus,
        " cpus",
    )
    yield from _between(
        (*at, "memory_bytes"),
        cluster.memory_bytes,
        limits.MEMORY_BYTES_MIN,
        limits.MEMORY_BYTES_MAX,
        _size,
    )
    yield from _most_problems(cluster, at)
    yield from size_problems(cluster, at)
    yield from _own_problems(cluster, at)
    known = [network.name for network in spec.networks]
    for position, name in enumerate(cluster.networks):
        if name not in known:
            yield Problem((*at, "networks", position), unknown("network", name, known))
    for field in ("networks", "provides", "requires"):
        yield from twice((*at, field), getattr(cluster, field))
    for position, service in enumerate(cluster.provides):
        yield from label_problems((*at, "provides", position), service)
    parts = len(cluster.networks) + len(cluster.mounts) + (cluster.scratch_bytes > 0)
    if parts > limits.DISKS_AND_CARDS_MAX:
        said = f"found {parts} networks, volumes and disks of one workspace"
        yield Problem(
            (*at, "networks"), f"{said}; at most {limits.DISKS_AND_CARDS_MAX} are allowed"
        )
    yield from expose_problems(spec, cluster, at)
    yield from _mount_problems(spec, cluster, at)
    yield from cluster_placement_problems(spec, cluster, at)


def _most_problems(cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    """Of how far its sizes can be raised while it runs, unless the sizes themselves are wrong."""
    cpus, memory = cluster.cpus_milli, cluster.memory_bytes
    if not limits.CPUS_MILLI_MIN <= cpus <= limits.CPUS_MILLI_MAX:
        return
    if not limits.MEMORY_BYTES_MIN <= memory <= limits.MEMORY_BYTES_MAX:
        return
    if most := cluster.max_cpus_milli:
        path, least = (*at, "max_cpus_milli"), cpus
        limit = max(least, limits.MAX_CPUS_MILLI_MAX)
        yield from _between(path, most, least, limit, format_cpus, " cpus")
    if most := cluster.max_memory_bytes:
        path, least = (*at, "max_memory_bytes"), memory
        limit = min(least * limits.MAX_MEMORY_TIMES, limits.MEMORY_BYTES_MAX)
        yield from _between(path, most, least, max(least, limit), _size)


def _own_problems(cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    """Of its own disks, its rates, and of how it begins and ends."""
    for field in ("disk_bytes", "scratch_bytes"):
        if size_bytes := getattr(cluster, field):
            least, most = limits.VOLUME_BYTES_MIN, limits.VOLUME_BYTES_MAX
            yield from _between((*at, field), size_bytes, least, most, _size)
    yield from rate_problems(cluster, cluster, at)
    if size_bytes := cluster.console_bytes:
        least, most = limits.CONSOLE_BYTES_MIN, limits.CONSOLE_BYTES_MAX
        yield from _between((*at, "console_bytes"), size_bytes, least, most, _size)
    if message := image_problem("guest", cluster.user_data):
        yield Problem((*at, "user_data"), message)
    within = (*at, "stop_within_s")
    yield from _between(within, cluster.stop_within_s, 0, limits.STOP_WITHIN_S_MAX, format_duration)
    at_once = (*at, "update_at_once")
    yield from _between(at_once, cluster.update_at_once, 1, limits.WORKSPACES_MAX, str)


def _mount_problems(spec: GridSpec, cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    known = [volume.name for volume in spec.volumes]
    at_path = {SCRATCH_PATH: "its own disk"} if cluster.scratch_bytes else {}
    for position, mount in enumerate(cluster.mounts):
        where = (*at, "mounts", position)
        if mount.volume not in known:
            yield Problem((*where, "volume"), unknown("volume", mount.volume, known))
        elif mount.volume == SCRATCH and cluster.scratch_bytes:
            said = f"a guest knows its own disk by the name {SCRATCH}"
            yield Problem((*where, "volume"), f"{said}; give the volume another name")
        if message := path_problem(mount.path):
            yield Problem((*where, "path"), message)
        elif other := at_path.get(mount.path):
            message = f"found {quoted(mount.path)}, where {other} is mounted; choose another path"
            yield Problem((*where, "path"), message)
        at_path.setdefault(mount.path, mount.volume)


def _sharing_problems(spec: GridSpec) -> Iterator[Problem]:
    """A volume belongs to one workspace, since there is no cluster file system under it."""
    users: dict[str, str] = {}
    known = [volume.name for volume in spec.volumes]
    for index, cluster in enumerate(spec.clusters):
        for position, mount in enumerate(cluster.mounts):
            if mount.volume not in known or not _count_allowed(cluster.count):
                continue
            path = ("clusters", index, "mounts", position, "volume")
            taken = users.setdefault(mount.volume, cluster.name)
            advice = "mount it in one cluster of count 1 and share it from there over the network"
            if taken != cluster.name or mount.volume in (
                m.volume for m in cluster.mounts[:position]
            ):
                said = f"volume {mount.volume} is mounted by {taken} already"
                yield Problem(path, f"{said}; one workspace can have it: {advice}")
            elif cluster.count > 1:
                first, last = (workspace_name(cluster.name, n) for n in (1, cluster.count))
                said = f"volume {mount.volume} would be mounted by {cluster.count} workspaces"
                yield Problem(path, f"{said} ({first} to {last}); one can have it: {advice}")


def _requires_problems(spec: GridSpec) -> Iterator[Problem]:
    provided = list(dict.fromkeys(name for c in spec.clusters for name in c.provides))
    for index, cluster in enumerate(spec.clusters):
        for position, service in enumerate(cluster.requires):
            if service not in provided:
                path = ("clusters", index, "requires", position)
                yield Problem(path, _unprovided(service, provided, spec))
    waits = providers(spec)
    said: list[str] = []
    for index, cluster in enumerate(spec.clusters):
        cycle = _cycle(cluster.name, waits)
        if cycle and not any(name in said for name in cycle):
            said += cycle
            yield Problem(("clusters", index, "requires"), _cyclic(cycle))


def _unprovided(service: str, provided: list[str], spec: GridSpec) -> str:
    if any(cluster.name == service for cluster in spec.clusters):
        return (
            f"found {quoted(service)}, a cluster; requires names a service: give {service}"
            f" provides: [NAME] and require that NAME"
        )
    return unknown("service any cluster provides", service, provided)


def _cyclic(cycle: list[str]) -> str:
    if len(cycle) == 1:
        return f"{cycle[0]} requires what it provides itself; leave that out of its requires"
    chain = " -> ".join((*cycle, cycle[0]))
    return f"these clusters wait for each other: {chain}; leave out one of the requires"


def _cycle(start: str, waits: dict[str, tuple[str, ...]]) -> list[str]:
    """The shortest way from a cluster back to itself along what each waits for; empty if there is none."""
    came_from: dict[str, str] = {}
    queue = [start]
    while queue:
        name = queue.pop(0)
        for next_ in waits.get(name, ()):
            if next_ == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if next_ not in came_from:
                came_from[next_] = name
                queue.append(next_)
    return []


def _number(value: int, written: Callable[[int], str] = str) -> str:
    """`value` as written, unless it is so large that to write or divide it is a problem of its own."""
    return written(value) if abs(value) < 1 << 63 else "a number beyond 64 bits"


def _size(size_bytes: int) -> str:
    """The short form if it is exact: 32 MiB and one byte less must not read the same."""
    short = format_size(size_bytes)
    exact = size_bytes < 0 or parse_size(short.replace(" ", "")) == size_bytes
    return short if exact else f"{size_bytes} bytes"


def _between(
    path: Path, value: int, least: int, most: int, written: Callable[[int], str], unit: str = ""
) -> Iterator[Problem]:
    if not least <= value <= most:
        allowed = f"allowed are {written(least)} to {written(most)}{unit}"
        yield Problem(path, f"found {_number(value, written)}; {allowed}")
