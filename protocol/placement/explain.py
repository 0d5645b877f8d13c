"""Why not, as a value and in words: what was asked, what stopped it and by how much, and what would work.

Refusals are counted, not listed: how many hosts each constraint binds, and the nearest miss of each. Where the
grid itself does not want to be comes first, and the constraint that binds most hosts last. Counter-offers
(counter.py) say what would work; where there is none, advice does.
"""

import re
from collections.abc import Sequence

import msgspec

from protocol.grid.model import GridSpec, Workspace
from protocol.placement.choose import Choice
from protocol.placement.counter import CounterOffer, in_words
from protocol.terms.quantities import (
    counted,
    cpus_in_words,
    format_byte_rate,
    format_operations,
    format_rate,
    format_size,
)
from protocol.terms.refusal import PORTS, QUANTITIES, RULED_OUT, Constraint, Refusal

_ADVICE = {
    Constraint.SITE: "name other sites under placement.sites, or none",
    Constraint.APART: "leave that grid out of placement.apart, or take it down",
    Constraint.DISTANCE: "a longer placement.within",
    Constraint.UNDERLAY: "hosts of one site, or none behind NAT, all IPv4 or all IPv6; `overlayctl peers`",
    Constraint.ENCRYPTION: "hosts that seal networks; the log of one that cannot says why: networks.not-sealed",
    Constraint.EGRESS: 'hosts with `[network] egress = "nat"`, or leave out `internet`',
    Constraint.PORT: "a free port, or none under `as`: its host then chooses one; "
    "or hosts with another `[network] expose`",
    Constraint.ARCHITECTURE: "another architecture, with an image for it",
    Constraint.DRIVER: "hosts with another driver; `overlayctl peers` shows what runs guests where",
    Constraint.LABEL: "ask for those labels under `preferred`; `overlayctl peers` shows who has which",
    Constraint.AUTHORITY: "ask the site's admin",
    Constraint.POLICY: "what is allowed there, or other sites; `overlayctl policy why VO GRID`",
    Constraint.NAME: "take the other grid down, or choose another name",
    Constraint.CONTENDED: "try again in a moment",
    Constraint.OLDER: "wait: best effort has room kept for it as well once it is the oldest",
    Constraint.IMAGE: "add the image at any peer with `overlayctl image add`",
    Constraint.STORE: "free disk space on that host",
    Constraint.SILENT: "try again when those hosts answer",
    Constraint.UNFIT: "mend those hosts, which try again by themselves; `overlayctl status` there says more",
}

_PORTS_ADVICE = (
    "fewer ports under `expose`, or hosts with a larger range, or any, under `[network] expose`;"
    " `overlayctl status` there says why one gives none"
)


class Obstacle(msgspec.Struct, frozen=True):
    """One constraint stops so many hosts."""

    constraint: Constraint
    hosts: int
    nearest: Refusal
    """The refusal of the host that lacks least, or of the first host if nothing is measured."""


class Missing(msgspec.Struct, frozen=True):
    """A cluster of which too little is placed."""

    cluster: str
    missing: int
    asked: int
    least: int
    workspace: Workspace
    reasons: tuple[Obstacle, ...]
    """By constraint, and ports by reason; the one that binds most hosts comes last."""


class Explanation(msgspec.Struct, frozen=True):
    """Why a grid is not placed."""

    missing: tuple[Missing, ...]
    placed: int
    total: int
    hosts: int
    """How many hosts carry what is placed."""
    would_work: tuple[CounterOffer, ...] = ()
    suspects: tuple[str, ...] = ()
    """Names in the grid that nobody has, as suspects.py says them."""


def explain(
    spec: GridSpec,
    choice: Choice,
    would_work: tuple[CounterOffer, ...] = (),
    suspects: tuple[str, ...] = (),
) -> Explanation:
    """Explains a choice that is not enough."""
    by_cluster: dict[str, list[Workspace]] = {}
    why: dict[str, tuple[Refusal, ...]] = {}
    for unplaced in choice.unplaced:
        by_cluster.setdefault(unplaced.workspace.cluster, []).append(unplaced.workspace)
        why.setdefault(unplaced.workspace.cluster, unplaced.refusals)
    missing = tuple(
        Missing(c.name, len(left), c.count, c.least, left[0], reasons(why[c.name]))
        for c in spec.clusters
        if (left := by_cluster.get(c.name)) and c.count - len(left) < c.least
    )
    hosts = len(dict.fromkeys(choice.placed.values()))
    total = len(choice.placed) + len(choice.unplaced)
    return Explanation(missing, len(choice.placed), total, hosts, would_work, suspects)


def reasons(refusals: tuple[Refusal, ...]) -> tuple[Obstacle, ...]:
    """Refusals counted by reason. If one host refused again and again for one reason, the last counts."""
    order = list(Constraint)
    groups: dict[tuple[Constraint, str], dict[str, Refusal]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.constraint, _kind(refusal)), {})[refusal.host] = refusal
    found = [
        Obstacle(constraint, len(group), _nearest(constraint, list(group.values())))
        for (constraint, _), group in groups.items()
    ]
    return tuple(
        sorted(
            found,
            key=lambda r: (r.constraint not in RULED_OUT, r.hosts, order.index(r.constraint)),
        )
    )


def _kind(refusal: Refusal) -> str:
    """What is counted by itself though one constraint stops it: each device, each line of a site's policy, and
    each reason against a port, as whether a host does not give it, or gave it to somebody. Which port it is
    makes no difference."""
    match refusal.constraint:
        case Constraint.DEVICE | Constraint.POLICY:
            return refusal.detail
        case Constraint.PORT:
            return re.split("[:;,]", re.sub("[0-9]+", "", refusal.detail))[0]
    return ""


def _nearest(constraint: Constraint, group: list[Refusal]) -> Refusal:
    if constraint in QUANTITIES:
        return min(group, key=lambda refusal: refusal.short_by)
    if constraint is Constraint.DISTANCE:
        return min(group, key=lambda refusal: refusal.available or float("inf"))
    return group[0]


def words(explanation: Explanation) -> list[str]:
    """The explanation as lines for a person."""
    lines = []
    for missing in explanation.missing:
        workspace = missing.workspace
        fewest = f" (at least {missing.least})" if missing.least < missing.asked else ""
        lines.append(
            f"cannot place {missing.missing} of {missing.asked} {missing.cluster}{fewest}:"
            f" each needs {_size(workspace, missing.reasons)}"
        )
        if missing is explanation.missing[0] and explanation.placed:
            holders = f"{explanation.hosts} hosts hold"
            if explanation.hosts == 1:
                holders = "1 host holds"
            lines.append(f"  {holders} {explanation.placed} of the {explanation.total} workspaces")
        lines += reason_lines(missing.reasons)
    lines += [f"  {line}" for line in explanation.suspects]
    if explanation.would_work:
        return lines + [f"  would work: {in_words(offer)}" for offer in explanation.would_work]
    last = [m.reasons[-1] for m in explanation.missing if m.reasons]
    return lines + _advice(last[-1:])


def reason_lines(found: tuple[Obstacle, ...]) -> list[str]:
    """Obstacles as lines for a person."""
    if not found:
        return ["  no host is known that could be asked; `overlayctl peers` lists who is there"]
    lines = []
    for reason in found:
        hosts = "1 host" if reason.hosts == 1 else f"{reason.hosts} hosts"
        lack = "lacks" if reason.hosts == 1 else "lack"
        near = reason.nearest
        if reason.constraint in QUANTITIES:
            by = near.amount(near.short_by)
            lines.append(
                f"  {hosts} {lack} {near.what}; the nearest, {near.host}, by {by}{near.others}"
            )
        else:
            lines.append(f"  {hosts}: {reason.constraint}: {near.detail} ({near.host})")
    return lines


def summarise(refusals: tuple[Refusal, ...]) -> list[str]:
    """Refusals of holds as lines for a person, and advice."""
    found = reasons(refusals)
    return [*reason_lines(found), *_advice(found[-1:])]


def _advice(binding: Sequence[Obstacle]) -> list[str]:
    """What would work in place of what binds, as a line for a person, where something is known."""
    said = [
        _PORTS_ADVICE if each.nearest.what == PORTS else _ADVICE.get(each.constraint, "")
        for each in binding
    ]
    return [f"  would work: {each}" for each in said if each]


def _size(workspace: Workspace, stops: tuple[Obstacle, ...]) -> str:
    """What a workspace takes. What its console's log has of the disk is said where disk is what stops it."""
    parts = [cpus_in_words(workspace.cpus_milli), format_size(workspace.memory_bytes)]
    if disk_bytes := workspace.disk_bytes - workspace.console_bytes:
        parts.append(f"{format_size(disk_bytes)} disk")
    if workspace.console_bytes and any(stop.constraint is Constraint.DISK for stop in stops):
        parts.append(f"{format_size(workspace.console_bytes)} for its console's log")
    if bits_s := workspace.network_bits_s:
        parts.append(f"{format_rate(bits_s)} on each network")
    if bytes_s := workspace.disk_bytes_s:
        parts.append(f"{format_byte_rate(bytes_s)} of its disks")
    if operations_s := workspace.disk_operations_s:
        parts.append(f"{format_operations(operations_s)} of its disks")
    if workspace.expose:
        parts.append(counted(len(workspace.expose), "exposed port"))
    parts += [f"{device.count} {device.name}" for device in workspace.devices]
    return ", ".join(parts)
