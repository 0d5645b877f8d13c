"""Why not, in words: what was asked, what stopped it and by how much, and what would work."""

from protocol.placement.choose import Choice, Unplaced
from protocol.terms.quantities import format_cpus, format_size
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal

_ADVICE = {
    Constraint.SITE: "name other sites under placement.sites, or none",
    Constraint.ENCRYPTION: "say `encryption: none` on the network to let it cross sites in the clear",
    Constraint.AUTHORITY: "ask the site's admin",
    Constraint.NAME: "take the other grid down, or choose another name",
    Constraint.CONTENDED: "try again in a moment",
    Constraint.IMAGE: "add the image at any peer with `overlayctl image add`",
    Constraint.STORE: "free disk space on that host",
    Constraint.SILENT: "try again when those hosts answer",
}


def explain(choice: Choice, total: int) -> list[str]:
    """A choice that did not place everything, as lines for a person."""
    if not choice.unplaced:
        return []
    lines = []
    by_cluster: dict[str, list[Unplaced]] = {}
    for unplaced in choice.unplaced:
        by_cluster.setdefault(unplaced.workspace.cluster, []).append(unplaced)
    for cluster, missing in by_cluster.items():
        lines += _explain_cluster(cluster, missing)
    hosts = len(dict.fromkeys(choice.placed.values()))
    if choice.placed:
        holders = "1 host holds" if hosts == 1 else f"{hosts} hosts hold"
        lines.insert(1, f"  {holders} {len(choice.placed)} of the {total} workspaces")
    return lines


def _explain_cluster(cluster: str, missing: list[Unplaced]) -> list[str]:
    workspace = missing[0].workspace
    each = f"{format_cpus(workspace.cpus_milli)} cpus, {format_size(workspace.memory_bytes)}"
    if workspace.disk_bytes:
        each += f", {format_size(workspace.disk_bytes)} disk"
    lines = [f"cannot place {len(missing)} of cluster {cluster}: each needs {each}"]
    lines += summarise(missing[0].refusals)
    return lines


def summarise(refusals: tuple[Refusal, ...]) -> list[str]:
    """Hosts counted by constraint, the nearest miss of each, binding dimension last, then advice.

    Of what one host refused over and over for one reason, the last counts.
    """
    if not refusals:
        return ["  no host is known that could be asked; `overlayctl peers` lists who is there"]
    order = list(Constraint)
    groups: dict[Constraint, dict[str, Refusal]] = {}
    for refusal in refusals:
        groups.setdefault(refusal.constraint, {})[refusal.host] = refusal
    lines, advice = [], []
    for constraint in sorted(groups, key=lambda c: (len(groups[c]), order.index(c))):
        group = list(groups[constraint].values())
        hosts = "1 host" if len(group) == 1 else f"{len(group)} hosts"
        lack = "lacks" if len(group) == 1 else "lack"
        if constraint in QUANTITIES:
            near = min(group, key=lambda r: r.short_by)
            lines.append(
                f"  {hosts} {lack} {constraint}; the nearest, {near.host}, by {near.amount(near.short_by)}"
            )
            if near.available > 0:
                advice.append(
                    f"{constraint} {_writable(constraint, near.available)} would fit on {near.host}"
                )
        else:
            first = group[0]
            lines.append(f"  {hosts}: {constraint}: {first.detail} ({first.host})")
            if constraint in _ADVICE:
                advice.append(_ADVICE[constraint])
    return [*lines, *(f"  would work: {text}" for text in advice[-1:])]


def _writable(constraint: Constraint, amount: int) -> str:
    """An amount as one would write it in a grid file, rounded down."""
    if constraint is Constraint.CPUS:
        return format_cpus(amount)
    mebibytes = amount >> 20
    return f"{mebibytes >> 10}G" if mebibytes % 1024 == 0 else f"{mebibytes}M"
