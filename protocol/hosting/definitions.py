"""What each workspace of a lease is on this host: its size, its image, its networks.

Its grid's standing order says it. Three are otherwise: one that this order does not have any more is what it
was until it is gone, one that is changed in its turn is what it was until then, and what takes room is booked
as large as it may become meanwhile.
"""

from collections.abc import Iterable, Mapping

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.contract.authority import Authority
from protocol.grid.expand import state_bytes
from protocol.grid.lifecycle import Power
from protocol.grid.model import DeviceCount, Workspace
from protocol.grid.record import KeptVolume
from protocol.hosting.lease import Lease
from protocol.placement.fit import quantum_of
from protocol.terms.ids import Digest, PeerId


def members_of(authority: Authority, row: Lease) -> Mapping[str, Workspace]:
    """What each workspace of a lease is now, by name; and those of its grid's other hosts."""
    standing = authority.remembered(row.record.standing).members
    if not (row.leaving or row.behind):
        return standing
    behind = (behind.workspace for behind in row.behind)
    return {**standing, **{w.name: w for w in (*row.leaving, *behind)}}


def booked_of(authority: Authority, row: Lease) -> Mapping[str, Workspace]:
    """The same, each as large as it is or will be in its turn, unless there is no room for that yet."""
    members = members_of(authority, row)
    if not (row.behind or row.unused or row.giving_back):
        return members
    standing = authority.remembered(row.record.standing).members
    turns = [b.workspace for b in row.behind if b.workspace.name not in row.lacks]
    booked = {**members, **{w.name: larger(w, standing[w.name]) for w in turns}}
    for name, size_bytes in row.unused:
        if name in booked:
            disk_bytes = booked[name].disk_bytes + size_bytes
            booked[name] = msgspec.structs.replace(booked[name], disk_bytes=disk_bytes)
    return with_memory(booked, row)


def with_memory(workspaces: Mapping[str, Workspace], row: Lease) -> Mapping[str, Workspace]:
    """The workspaces, each with as much memory as its machine may still have."""
    more = {
        name: msgspec.structs.replace(workspaces[name], memory_bytes=had_bytes)
        for name, had_bytes in row.giving_back
        if name in workspaces and workspaces[name].memory_bytes < had_bytes
    }
    return {**workspaces, **more} if more else workspaces


def to_give_back(
    names: Iterable[str], had: Mapping[str, Workspace], becomes: Mapping[str, Workspace]
) -> tuple[tuple[str, int], ...]:
    """(workspace, bytes that its machine may have) of those that are to have less."""
    return tuple(
        (name, had[name].memory_bytes)
        for name in names
        if name in had and name in becomes and had[name].memory_bytes > becomes[name].memory_bytes
    )


def unused_by(
    workspaces: Iterable[Workspace], volumes: Iterable[KeptVolume], me: PeerId
) -> tuple[tuple[str, int], ...]:
    """(workspace, bytes) of volumes on this host that workspaces had, and do not mount."""
    mounts = {w.name: [mount.volume for mount in w.mounts] for w in workspaces}
    unused: dict[str, int] = {}
    for kept in volumes:
        name = kept.workspace
        if kept.host == me and name in mounts and kept.volume not in mounts[name]:
            unused[name] = unused.get(name, 0) + kept.size_bytes
    return tuple(unused.items())


def larger(old: Workspace, new: Workspace) -> Workspace:
    """A workspace that has room for being either."""
    counts = {device.name: device.count for device in old.devices}
    for device in new.devices:
        counts[device.name] = max(device.count, counts.get(device.name, 0))
    sizes = (
        "cpus_milli", "memory_bytes", "disk_bytes", "network_bits_s", "disk_bytes_s", "disk_operations_s",
    )  # fmt: skip
    most = {size: max(getattr(old, size), getattr(new, size)) for size in sizes}
    devices = tuple(DeviceCount(name, count) for name, count in sorted(counts.items()))
    return msgspec.structs.replace(new, devices=devices, **most)


def growth(
    old: Workspace, new: Workspace, *, saved: bool = False, unused_bytes: int = 0
) -> Quantum:
    """What a workspace that becomes another takes beside what it has. If it is `saved` to disk, its larger
    memory takes more of that, too. `unused_bytes` have volumes that it is on no more, and that stay."""
    more = quantum_of(new) + Quantum(disk_bytes=unused_bytes) - quantum_of(old)
    state = state_bytes(new.memory_bytes) - state_bytes(old.memory_bytes) if saved else 0
    return Quantum(
        max(0, more.cpus_milli),
        max(0, more.memory_bytes),
        max(0, more.disk_bytes, more.disk_bytes + state),
        tuple((name, count) for name, count in more.devices if count > 0),
        max(0, more.network_bits_s),
        max(0, more.disk_bytes_s),
        max(0, more.disk_operations_s),
    )


def files_of(row: Lease) -> tuple[tuple[str, Digest], ...]:
    """(cluster, digest) of files that its grid may name no more: of what will be otherwise only in its turn."""
    was = [behind.workspace for behind in row.behind]
    return tuple((w.cluster, Digest(w.user_data)) for w in was if w.user_data)


def only(row: Lease) -> Lease:
    """A lease without what it keeps of workspaces that are not here any more, or that are to go as they are."""
    power = {w.workspace: w.power for w in row.wanted}
    return msgspec.structs.replace(
        row,
        leaving=tuple(w for w in row.leaving if w.name in power),
        giving_back=tuple((name, had) for name, had in row.giving_back if name in power),
        behind=tuple(
            b for b in row.behind if power.get(b.workspace.name, Power.GONE) is not Power.GONE
        ),
    )
