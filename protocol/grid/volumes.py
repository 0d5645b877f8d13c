"""Volumes outlive the workspaces that use them: what a grid's orders say of those that are taken out of it.

A volume goes when its grid is taken down, or when the order that terminates its workspace says so.
"""

import msgspec

from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState
from protocol.trust.order import Action, Order, read_order
from protocol.wire.codec import decode


class TerminateTerms(msgspec.Struct, frozen=True):
    """Body of an order to terminate. An order without a body keeps the volumes."""

    delete_volumes: bool = False
    """Whether its volumes go with the workspace."""


def terminate_terms(order: Order) -> TerminateTerms:
    """What an order to terminate says of volumes. Raises Malformed."""
    return decode(order.body, TerminateTerms) if order.body else TerminateTerms()


def kept_volumes(record: GridRecord, spec: GridSpec) -> tuple[str, ...]:
    """The volumes of a grid that may not be deleted, by name, in file order."""
    if record.state is GridState.DOWN:
        return ()
    mounts = {cluster.name: cluster.mounts for cluster in spec.clusters}
    dropped = {
        mount.volume
        for order in map(read_order, record.changes)
        if order.action is Action.TERMINATE and terminate_terms(order).delete_volumes
        for mount in mounts.get(order.workspace.rpartition("-")[0], ())
    }
    return tuple(volume.name for volume in spec.volumes if volume.name not in dropped)
