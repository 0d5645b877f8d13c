"""What differs between the grid of a file and the one that is up, in the words and keys of a grid file.

Both are walked field by field, whatever fields they have, so that a field that is added to the model is
compared from its first day. Two specifications without a difference ask for the same grid; lists whose order
means nothing may be in another order.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from protocol.grid.expand import workspaces
from protocol.grid.model import ClusterSpec, DeviceCount, GridSpec, ImageRef, Mount, OwnSize
from protocol.grid.problem import listed
from protocol.grid.written import keys_of
from protocol.terms.quantities import (
    format_byte_rate,
    format_cpus,
    format_duration,
    format_moment,
    format_operations,
    format_rate,
    format_size,
)

DIFFERENCES_MOST = 20
"""So many are said; more are counted."""

_DIGITS = 12
"""Of a digest: enough to tell images apart."""

_NAMED = ("clusters", "networks", "volumes")
"""What a file has under names of its own."""

_IN_ORDER = ("networks", "prefer")
"""Lists whose order means something: a cluster's networks, and the sites that are preferred."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not up as the file has it."""

    path: str
    """As in the file: `clusters.worker.count`."""
    wanted: str
    """What the file says; empty if it has no such thing."""
    standing: str
    """What is up; empty if there is no such thing."""
    why: str = ""
    """What a reader could not guess."""

    def __str__(self) -> str:
        if not self.wanted:
            said = f"{self.path}: up, not in the file"
        elif not self.standing:
            said = f"{self.path}: in the file, not up"
        else:
            said = f"{self.path}: {self.wanted} in the file, {self.standing} up"
        return f"{said}; {self.why}" if self.why else said


def differences(
    wanted: GridSpec, standing: GridSpec, placed: Sequence[str] | None = None
) -> tuple[Difference, ...]:
    """What `standing` has otherwise than `wanted`; empty if they ask for the same grid.

    `placed` has the workspaces that are in the grid now. If there are fewer of a cluster than the file needs at
    least, that is a difference as well, because somebody took them out.
    """
    found = list(_struct((), wanted, standing))
    if placed is not None:
        found += _fewer(wanted, placed, [difference.path for difference in found])
    return tuple(found)


def of_cluster(wanted: ClusterSpec, standing: ClusterSpec) -> tuple[Difference, ...]:
    """What one cluster has otherwise than another, but how many there are. Paths begin in the cluster:
    `memory`."""
    alike = msgspec.structs.replace(wanted, count=standing.count, minimum=standing.minimum)
    found = _struct(("cluster",), alike, standing)
    return tuple(msgspec.structs.replace(d, path=d.path.removeprefix("cluster.")) for d in found)


def difference_lines(found: Sequence[Difference]) -> list[str]:
    """Differences as lines for a person, indented."""
    lines = [f"  {difference}" for difference in found[:DIFFERENCES_MOST]]
    if len(found) > DIFFERENCES_MOST:
        lines.append(f"  and {len(found) - DIFFERENCES_MOST} more")
    return lines


def _fewer(wanted: GridSpec, placed: Sequence[str], said: Sequence[str]) -> Iterator[Difference]:
    cluster_of = {workspace.name: workspace.cluster for workspace in workspaces(wanted)}
    there = Counter(cluster_of[name] for name in placed if name in cluster_of)
    for cluster in wanted.clusters:
        path = f"clusters.{cluster.name}"
        if there[cluster.name] < cluster.least and not {path, f"{path}.count"} & {*said}:
            why = "others were taken out, or never made"
            yield Difference(f"{path}.count", str(cluster.count), str(there[cluster.name]), why)


def _struct(at: tuple[str, ...], wanted: Any, standing: Any) -> Iterator[Difference]:
    """Both are structs of one type."""
    for field in msgspec.structs.fields(wanted):
        mine, theirs = getattr(wanted, field.name), getattr(standing, field.name)
        if mine == theirs:
            continue
        here = (*at, *keys_of(field.name))
        if field.name in _NAMED and not at:
            yield from _by_name(here, mine, theirs)
        elif isinstance(mine, ImageRef):
            yield from _image(".".join(here), mine, theirs)
        elif isinstance(mine, msgspec.Struct):
            yield from _struct(here, mine, theirs)
        elif field.name == "minimum":
            yield from _minimum(".".join(here), wanted, standing)
        else:
            yield from _value(".".join(here), field.name, mine, theirs)


def _by_name(
    at: tuple[str, ...], wanted: Sequence[Any], standing: Sequence[Any]
) -> Iterator[Difference]:
    mine, theirs = ({part.name: part for part in parts} for parts in (wanted, standing))
    for name, part in mine.items():
        path = ".".join((*at, name))
        if name not in theirs:
            yield Difference(path, "there", "")
        else:
            yield from _struct((*at, name), part, theirs[name])
    yield from (Difference(".".join((*at, n)), "", "there") for n in theirs if n not in mine)
    if list(mine) != list(theirs) and mine.keys() == theirs.keys() and at == ("clusters",):
        why = "addresses follow the order"
        yield Difference(".".join(at), listed(list(mine)), listed(list(theirs)), why)


def _image(path: str, wanted: ImageRef, standing: ImageRef) -> Iterator[Difference]:
    if wanted.name == standing.name:
        new, old = (f"{i.name} {i.digest[:_DIGITS]}".rstrip() for i in (wanted, standing))
        yield Difference(path, new, old, "the name has another content now")
    else:
        yield Difference(path, wanted.name or "none", standing.name or "none")


def _minimum(path: str, wanted: ClusterSpec, standing: ClusterSpec) -> Iterator[Difference]:
    """A cluster that may not be smaller than `count` has that as its `min`, written or not."""
    new, old = (
        "as many as count" if cluster.least == cluster.count else str(cluster.least)
        for cluster in (wanted, standing)
    )
    if new != old:
        yield Difference(path, new, old)


def _value(path: str, field: str, wanted: Any, standing: Any) -> Iterator[Difference]:
    listed_both = isinstance(wanted, tuple) and field not in _IN_ORDER
    if listed_both and Counter(wanted) == Counter(standing):
        return
    words = _WORDS.get(field, _plain)
    new, old = words(wanted), words(standing)
    if new == old:
        new, old = str(wanted), str(standing)  # Too near each other for rounded words.
    yield Difference(path, new, old)


# -- how a file writes what is in a field

_Words = Callable[[Any], str]


def _plain(value: Any) -> str:
    match value:
        case tuple():
            return listed([_one(each) for each in value]) or "none"
        case bool():
            return "true" if value else "false"
        case "" | None:
            return "none"
        case _:
            return str(value)


def _one(value: Any) -> str:
    match value:
        case Mount():
            return f"{value.volume} at {value.path}"
        case DeviceCount():
            return f"{value.count} {value.name}"
        case OwnSize():
            cpus = f" cpus {format_cpus(value.cpus_milli)}" if value.cpus_milli else ""
            memory = f" memory {format_size(value.memory_bytes)}" if value.memory_bytes else ""
            rate = f" network-rate {_rate(value.network_bits_s)}" if value.network_bits_s else ""
            disk = f" disk-rate {_byte_rate(value.disk_bytes_s)}" if value.disk_bytes_s else ""
            disk += f" disk-operations {value.disk_operations_s}" if value.disk_operations_s else ""
            return f"{value.workspace}{cpus}{memory}{rate}{disk}"
        case _:
            return str(value)


def _size(value: int) -> str:
    return format_size(value) if value else "none"


def _rate(bits_s: int) -> str:
    return format_rate(bits_s) if bits_s else "none"


def _byte_rate(bytes_s: int) -> str:
    return format_byte_rate(bytes_s) if bytes_s else "none"


def _operations(operations_s: int) -> str:
    return format_operations(operations_s) if operations_s else "none"


def _most_cpus(cpus_milli: int) -> str:
    return format_cpus(cpus_milli) if cpus_milli else "as cpus"


def _most_memory(size_bytes: int) -> str:
    return format_size(size_bytes) if size_bytes else "as memory"


def _root(value: int) -> str:
    return format_size(value) if value else "as large as the image"


def _digest(value: str) -> str:
    return value[:_DIGITS] or "none"


def _duration(length_s: float) -> str:
    return format_duration(length_s) if length_s else "none"


def _milliseconds(within_ms: int) -> str:
    return f"{within_ms} ms" if within_ms else "any"


def _moment(at_s: float) -> str:
    return format_moment(at_s) if at_s else "none"


def _durations(each_s: tuple[int, ...]) -> str:
    return listed([format_duration(before_s) for before_s in each_s]) or "none"


def _keys(keys: tuple[str, ...]) -> str:
    """Each by its comment, which says whose it is, or by its last characters."""
    parts = [key.split(" ", 2) for key in keys]
    return listed([p[2] if p[2:] else f"...{p[-1][-8:]}" for p in parts]) or "none"


_WORDS: Mapping[str, _Words] = {
    "lease_s": _duration,
    "grace_s": _duration,
    "start_s": _moment,
    "before_s": _moment,
    "warn_s": _durations,
    "within_ms": _milliseconds,
    "cpus_milli": format_cpus,
    "memory_bytes": _size,
    "max_cpus_milli": _most_cpus,
    "max_memory_bytes": _most_memory,
    "network_bits_s": _rate,
    "disk_bytes_s": _byte_rate,
    "disk_operations_s": _operations,
    "scratch_bytes": _size,
    "disk_bytes": _root,
    "console_bytes": _size,
    "user_data": _digest,
    "stop_within_s": _duration,
    "size_bytes": _size,
    "ssh_authorized_keys": _keys,
}
"""By field; others are written as they are."""
