"""From clusters to workspaces, in the order they start.

All functions here expect a grid without `check.problems`. They raise ValueError if it has a cycle.
"""

from collections.abc import Iterator

import msgspec

from protocol.grid.model import ClusterSpec, GridSpec, OnExpiry, OwnSize, Workspace

STATE_MORE_BYTES = 16 << 20
"""Devices, firmware and headers in a saved machine's file. 3 MiB were seen with QEMU 7.2."""


def workspaces(spec: GridSpec) -> tuple[Workspace, ...]:
    """Every workspace in start order: providers before those that require them, else file order."""
    sizes, internet, saves = _shared(spec)
    return tuple(
        _workspace(each, index, sizes, saves, not internet.isdisjoint(cluster.networks))
        for cluster in start_order(spec)
        for index, each in enumerate(members(cluster), start=1)
    )


def members(cluster: ClusterSpec) -> Iterator[ClusterSpec]:
    """For each workspace the cluster as if all of it were as large as that one."""
    alike = msgspec.structs.replace(cluster, sizes=()) if cluster.sizes else cluster
    own = {size.workspace: size for size in cluster.sizes}
    for name in names_of(cluster):
        size = own.get(name)
        yield alike if size is None else _sized(alike, size)


def as_member(cluster: ClusterSpec, name: str) -> ClusterSpec:
    """The same of the workspace with that name; one that has no size of its own is as the cluster says."""
    alike = msgspec.structs.replace(cluster, sizes=()) if cluster.sizes else cluster
    own = next((size for size in cluster.sizes if size.workspace == name), None)
    return alike if own is None else _sized(alike, own)


def _sized(cluster: ClusterSpec, own: OwnSize) -> ClusterSpec:
    return msgspec.structs.replace(
        cluster,
        cpus_milli=own.cpus_milli or cluster.cpus_milli,
        memory_bytes=own.memory_bytes or cluster.memory_bytes,
        network_bits_s=own.network_bits_s or cluster.network_bits_s,
        disk_bytes_s=own.disk_bytes_s or cluster.disk_bytes_s,
        disk_operations_s=own.disk_operations_s or cluster.disk_operations_s,
    )


def member(spec: GridSpec, cluster: ClusterSpec, index: int) -> Workspace:
    """One workspace of a cluster of the grid. Volumes that the grid does not have count as empty."""
    sizes, internet, saves = _shared(spec)
    known = {mount.volume: sizes.get(mount.volume, 0) for mount in cluster.mounts}
    alone = as_member(cluster, workspace_name(cluster.name, index))
    return _workspace(alone, index, known, saves, not internet.isdisjoint(cluster.networks))


def names(spec: GridSpec) -> tuple[str, ...]:
    """The names of all workspaces, in file order. Only of a grid that has not too many."""
    return tuple(name for cluster in spec.clusters for name in names_of(cluster))


def names_of(cluster: ClusterSpec) -> tuple[str, ...]:
    """The names of the workspaces of a cluster, in order."""
    return tuple(workspace_name(cluster.name, index) for index in range(1, cluster.count + 1))


def _shared(spec: GridSpec) -> tuple[dict[str, int], set[str], bool]:
    """What workspaces need to know of their grid: volumes' sizes, networks with a way out, whether it saves."""
    sizes = {volume.name: volume.size_bytes for volume in spec.volumes}
    internet = {network.name for network in spec.networks if network.internet}
    return sizes, internet, spec.lease.best_effort or spec.lease.on_expiry is OnExpiry.SUSPEND


def _workspace(
    cluster: ClusterSpec, index: int, volume_bytes: dict[str, int], saves: bool, internet: bool
) -> Workspace:
    """`saves`: its memory may have to be saved to disk, so there must be room for it."""
    disks = sum(volume_bytes[mount.volume] for mount in cluster.mounts)
    disks += cluster.disk_bytes + cluster.scratch_bytes + cluster.console_bytes
    return Workspace(
        name=workspace_name(cluster.name, index),
        cluster=cluster.name,
        index=index,
        cpus_milli=cluster.cpus_milli,
        memory_bytes=cluster.memory_bytes,
        disk_bytes=disks + (state_bytes(cluster.memory_bytes) if saves else 0),
        image=cluster.image,
        networks=cluster.networks,
        mounts=cluster.mounts,
        scratch_bytes=cluster.scratch_bytes,
        requires=cluster.requires,
        labels=cluster.labels,
        preferred_labels=cluster.preferred_labels,
        architecture=cluster.architecture,
        driver=cluster.driver,
        devices=cluster.devices,
        near_volume=cluster.near_volume,
        near_image=cluster.near_image,
        root_bytes=cluster.disk_bytes,
        restart=cluster.restart,
        stop_within_s=cluster.stop_within_s,
        user_data=cluster.user_data,
        internet=internet,
        console_bytes=cluster.console_bytes,
        max_cpus_milli=cluster.max_cpus_milli,
        max_memory_bytes=cluster.max_memory_bytes,
        network_bits_s=cluster.network_bits_s,
        expose=cluster.expose,
        disk_bytes_s=cluster.disk_bytes_s,
        disk_operations_s=cluster.disk_operations_s,
    )


def state_bytes(memory_bytes: int) -> int:
    """Bytes of disk that a saved workspace takes: its memory, and what the hypervisor writes around it."""
    return memory_bytes + STATE_MORE_BYTES


def workspace_name(cluster: str, index: int) -> str:
    """`worker-3`. Cluster names are unique and the number has no dash, so these names are unique, too."""
    return f"{cluster}-{index}"


def cluster_of(workspace: str) -> str:
    """The name of the cluster that a workspace of that name is of."""
    return workspace.rpartition("-")[0]


def providers(spec: GridSpec) -> dict[str, tuple[str, ...]]:
    """The clusters that each cluster waits for: all that provide what it requires. Both are in file order."""
    by_service: dict[str, list[str]] = {}
    for cluster in spec.clusters:
        for service in cluster.provides:
            by_service.setdefault(service, []).append(cluster.name)
    return {
        cluster.name: tuple(
            dict.fromkeys(
                name for service in cluster.requires for name in by_service.get(service, ())
            )
        )
        for cluster in spec.clusters
    }


def start_order(spec: GridSpec) -> tuple[ClusterSpec, ...]:
    """Clusters, providers first, else in file order. Raises ValueError if they wait for each other."""
    waits = providers(spec)
    ordered: list[ClusterSpec] = []
    started: dict[str, None] = {}
    left = list(spec.clusters)
    while left:
        ready = next((c for c in left if all(name in started for name in waits[c.name])), None)
        if ready is None:
            names = ", ".join(cluster.name for cluster in left)
            raise ValueError(f"these clusters wait for each other: {names}")
        left.remove(ready)
        started[ready.name] = None
        ordered.append(ready)
    return tuple(ordered)
