"""A change of a grid that is up, in words: what comes, goes, is changed and how, and what is not touched.

+ worker-5 on fnal-2
~ head-1 memory 4 GiB > 8 GiB (live)
~ db-1 image debian-12 > debian-13 (new root disk, keeps data)
- worker-9
= 6 unchanged
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from protocol.grid.apply import Delta, Manner
from protocol.grid.differences import Difference, differences, of_cluster
from protocol.grid.expand import as_member, cluster_of
from protocol.grid.model import ClusterSpec, GridSpec
from protocol.terms.limits import PAST_CHARACTERS
from protocol.terms.quantities import counted

LINES_MOST = 60
"""So many lines are said of each kind of change; more are counted."""

_LATER = ("restart", "stop-within", "requires", "provides", "labels", "near", "min", "elastic")
"""What of a cluster is only looked at when a workspace is placed or started, or ends."""

_FIXED = ("name", "vo", "lease", "networks")
"""What of a grid no change of it can alter (apply_faults.py), but for what _is_live."""


def change_lines(
    delta: Delta, old: GridSpec, new: GridSpec, hosts: Mapping[str, str]
) -> tuple[str, ...]:
    """The lines of a plan. `hosts` has the host of each workspace, as far as it is known."""
    come, go = _networks(old, new)
    lines = [f"+ {network}" for network in come]
    lines += _some([f"+ {name}{_on(hosts, name)}" for name in delta.added], "+")
    lines += _some([*_changed(delta, old, new)], "~")
    lines += [f"~ {_words(each)} ({_alters(each)})" for each in _beside(old, new)]
    lines += _some([f"- {name}{_on(hosts, name)}" for name in delta.gone], "-")
    lines += [f"- {network}" for network in go]
    if delta.same:
        lines.append(f"= {len(delta.same)} unchanged")
    return tuple(lines)


def disrupted(delta: Delta) -> tuple[str, ...]:
    """The workspaces that a change ends or starts again, by name."""
    again = [name for name, manner in delta.changed if manner in (Manner.RESTART, Manner.REBUILD)]
    return (*delta.gone, *again)


def nothing_changes(delta: Delta, old: GridSpec, new: GridSpec) -> bool:
    """Whether both ask for the same grid, and all of it is there."""
    return not (delta.added or delta.gone or delta.changed or differences(new, old))


def summary(delta: Delta, old: GridSpec, new: GridSpec) -> str:
    """A change in at most PAST_CHARACTERS characters: `+2 worker, head-1 memory 4 GiB > 8 GiB`.

    What does not fit is counted; only a first part that is too long by itself is cut, between two words.
    """
    parts = [f"+{count} {cluster}" for cluster, count in _by_cluster(delta.added).items()]
    parts += [f"-{count} {cluster}" for cluster, count in _by_cluster(delta.gone).items()]
    parts += [line[2:].rpartition(" (")[0] for line in _changed(delta, old, new)]
    parts += [_words(each) for each in _beside(old, new)]
    come, go = _networks(old, new)
    parts += [*(f"+{network}" for network in come), *(f"-{network}" for network in go)]
    for left in range(len(parts)):
        more = f", and {left} more" if left else ""
        said = ", ".join(parts[: len(parts) - left]) + more
        if len(said) <= PAST_CHARACTERS:
            return said
    return _cut(parts[0]) if parts else "nothing"


def _cut(text: str) -> str:
    """The first parts of a text that is too long, or else its first words."""
    head = text[: PAST_CHARACTERS - 3]
    return f"{head.rpartition(', ')[0] or head.rpartition(' ')[0] or head}..."


def numbers(delta: Delta) -> str:
    """`2 to add, 3 to change, 1 of them started again, 1 to take away`."""
    parts = [f"{len(delta.added)} to add"] if delta.added else []
    if delta.changed:
        parts.append(f"{len(delta.changed)} to change")
    if again := len(disrupted(delta)) - len(delta.gone):
        parts.append(f"{counted(again, 'guest')} started again")
    if delta.gone:
        parts.append(f"{len(delta.gone)} to take away")
    return ", ".join(parts) or "no workspace is touched"


def _on(hosts: Mapping[str, str], name: str) -> str:
    return f" on {hosts[name]}" if name in hosts else ""


def _some(lines: list[str], mark: str) -> list[str]:
    if len(lines) <= LINES_MOST:
        return lines
    return [*lines[:LINES_MOST], f"{mark} {len(lines) - LINES_MOST} more"]


def _by_cluster(names: Sequence[str]) -> dict[str, int]:
    return Counter(cluster_of(name) for name in names)


def _changed(delta: Delta, old: GridSpec, new: GridSpec) -> Iterator[str]:
    """Lines about what stays and is changed: one for all of a cluster with which the same is done."""
    were = {cluster.name: cluster for cluster in old.clusters}
    for cluster in new.clusters:
        mine = {n: m for n, m in delta.changed if cluster_of(n) == cluster.name}
        if not mine:
            continue
        alike: dict[tuple[str, Manner], list[str]] = {}
        for name, manner in mine.items():
            before, now = as_member(were[cluster.name], name), as_member(cluster, name)
            what = ", ".join(_words(each) for each in _touching(now, before))
            alike.setdefault((what, manner), []).append(name)
        for (what, manner), names in alike.items():
            yield f"~ {_named(names)} {what or 'its volumes'} ({_how(manner, cluster)})"


def _touching(new: ClusterSpec, old: ClusterSpec) -> list[Difference]:
    return [each for each in of_cluster(new, old) if each.path.split(".")[0] not in _LATER]


def _networks(old: GridSpec, new: GridSpec) -> tuple[list[str], list[str]]:
    """The networks that come, and those that go."""
    were, are = ({network.name for network in spec.networks} for spec in (old, new))
    come = [f"network {n.name} {n.cidr}" for n in new.networks if n.name not in were]
    return come, [f"network {n.name}" for n in old.networks if n.name not in are]


def _beside(old: GridSpec, new: GridSpec) -> Iterator[Difference]:
    """What changes no workspace: of the grid as a whole, and what of a cluster is only looked at later."""
    elastic = {cluster.name for cluster in new.clusters if cluster.elastic}
    for each in differences(new, old):
        first, *rest = each.path.split(".")
        of_cluster = first == "clusters" and len(rest) > 1
        if first == "networks" and len(rest) == 1:
            continue  # It comes or goes.
        later = of_cluster and (rest[1] in _LATER or (rest[1] == "count" and rest[0] in elastic))
        if first not in ("clusters", "volumes") or later:
            yield each


def _alters(each: Difference) -> str:
    """What comes of a difference that is of no workspace."""
    if each.path.endswith(".count"):
        larger = int(each.wanted) > int(each.standing)
        return "as room comes" if larger else "the most it may be"
    fixed = each.path.split(".")[0] in _FIXED and not _is_live(each)
    return "not while it is up" if fixed else "touches no workspace"


def _is_live(each: Difference) -> bool:
    """Whether a change may alter that of a network: it gets IPv6, and groups are heard or not."""
    gets_ipv6 = each.path.endswith(".cidr6") and each.standing == "none"
    return gets_ipv6 or each.path.endswith(".multicast")


def _words(each: Difference) -> str:
    """`memory 4 GiB > 8 GiB`."""
    said = f"{each.path} {each.standing or 'none'} > {each.wanted or 'none'}"
    return f"{said}; {each.why}" if each.why else said


def _named(names: Sequence[str]) -> str:
    """`worker-1, worker-3`, or `worker-1 to worker-4` of more than two in a row."""
    cluster, _, first = names[0].rpartition("-")
    row = [f"{cluster}-{int(first) + step}" for step in range(len(names))]
    if len(names) > 2 and list(names) == row:
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names)


def _how(manner: Manner, cluster: ClusterSpec) -> str:
    keeps = ", ".join(mount.volume for mount in cluster.mounts)
    match manner:
        case Manner.REBUILD:
            return f"new root disk, keeps {keeps}" if keeps else "new root disk"
        case Manner.RESTART | Manner.LIVE | Manner.SAME:
            return str(manner)
