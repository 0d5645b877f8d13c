"""Wanted x observed -> the ordered steps from one to the other.

Deletions come first, from the top of the pile down: a card that lost its rights goes before its filter does.
Then comes what is missing or different, from the bottom up. A filter stands before the link it watches. What
disappears together with its link or namespace gets no step of its own.
"""

from collections import defaultdict
from collections.abc import Iterable

from netns.resources import (
    Action,
    ArpEntry,
    BridgeEntry,
    CopyEntry,
    Filter,
    Gateway,
    Key,
    Link,
    LinkKind,
    LinkSettings,
    Namespace,
    Rate,
    Resource,
    Service,
    Step,
    TunnelEntry,
    WayOut,
)


def steps(wanted: Iterable[Resource], observed: Iterable[Resource]) -> list[Step]:
    """The steps that turn `observed` into `wanted`; none when they are equal."""
    goal = {resource.key: resource for resource in wanted}
    found: defaultdict[Key, list[Resource]] = defaultdict(list)
    for resource in observed:
        found[resource.key].append(resource)
    lost = _lost(goal, found)
    deletions, changes = [], []
    for key, states in found.items():
        if key not in goal or len(states) > 1:
            deletions += [Step(Action.DELETE, state) for state in states if _deletable(state, lost)]
    for key, resource in goal.items():
        if key in lost:
            changes.append(Step(Action.REPLACE, resource))
            continue
        left = [state for state in found.get(key, []) if not _parents(state) & lost]
        if len(left) != 1:
            changes.append(Step(Action.ADD, resource))
        elif left != [resource]:
            changes.append(Step(Action.REPLACE, resource))
    deletions.sort(key=lambda step: -_rank(step.resource))
    changes.sort(key=lambda step: _rank(step.resource))
    return deletions + changes


def removal(observed: Iterable[Resource]) -> list[Step]:
    """The steps after which nothing of `observed` is left."""
    return steps((), observed)


def _lost(goal: dict[Key, Resource], found: dict[Key, list[Resource]]) -> set[Key]:
    """Links and namespaces that will go or be made anew, and everything that hangs on them."""
    return {
        key
        for key, states in found.items()
        if isinstance(states[0], Link | Namespace) and states != [goal.get(key)]
    }


def _parents(resource: Resource) -> set[Key]:
    match resource:
        case LinkSettings(name=link, master=bridge) | BridgeEntry(link=link, bridge=bridge):
            return {("link", link), ("link", bridge)}
        case TunnelEntry(vxlan=link) | ArpEntry(vxlan=link) | CopyEntry(vxlan=link):
            return {("link", link)}
        case Gateway(namespace=namespace, link=link):
            return {("namespace", namespace), ("link", link)}
        case Service(namespace=namespace) | WayOut(namespace=namespace):
            return {("namespace", namespace)}
        case Rate(tap=tap):
            return {("link", tap)}
        case Link(kind=LinkKind.VETH, namespace=namespace):
            return {("namespace", namespace)}
        case _:
            return set()


def _deletable(resource: Resource, lost: set[Key]) -> bool:
    if isinstance(resource, LinkSettings | Gateway):
        return False  # not things, only states of one
    if isinstance(resource, Service | Link | WayOut | Rate):
        return True  # a process outlives the name of its namespace, the host's rules too, a rate's link its tap
    return not _parents(resource) & lost


def _rank(resource: Resource) -> int:
    match resource:
        case Namespace():
            return 0
        case Filter():
            return 1
        case Link(kind=LinkKind.BRIDGE):
            return 2
        case Link():
            return 3
        case LinkSettings() | Gateway():
            return 4
        case BridgeEntry() | TunnelEntry() | CopyEntry() | ArpEntry() | WayOut() | Rate():
            return 5
        case Service():
            return 6
