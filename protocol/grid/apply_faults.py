"""What cannot be changed of a grid that is up: each with what would work instead.

The face says it before it asks anybody, the requester again, and whoever judges a record: an order that would
do such a thing changes nothing. Neither specification has `check.problems`.
"""

from collections.abc import Iterator, Mapping, Sequence

from protocol.grid.expand import names
from protocol.grid.limits import VOLUMES_KEPT_MOST
from protocol.grid.model import GridSpec, LeaseTerms, NetworkSpec
from protocol.grid.problem import listed
from protocol.grid.record import KeptVolume
from protocol.grid.volumes import mounted, volumes_after
from protocol.grid.written import keys_of
from protocol.terms.ids import PeerId
from protocol.terms.quantities import format_duration, format_size

_WORK = "would work"


def apply_faults(
    old: GridSpec,
    new: GridSpec,
    placed: Mapping[str, PeerId],
    volumes: Sequence[KeptVolume] = (),
    without: Sequence[str] = (),
) -> tuple[str, ...]:
    """Why a grid that is as `old` says cannot become what `new` says, in lines for people; empty if it can.

    `placed` says where its workspaces are, `volumes` where its volumes (`volumes_at`), `without` which of the
    new ones are left out.
    """
    return (
        *fixed_faults(old, new),
        *network_faults(old, new),
        *_volume_faults(new, placed, volumes, without),
        *_absence_faults(new, without),
    )


def fixed_faults(old: GridSpec, new: GridSpec) -> tuple[str, ...]:
    """The same, of what no order to apply ever changes: name and lease."""
    return tuple(_grid_faults(old, new))


def _grid_faults(old: GridSpec, new: GridSpec) -> Iterator[str]:
    if new.name != old.name:
        yield (
            f"name: {new.name}, but the grid that is up is {old.name}, and keeps its name\n"
            f"  {_WORK}: name: {old.name}; or `overlayctl up` of a grid of its own"
        )
    if new.vo != old.vo:
        yield f"vo: a grid runs for whom it was made\n  {_WORK}: vo: {old.vo or 'none'}"
    if new.lease_s != old.lease_s:
        yield (
            f"lease: {format_duration(new.lease_s)}, but it was made for {format_duration(old.lease_s)}\n"
            f"  {_WORK}: `overlayctl lease extend {old.name} DURATION`, or `lease shorten`"
        )
    for field in LeaseTerms.__struct_fields__:
        if getattr(new.lease, field) != getattr(old.lease, field):
            key = ".".join(("lease", *keys_of(field)))
            yield (
                f"{key}: the terms of a lease stay as they are until its end\n"
                f"  {_WORK}: {key} as it was; or down, and up with the new terms"
            )


def network_faults(old: GridSpec, new: GridSpec) -> Iterator[str]:
    """What of its networks a grid cannot change from one epoch to the next. It may get more, and lose some."""
    were = {network.name: network for network in old.networks}
    are = {network.name: network for network in new.networks}
    for name, network in are.items():
        before = were.get(name)
        if before is not None and network != before:
            yield from _one_network(network, before)
    if [name for name in are if name in were] != [name for name in were if name in are]:
        kept = [name for name in were if name in are]
        yield f"networks: in another order\n  {_WORK}: {', '.join(kept)}, and new ones anywhere"


def _one_network(new: NetworkSpec, old: NetworkSpec) -> Iterator[str]:
    of = f"networks.{old.name}"
    if new.cidr != old.cidr:
        yield (
            f"{of}.cidr: {new.cidr}, but its members have addresses of {old.cidr}\n"
            f"  {_WORK}: cidr: {old.cidr}; or a network of another name with {new.cidr}, for its clusters"
        )
    if old.cidr6 not in ("", new.cidr6):
        yield (
            f"{of}.cidr6: {new.cidr6 or 'none'}, but its members have addresses of {old.cidr6}\n"
            f"  {_WORK}: cidr6: {old.cidr6}; or another network, for its clusters"
        )
    if new.encryption is not old.encryption:
        yield (
            f"{of}.encryption: its hosts have agreed on {old.encryption}\n"
            f"  {_WORK}: encryption: {old.encryption}; or another network, for its clusters"
        )
    if new.internet != old.internet:
        yield (
            f"{of}.internet: its hosts were chosen without that\n"
            f"  {_WORK}: internet: {str(old.internet).lower()}; or another network, for its clusters"
        )


def _volume_faults(
    new: GridSpec,
    placed: Mapping[str, PeerId],
    volumes: Sequence[KeptVolume],
    without: Sequence[str],
) -> Iterator[str]:
    sizes = {volume.name: volume.size_bytes for volume in new.volumes}
    users = {volume: user for user, volume in mounted(new)}
    there = frozenset(names(new)) - frozenset(without)
    stays = {name: host for name, host in placed.items() if name in there}
    for kept in volumes:
        size, user = sizes.get(kept.volume), users.get(kept.volume, "")
        if size is not None and size < kept.size_bytes:
            yield (
                f"volumes.{kept.volume}.size: {format_size(size)}, but it has {format_size(kept.size_bytes)}, "
                "and no volume shrinks\n"
                f"  {_WORK}: size: {format_size(kept.size_bytes)} or more; or a volume of another name"
            )
        if user and user != kept.workspace and kept.workspace in stays:
            yield (
                f"volumes.{kept.volume}: {kept.workspace} has it, and is up\n"
                f"  {_WORK}: a volume of another name for {user}"
            )
        elif user in stays and stays[user] != kept.host:
            yield (
                f"volumes.{kept.volume}: its data is on another host than {user}\n"
                f"  {_WORK}: a volume of another name for {user}; or terminate {user} first, "
                "and it comes back where the data is"
            )
    yield from _torn(new, volumes)
    if (
        len(volumes_after(volumes, new, {user: PeerId("") for user in users.values()}))
        > VOLUMES_KEPT_MOST
    ):
        yield (
            f"volumes: more than {VOLUMES_KEPT_MOST} that have data, also those that are not used any more\n"
            f"  {_WORK}: `overlayctl terminate --delete-volumes` of what is not needed, before it goes"
        )


def _torn(new: GridSpec, volumes: Sequence[KeptVolume]) -> Iterator[str]:
    """Workspaces whose volumes are on several hosts."""
    at = {kept.volume: kept.host for kept in volumes}
    for cluster in new.clusters:
        mine = [mount.volume for mount in cluster.mounts if mount.volume in at]
        if len({at[volume] for volume in mine}) > 1:
            yield (
                f"clusters.{cluster.name}.volumes: the data of {listed(mine)} is on several hosts\n"
                f"  {_WORK}: volumes of other names for all but one of them"
            )


def _absence_faults(new: GridSpec, without: Sequence[str]) -> Iterator[str]:
    there = names(new)
    for name in without:
        if name not in there:
            yield f"{name}: not in the grid, so it cannot be left out"
    if len(set(without)) < len(without):
        yield "one workspace is left out twice"
    if set(there) <= set(without):
        yield f"nothing would be left of {new.name}\n  {_WORK}: `overlayctl down {new.name}`"
