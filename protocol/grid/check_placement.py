"""Where a grid may be: are its rules of placement well-formed, and can they be kept together?"""

from collections.abc import Iterable, Iterator

from protocol.grid import limits
from protocol.grid.model import ClusterSpec, Compact, GridSpec, Spread, Strict
from protocol.grid.problem import Path, Problem, listed, quoted, unknown
from protocol.grid.syntax import image_problem, label_problem, tag_problem


def placement_problems(spec: GridSpec) -> Iterator[Problem]:
    """Problems with the placement of the grid as a whole."""
    placement = spec.placement
    for field in ("sites", "exclude", "exclude_sites", "prefer", "apart"):
        names: tuple[str, ...] = getattr(placement, field)
        most = limits.GRID_NAME_MAX if field == "apart" else limits.NAME_MAX
        for index, name in enumerate(names):
            yield from label_problems(("placement", field, index), name, most)
        yield from twice(("placement", field), names)
    yield from twice(("placement", "strict"), placement.strict)
    if not 0 <= placement.within_ms <= limits.WITHIN_MS_MAX:
        allowed = f"allowed are 1ms to {limits.WITHIN_MS_MAX // 1000}s"
        message = f"found {_short(placement.within_ms, ' ms')}; {allowed}"
        yield Problem(("placement", "within_ms"), message)
    if spec.name in placement.apart:
        at = placement.apart.index(spec.name)
        message = "found this grid itself; to keep its workspaces apart write spread: host"
        yield Problem(("placement", "apart", at), message)
    yield from _contradictions(spec)


def _contradictions(spec: GridSpec) -> Iterator[Problem]:
    placement = spec.placement
    for index, site in enumerate(placement.exclude_sites):
        if site in placement.sites:
            message = f"found {quoted(site)}, which sites asks for; leave it out of one of them"
            yield Problem(("placement", "exclude_sites", index), message)
    for index, site in enumerate(placement.prefer):
        if placement.sites and site not in placement.sites:
            message = (
                f"found {quoted(site)}, which sites leaves out; sites are {listed(placement.sites)}"
            )
            yield Problem(("placement", "prefer", index), message)
        elif site in placement.exclude_sites:
            message = f"found {quoted(site)}, which exclude-sites rules out"
            yield Problem(("placement", "prefer", index), message)
    stated = {Strict.SPREAD: placement.spread, Strict.COMPACT: placement.compact}
    for index, rule in enumerate(placement.strict):
        if stated[rule] == "none":
            message = (
                f"found {rule}, which is not asked for; write {rule}: site or {rule}: host too"
            )
            yield Problem(("placement", "strict", index), message)
    if Spread.NONE is placement.spread or Compact.NONE is placement.compact:
        return
    if not (placement.spread is Spread.HOST and placement.compact is Compact.SITE):
        message = (
            f"found {placement.compact} beside spread: {placement.spread}; what goes together is"
            " spread: host and compact: site"
        )
        yield Problem(("placement", "compact"), message)


def cluster_placement_problems(spec: GridSpec, cluster: ClusterSpec, at: Path) -> Iterator[Problem]:
    """Problems with the placement of one cluster, which is at that path."""
    for field in ("labels", "preferred_labels"):
        tags: tuple[str, ...] = getattr(cluster, field)
        for index, tag in enumerate(tags):
            if message := tag_problem(tag):
                yield Problem((*at, field, index), message)
        yield from twice((*at, field), tags)
    for index, tag in enumerate(cluster.preferred_labels):
        if tag in cluster.labels:
            message = f"found {quoted(tag)}, which is required; leave it out of one of them"
            yield Problem((*at, "preferred_labels", index), message)
    for index, device in enumerate(cluster.devices):
        where = (*at, "devices", index)
        if message := label_problem(device.name):
            yield Problem(where, message)
        if not 1 <= device.count <= limits.DEVICES_MAX:
            message = f"found {_short(device.count)}; allowed are 1 to {limits.DEVICES_MAX}"
            yield Problem(where, message)
        if device.name in [other.name for other in cluster.devices[:index]]:
            yield Problem(where, f"found device {quoted(device.name)} a second time")
    known = [volume.name for volume in spec.volumes]
    if cluster.near_volume and cluster.near_volume not in known:
        yield Problem((*at, "near_volume"), unknown("volume", cluster.near_volume, known))
    near = cluster.near_image
    if near.name and (message := image_problem(near.name, near.digest)):
        yield Problem((*at, "near_image"), message)


def label_problems(path: Path, text: str, most: int = limits.NAME_MAX) -> Iterator[Problem]:
    """The problem with a name, if there is one."""
    if message := label_problem(text, most):
        yield Problem(path, message)


def twice(path: Path, names: Iterable[str]) -> Iterator[Problem]:
    """Problems with names that were there before, each at its own place."""
    seen: list[str] = []
    for index, name in enumerate(names):
        if name in seen:
            yield Problem((*path, index), f"found {quoted(name)} a second time; once is enough")
        seen.append(name)


def _short(value: int, unit: str = "") -> str:
    return f"{value}{unit}" if abs(value) < 1 << 63 else "a number beyond 64 bits"
