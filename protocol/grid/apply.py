"""What an order to apply makes of a grid that is up: what stays, comes, goes, and is changed in place.

Pure arithmetic on two specifications. Who may order it is contract/vouching.py's to say, where it goes
requesting/'s. What stays keeps its host, its address and its name.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Network

import msgspec

from protocol.grid.addresses import capacity
from protocol.grid.expand import workspace_name, workspaces
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import Seat, grid_id
from protocol.terms.ids import GridId
from protocol.trust.order import SignedOrder


class Manner(StrEnum):
    """What a change does to a workspace that stays where it is."""

    SAME = "same"
    LIVE = "live"
    """It is changed while it runs."""
    RESTART = "restart"
    """Its guest is started again; its disks stay."""
    REBUILD = "rebuild"
    """It gets a new root disk; its volumes stay."""


class Delta(msgspec.Struct, frozen=True):
    """What is different between a grid and what it is to become. All by workspace name, in file order."""

    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[tuple[str, Manner], ...] = ()
    """What stays and is changed."""
    same: tuple[str, ...] = ()


def change_id(order: SignedOrder, attempt: int, requester: str) -> GridId:
    """The id of an attempt to apply that order. Hosts hold under it until it is decided, or voted down."""
    return grid_id(order, attempt, requester)


def manner_of(old: Workspace, new: Workspace) -> Manner:
    """What becomes of a workspace that is to be `new` where it is `old`."""
    if (old.image, old.user_data, old.driver, old.architecture) != (
        new.image,
        new.user_data,
        new.driver,
        new.architecture,
    ):
        return Manner.REBUILD
    restarts = ("networks", "mounts", "scratch_bytes", "devices", "root_bytes")
    if any(getattr(old, field) != getattr(new, field) for field in restarts):
        return Manner.RESTART
    sizes = (old.cpus_milli, old.memory_bytes) != (new.cpus_milli, new.memory_bytes)
    return Manner.LIVE if sizes else Manner.SAME


def delta(placed: Sequence[str], old: GridSpec, new: GridSpec) -> Delta:
    """What becomes of a grid whose workspaces `placed` are there. Both specs have no `check.problems`."""
    were = {w.name: w for w in workspaces(old) if w.name in placed}
    added: list[str] = []
    same: list[str] = []
    changed: list[tuple[str, Manner]] = []
    names: dict[str, None] = {}
    for workspace in workspaces(new):
        names[workspace.name] = None
        before = were.get(workspace.name)
        if before is None:
            added.append(workspace.name)
            continue
        manner = manner_of(before, workspace)
        if manner is Manner.SAME:
            same.append(workspace.name)
        else:
            changed.append((workspace.name, manner))
    gone = tuple(name for name in placed if name not in names)
    return Delta(tuple(added), gone, tuple(changed), tuple(same))


def seats_of(spec: GridSpec) -> tuple[Seat, ...]:
    """Where a grid that was never changed has its workspaces, as addresses.py counts them."""
    return reseated((), spec)


def reseated(before: Sequence[Seat], spec: GridSpec) -> tuple[Seat, ...]:
    """The seats of what `spec` says: who had one keeps it, others take the first that are free, in file order.

    Raises ValueError where a network is full.
    """
    had: Mapping[tuple[str, str], int] = {(s.network, s.workspace): s.position for s in before}
    seats: list[Seat] = []
    for network in spec.networks:
        room = capacity(IPv4Network(network.cidr))
        names = [
            workspace_name(cluster.name, index)
            for cluster in spec.clusters
            if network.name in cluster.networks
            for index in range(1, cluster.count + 1)
        ]
        kept = {name: had[network.name, name] for name in names if (network.name, name) in had}
        taken = frozenset(kept.values())
        free = (position for position in range(room) if position not in taken)
        for name in names:
            position = kept[name] if name in kept else next(free, None)
            if position is None:
                raise ValueError(f"{network.cidr} holds {room} workspaces")
            seats.append(Seat(network.name, name, position))
    return tuple(seats)
