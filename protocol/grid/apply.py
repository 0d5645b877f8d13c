"""What an order to apply makes of a grid that is up: what stays, comes, goes, and is changed in place.

Pure arithmetic on two specifications. Who may order it is contract/applying.py's to say, where it goes
requesting/'s. What stays keeps its host, its address and its name.
"""

from collections.abc import Container, Sequence
from enum import StrEnum
from ipaddress import IPv4Network

import msgspec

from protocol.grid.addresses import capacity
from protocol.grid.expand import member, names_of, workspace_name
from protocol.grid.grant import read_grant
from protocol.grid.model import ClusterSpec, Driver, GridSpec, ImageRef, Workspace
from protocol.grid.record import GridRecord, Places
from protocol.terms.ids import GridId


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


def attempts_in(record: GridRecord) -> tuple[GridId, ...]:
    """The attempts to change it that hosts of a record granted: each was decided, also if another followed.

    Raises Malformed if a grant cannot be read.
    """
    return tuple(attempt for grant in record.grants if (attempt := read_grant(grant).change))


_MADE_OF = ("user_data", "driver", "architecture")
_FROM_A_START = ("networks", "mounts", "devices", "root_bytes", "scratch_bytes")
_WHILE_IT_RUNS = (
    "cpus_milli", "memory_bytes", "max_cpus_milli", "max_memory_bytes", "console_bytes",
    "network_bits_s", "expose", "disk_bytes_s", "disk_operations_s",
)  # fmt: skip


def manner_of(old: Workspace, new: Workspace) -> Manner:
    """What becomes of a workspace that is to be `new` where it is `old`. A workspace does not say how large its
    volumes are."""
    shrinks = new.root_bytes < old.root_bytes or new.scratch_bytes < old.scratch_bytes
    if shrinks or _made_of(old.image) != _made_of(new.image) or _differ(old, new, _MADE_OF):
        return Manner.REBUILD
    if _differ(old, new, _FROM_A_START) or (new.expose and not routed(old)):
        return Manner.RESTART
    if not _differ(old, new, _WHILE_IT_RUNS):
        return Manner.SAME
    return Manner.LIVE if _grows_to(old, new) else Manner.RESTART


def _grows_to(old: Workspace, new: Workspace) -> bool:
    """Whether a machine that was made as `old` can become `new` while it runs. A container always can; another
    has places and addresses for no more than it was made with."""
    had, has = most_of(old), most_of(new)
    return old.driver is Driver.LXC or (has[0] <= had[0] and has[1] <= had[1])


def most_of(workspace: Workspace) -> tuple[int, int]:
    """(cpus, bytes of memory) that a workspace's guest may have without being started again."""
    cpus_milli = max(workspace.cpus_milli, workspace.max_cpus_milli)
    return cpus_seen(cpus_milli), max(workspace.memory_bytes, workspace.max_memory_bytes)


def cpus_seen(cpus_milli: int) -> int:
    """How many cpus a guest sees that has so many thousandths of one."""
    return max(1, -(-cpus_milli // 1000))


def routed(workspace: Workspace) -> bool:
    """Whether its guest is told of a way to what is not on its networks."""
    return workspace.internet or bool(workspace.expose)


def _made_of(image: ImageRef) -> str:
    """An image is its bytes; its name is a label."""
    return image.digest or image.name


def _differ(old: Workspace, new: Workspace, fields: tuple[str, ...]) -> bool:
    return any(getattr(old, field) != getattr(new, field) for field in fields)


def delta(
    placed: Sequence[str], old: GridSpec, new: GridSpec, without: Container[str] = ()
) -> Delta:
    """What becomes of a grid whose workspaces `placed` are there. Those in `without` are not to be.

    Neither spec has more workspaces than a grid may have; what else is wrong with them is not seen here.
    """
    were = {cluster.name: cluster for cluster in old.clusters}
    there = dict.fromkeys(placed)
    added: list[str] = []
    same: list[str] = []
    changed: list[tuple[str, Manner]] = []
    names: dict[str, None] = {}
    for cluster in new.clusters:
        before = were.get(cluster.name)
        manners = _Manners(before, cluster, old, new) if before is not None else None
        for index, name in _meant(cluster, there, without):
            manner = manners.of(index) if manners is not None else Manner.SAME
            names[name] = None
            if name not in there:
                added.append(name)
            elif manner is Manner.SAME:
                same.append(name)
            else:
                changed.append((name, manner))
    gone = tuple(name for name in placed if name not in names)
    return Delta(tuple(added), gone, tuple(changed), tuple(same))


def _meant(
    cluster: ClusterSpec, there: Container[str], without: Container[str]
) -> list[tuple[int, str]]:
    """The workspaces that a cluster is to have, by number and name. Of an elastic one those that are there and,
    if they are fewer than its `min`, the first of the others: what it has beyond that comes by room
    (elastic.py).
    """
    every = enumerate(names_of(cluster), start=1)
    meant = [(index, name) for index, name in every if name not in without]
    if not cluster.elastic:
        return meant
    short = cluster.least - sum(name in there for _, name in meant)
    first = [name for _, name in meant if name not in there][: max(0, short)]
    return [(index, name) for index, name in meant if name in there or name in first]


class _Manners:
    """What becomes of each workspace of a cluster: of all the same but of those with a size of their own."""

    def __init__(self, before: ClusterSpec, now: ClusterSpec, old: GridSpec, new: GridSpec) -> None:
        self._before, self._now, self._old, self._new = before, now, old, new
        self._own = frozenset(size.workspace for size in (*before.sizes, *now.sizes))
        self._others: Manner | None = None

    def of(self, index: int) -> Manner:
        """Of the workspace with that number."""
        if workspace_name(self._now.name, index) in self._own:
            return _manner(self._before, self._now, self._old, self._new, index)
        if self._others is None:
            self._others = _manner(self._before, self._now, self._old, self._new, index)
        return self._others


def _manner(
    before: ClusterSpec, now: ClusterSpec, old: GridSpec, new: GridSpec, index: int
) -> Manner:
    manner = manner_of(member(old, before, index), member(new, now, index))
    if manner in (Manner.SAME, Manner.LIVE) and _sizes(before, old) != _sizes(now, new):
        return Manner.RESTART
    return manner


def _sizes(cluster: ClusterSpec, spec: GridSpec) -> list[int]:
    sizes = {volume.name: volume.size_bytes for volume in spec.volumes}
    return [sizes.get(mount.volume, 0) for mount in cluster.mounts]


def places_of(spec: GridSpec) -> tuple[Places, ...]:
    """Where a grid that was never changed has its workspaces, as addresses.py counts them."""
    return places_after((), spec)


def places_after(before: Sequence[Places], spec: GridSpec) -> tuple[Places, ...]:
    """The places of what `spec` says: who had one keeps it, others take the first that are free, in file order.

    Raises ValueError where a network is full.
    """
    had = {(s.network, s.cluster): s.positions for s in before}
    places: list[Places] = []
    for network in spec.networks:
        room = capacity(IPv4Network(network.cidr))
        members = [cluster for cluster in spec.clusters if network.name in cluster.networks]
        kept = {c.name: had.get((network.name, c.name), ())[: c.count] for c in members}
        taken = frozenset(position for positions in kept.values() for position in positions)
        free = (position for position in range(room) if position not in taken)
        for cluster in members:
            positions = list(kept[cluster.name])
            for _ in range(cluster.count - len(positions)):
                position = next(free, None)
                if position is None:
                    raise ValueError(f"{network.cidr} holds {room} workspaces")
                positions.append(position)
            places.append(Places(network.name, cluster.name, tuple(positions)))
    return tuple(places)
