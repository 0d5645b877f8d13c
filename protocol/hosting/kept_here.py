"""Volumes of a lease on this host: what is told of them, and which stay after their workspace has gone."""

from collections.abc import Collection, Iterable, Mapping

from protocol.grid.lifecycle import Power
from protocol.grid.model import VolumeSpec, Workspace
from protocol.grid.record import KeptVolume
from protocol.hosting.lease import Lease
from protocol.terms.ids import PeerId


def told_volumes(
    row: Lease,
    volumes: Iterable[VolumeSpec],
    members: Mapping[str, Workspace],
    kept: Collection[str],
    me: PeerId,
) -> tuple[tuple[str, int, str], ...]:
    """(volume, bytes, workspace) of what workspaces here use, or used before.

    `volumes` are those that the grid has now. It may have had others, whose data stays. `members` is what the
    workspaces are, `kept` has the volumes that may not be deleted.
    """
    user = {m.volume: w.workspace for w in row.wanted for m in members[w.workspace].mounts}
    had = _had(row, me)
    sizes = {v.volume: v.size_bytes for v in had} | {v.name: v.size_bytes for v in volumes}
    user = {v.volume: v.workspace for v in had} | user
    return tuple(
        (name, size_bytes, user[name])
        for name, size_bytes in sizes.items()
        if name in user and name in kept
    )


def keeps_of(
    row: Lease,
    workspace: str,
    members: Mapping[str, Workspace],
    kept: Collection[str],
    me: PeerId,
) -> bool:
    """Whether a volume stays here after its workspace has gone, and is not another's now."""
    mounted = [m.volume for m in members[workspace].mounts]
    mounted += [v.volume for v in _had(row, me) if v.workspace == workspace]
    others = [w.workspace for w in row.wanted if w.power is not Power.GONE]
    taken = [m.volume for name in others if name != workspace for m in members[name].mounts]
    return any(volume in kept and volume not in taken for volume in mounted)


def _had(row: Lease, me: PeerId) -> list[KeptVolume]:
    """Volumes here that had data when the grid was changed last."""
    applied = row.record.applied
    return [v for v in applied.volumes if v.host == me] if applied is not None else []
