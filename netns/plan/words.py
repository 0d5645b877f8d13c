"""What was wrong with a network that had been in force, for a person: from the steps that mend it."""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from netns.model import NetworkPlan
from netns.resources import (
    Action,
    ArpEntry,
    BridgeEntry,
    CopyEntry,
    Filter,
    Gateway,
    Key,
    Link,
    LinkSettings,
    Namespace,
    Rate,
    Resource,
    Service,
    Step,
    TunnelEntry,
    WayOut,
)

_SHOWN = 4  # of the things that were wrong; what hangs on them is counted
_ENTRIES = {
    "bridge-entry": "forwarding",
    "tunnel-entry": "tunnel",
    "copy-entry": "copying",
    "arp-entry": "neighbour",
}


def harm(plan: NetworkPlan, todo: Iterable[Step], observed: Iterable[Resource]) -> str:
    """For example `tunnel device ovx-00abcd was gone`; empty if there is nothing to do.

    What disappears together with a link or a namespace is not told besides.
    """
    steps = list(todo)
    seen = {resource.key: resource for resource in observed}
    lost = {
        step.resource.key
        for step in steps
        if isinstance(step.resource, Link | Namespace) and step.action is not Action.DELETE
    }
    said = list(dict.fromkeys(_things(plan, steps, seen, lost)))
    shown = said[:_SHOWN]
    if len(said) > _SHOWN:
        shown.append(f"and {len(said) - _SHOWN} more")
    return "; ".join(shown)


def _things(
    plan: NetworkPlan, steps: list[Step], seen: dict[Key, Resource], lost: set[Key]
) -> Iterator[str]:
    entries: Counter[tuple[str, str]] = Counter()
    for step in sorted(steps, key=lambda step: step.action is Action.DELETE):
        match step.resource:
            case BridgeEntry() | TunnelEntry() | CopyEntry() | ArpEntry():
                entries[_ENTRIES[step.resource.key[0]], _was(step.action)] += 1
            case LinkSettings(name=name) if ("link", name) in lost:
                continue
            case LinkSettings() as wanted if _follows(wanted, seen, lost):
                continue
            case Rate(tap=tap) if ("link", tap) in lost:
                continue
            case WayOut() if ("namespace", plan.namespace) in lost:
                continue
            case Gateway() if {("namespace", plan.namespace), ("link", plan.veth)} & lost:
                continue
            case resource:
                yield f"{_name(plan, resource)} {_how(step, seen.get(resource.key))}"
    if lost:
        return  # they went with their links
    for (kind, was), count in entries.items():
        yield f"{count} {kind} {'entry' if count == 1 else 'entries'} {was}"


def _follows(wanted: LinkSettings, seen: dict[Key, Resource], lost: set[Key]) -> bool:
    """Whether a port is only as it is because its bridge is gone or down."""
    if ("link", wanted.master) in lost:
        return True
    bridge, port = seen.get(("settings", wanted.master)), seen.get(wanted.key)
    return (
        isinstance(bridge, LinkSettings)
        and isinstance(port, LinkSettings)
        and not bridge.up
        and replace(port, amiss=wanted.amiss) == wanted
    )


def _name(plan: NetworkPlan, resource: Resource) -> str:
    match resource:
        case Namespace(name=name):
            return f"namespace {name}"
        case Filter(table=table):
            family, _, name = table.partition(" ")
            what = "packet filter" if family == "bridge" else "tunnel's packet filter"
            return f"{what} {name}"
        case Link(name=name) | LinkSettings(name=name):
            return _link(plan, name)
        case Gateway():
            return "gateway's link"
        case WayOut(link=link):
            return f"way out {link}"
        case Rate(tap=tap):
            whose = {port.tap: port.name for port in plan.ports}
            return f"rate of {whose.get(tap, 'nobody')} at {tap}"
        case Service(namespace=namespace):
            what = "DHCP and DNS" if namespace else "names of the outside"
            return f"dnsmasq ({what})"
        case _:
            return " ".join(resource.key)


def _link(plan: NetworkPlan, name: str) -> str:
    names = {plan.bridge: "bridge", plan.tunnel: "tunnel device", plan.veth: "link to its services"}
    names |= {port.tap: f"tap of {port.name}" for port in plan.ports}
    return f"{names.get(name, 'strange port')} {name}"


def _was(action: Action) -> str:
    match action:
        case Action.ADD:
            return "gone"
        case Action.REPLACE:
            return "changed"
        case Action.DELETE:
            return "added by somebody"


def _how(step: Step, was: Resource | None) -> str:
    match step.resource, was:
        case LinkSettings() as wanted, LinkSettings() as found:
            return "was " + ", ".join(_settings(wanted, found))
        case Gateway() as wanted, Gateway() as found:
            return "had changed: " + ", ".join(_gateway(wanted, found))
        case Filter(), Filter():
            return "had other rules than ours"
        case Rate(), Rate(to_bits_s=0, from_bits_s=0) if step.action is Action.REPLACE:
            return f"was {_was(Action.ADD)}"
        case Rate() as wanted, Rate() as found if step.action is Action.REPLACE:
            return "was " + ", ".join(_rate(wanted, found))
        case WayOut(), WayOut(inside="", outside=""):
            return f"was {_was(Action.ADD)}"
        case WayOut() as wanted, WayOut() as found:
            return "had changed: " + ", ".join(_way(wanted, found))
        case Service(), Service(config=""):
            return "did not run as started"
        case _:
            return f"was {_was(step.action)}"


def _settings(wanted: LinkSettings, found: LinkSettings) -> Iterator[str]:
    if not found.up:
        yield "down"
    if found.master != wanted.master:
        yield f"on {found.master}" if found.master else "off its bridge"
    if found.mtu != wanted.mtu:
        yield f"of mtu {found.mtu}"
    if found.alias != wanted.alias:
        yield "without its alias"
    if found.ipv6 != wanted.ipv6:
        yield "speaking IPv6" if found.ipv6 else "silent over IPv6"
    if found.floods != wanted.floods and found.master == wanted.master:
        yield "taking groups" if found.floods else "taking no groups"
    if found.amiss and found.master == wanted.master:
        yield "set to flood, filter or hold frames"


def _gateway(wanted: Gateway, found: Gateway) -> Iterator[str]:
    if not found.up:
        yield "down"
    if found.address != wanted.address:
        yield f"address {found.address or 'none'}"
    if found.mac != wanted.mac:
        yield f"mac {found.mac}"
    if found.mtu != wanted.mtu:
        yield f"mtu {found.mtu}"
    if found.ipv6 != wanted.ipv6:
        yield "IPv6" if found.ipv6 else "no IPv6"
    if found.forwarding != wanted.forwarding:
        yield "forwarding" if found.forwarding else "not forwarding"
    if found.checksum_offload:
        yield "checksum offload"


def _rate(wanted: Rate, found: Rate) -> Iterator[str]:
    for way in ("to", "from"):
        if (has := getattr(found, f"{way}_bits_s")) != getattr(wanted, f"{way}_bits_s"):
            yield f"{has} bit/s {way} its guest" if has else f"none {way} its guest"
    if found.alias != wanted.alias:
        yield "without its alias"


def _way(wanted: WayOut, found: WayOut) -> Iterator[str]:
    if found.rules != wanted.rules:
        yield "rules"
    if (found.inside, found.outside) != (wanted.inside, wanted.outside):
        yield f"addresses {found.outside or 'none'} and {found.inside or 'none'}"
    if not found.leads:
        yield "no route"
    if found.inner != wanted.inner:
        yield "rules inside"
