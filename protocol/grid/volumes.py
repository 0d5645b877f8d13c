"""Volumes outlive the workspaces that use them: what a grid's orders say of those that are taken out of it.

A volume goes when its grid is taken down, or when the order that terminates its workspace says so. A file
that has it no more does not end it: it stays where it is, and who mounts it again is placed there.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from protocol.grid.expand import workspace_name
from protocol.grid.grant import read_grant
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState, KeptVolume
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, Order, SignedOrder, read_order
from protocol.wire.codec import decode


class TerminateTerms(msgspec.Struct, frozen=True):
    """Body of an order to terminate. An order without a body keeps the volumes."""

    delete_volumes: bool = False
    """Whether its volumes go with the workspace."""


def terminate_terms(order: Order) -> TerminateTerms:
    """What an order to terminate says of volumes. Raises Malformed."""
    return decode(order.body, TerminateTerms) if order.body else TerminateTerms()


def deletes(signed: SignedOrder) -> str:
    """The workspace that an order takes out with its volumes; empty if it does not."""
    order = read_order(signed)
    ends = order.action is Action.TERMINATE and terminate_terms(order).delete_volumes
    return order.workspace if ends else ""


def kept_volumes(record: GridRecord, spec: GridSpec) -> tuple[str, ...]:
    """The volumes of a grid that may not be deleted, by name. `spec` is its standing order's."""
    if record.state is GridState.DOWN:
        return ()
    if record.applied is not None:
        return tuple(kept.volume for kept in volumes_at(record, spec))
    dropped = _dropped(record)
    lost = {volume for user, volume in mounted(spec) if user in dropped}
    return tuple(volume.name for volume in spec.volumes if volume.name not in lost)


def volumes_at(record: GridRecord, spec: GridSpec) -> tuple[KeptVolume, ...]:
    """Where every volume of a grid is that has data. `spec` is its standing order's. Who mounts one again must
    be there."""
    dropped = _dropped(record)
    if record.applied is not None:
        return tuple(kept for kept in record.applied.volumes if kept.workspace not in dropped)
    hosts = {name: g.host for g in record.grants for name in read_grant(g).workspaces}
    hosts |= record.placed
    return _on(spec, hosts, dropped)


def volumes_after(
    before: Sequence[KeptVolume], spec: GridSpec, placed: Mapping[str, PeerId]
) -> tuple[KeptVolume, ...]:
    """Where they are once the grid is what `spec` says, with those workspaces at those hosts."""
    now = {kept.volume: kept for kept in before}
    now |= {kept.volume: kept for kept in _on(spec, placed, ())}
    return tuple(now.values())


def pinned(before: Sequence[KeptVolume], spec: GridSpec) -> dict[str, PeerId]:
    """The workspaces of `spec` that can only be at one host, because a volume of theirs is there."""
    at = {kept.volume: kept.host for kept in before}
    return {user: at[mount] for user, mount in mounted(spec) if mount in at}


def _dropped(record: GridRecord) -> tuple[str, ...]:
    """The workspaces that were taken out with their volumes, since the last order was applied."""
    return tuple(name for name in map(deletes, record.changes[record.folded :]) if name)


def _on(
    spec: GridSpec, hosts: Mapping[str, PeerId], dropped: Sequence[str]
) -> tuple[KeptVolume, ...]:
    sizes = {volume.name: volume.size_bytes for volume in spec.volumes}
    return tuple(
        KeptVolume(volume, hosts[user], sizes.get(volume, 0), user)
        for user, volume in mounted(spec)
        if user in hosts and user not in dropped
    )


def mounted(spec: GridSpec) -> Iterator[tuple[str, str]]:
    """(workspace, volume) of all that are mounted. A volume is one workspace's, the only one of its cluster."""
    for cluster in spec.clusters:
        for mount in cluster.mounts:
            yield workspace_name(cluster.name, 1), mount.volume
