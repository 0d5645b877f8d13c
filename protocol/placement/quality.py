"""How good a choice is: the objective by which everything in this room is measured.

First comes the number placed. Then, of choices that place as many, the *degree*: how far each preference
that the grid states is met, from 0 to 1, and the mean of these. They are plain numbers, so that an oracle
can maximise the same thing (scripts/benches/placement.py does, as a mixed integer program):

- spread: of all pairs of members, the fraction that does not share a host (or site).
- compact: 1 if all members share one, 0 if each has its own, in proportion between.
- prefer: the mean over members. The first of n sites counts 1, the next 1 - 1/n, a site not named 0.
- preferred labels: the mean, over members that prefer any, of the share of them their host has.
- open hosts: the share of members whose host all others reach, if a sealed network is shared and not all do.
- near: the mean, over members that want it, of `closeness`.

Last, of hosts that are equally good, those that spoil least room: `Ladder` below.
"""

from protocol.capacity.quantum import Quantum
from protocol.grid.model import Workspace
from protocol.placement.fit import Offer, Rules, apart_ms

_AT_SITE = 0.75
_HALF_MS = 10.0
"""At other sites closeness starts at half, and is half of that at so many milliseconds."""


def closeness(offer: Offer, other: Offer) -> float:
    """1 on the same host, 0.75 at its site, less with distance elsewhere, 0 if nobody knows how far."""
    if offer.peer == other.peer:
        return 1.0
    if offer.site == other.site:
        return _AT_SITE
    return 0.5 / (1.0 + apart_ms(offer, other) / _HALF_MS)


def site_degree(site: str, prefer: tuple[str, ...]) -> float:
    """How far a site is preferred, 0 to 1."""
    return 1.0 - prefer.index(site) / len(prefer) if site in prefer else 0.0


def label_degree(workspace: Workspace, offer: Offer) -> float:
    """The share of preferred labels that a host has. The workspace must prefer some."""
    wanted = workspace.preferred_labels
    return sum(label in offer.facts.labels for label in wanted) / len(wanted)


def degree(
    workspaces: tuple[Workspace, ...],
    where: dict[str, Offer],
    offers: tuple[Offer, ...],
    rules: Rules,
) -> float:
    """How far members at `where` (by name) meet the stated preferences; 1 if none is stated."""
    placed = [(w, where[w.name]) for w in workspaces if w.name in where]
    terms: list[float] = []
    count = len(placed)
    if rules.spread != "none" and not rules.strict_spread and count > 1:
        crowds = _crowds([o for _, o in placed], rules.spread)
        terms.append(1.0 - sum(n * (n - 1) for n in crowds) / (count * (count - 1)))
    if rules.compact != "none" and not rules.strict_compact and count > 1:
        crowds = _crowds([o for _, o in placed], rules.compact)
        terms.append(1.0 - (len(crowds) - 1) / (count - 1))
    if rules.prefer and count:
        terms.append(sum(site_degree(o.site, rules.prefer) for _, o in placed) / count)
    if rules.open_hosts and count:
        terms.append(sum(not o.hidden for _, o in placed) / count)
    likes = [label_degree(w, o) for w, o in placed if w.preferred_labels]
    if likes:
        terms.append(sum(likes) / len(likes))
    near = [
        max((closeness(o, t) for t in targets(w, workspaces, where, offers)), default=0.0)
        for w, o in placed
        if w.near_volume or w.near_image.name
    ]
    if near:
        terms.append(sum(near) / len(near))
    return sum(terms) / len(terms) if terms else 1.0


def targets(
    workspace: Workspace,
    workspaces: tuple[Workspace, ...],
    where: dict[str, Offer],
    offers: tuple[Offer, ...],
) -> list[Offer]:
    """The hosts that a workspace wants to be near: its volume's, and those that have its image."""
    found = []
    if workspace.near_volume:
        holders = [w for w in workspaces if workspace.near_volume in [m.volume for m in w.mounts]]
        found += [where[w.name] for w in holders if w.name in where]
    if workspace.near_image.name:
        found += [o for o in offers if workspace.near_image.digest in o.images]
    return found


def _crowds(offers: list[Offer], by: str) -> list[int]:
    crowds: dict[str, int] = {}
    for offer in offers:
        group = offer.site if by == "site" else offer.peer
        crowds[group] = crowds.get(group, 0) + 1
    return list(crowds.values())


_GIB = 1 << 30
_LADDER = tuple(
    (int(cpus * 1000), int(cpus * ratio * _GIB), cpus)
    for ratio in (1, 2, 4, 8)
    for cpus in (0.25, 1.0, 4.0, 16.0)
)


class Ladder:
    """What free room is worth: how much of it shapes of several sizes and ratios could still use.

    After Weng and others, "Beware of fragmentation" (ATC 2023): they place where the least becomes unusable
    for usual requests. Here a ladder of shapes stands for those, in four ratios of memory to cpus. Two halves
    of a host are worth less than one whole, and memory without cpus is worth nothing.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], float] = {}

    def worth(self, cpus_milli: int, memory_bytes: int) -> float:
        """What so much room is worth, in cpus, averaged over the ladder."""
        key = (cpus_milli, memory_bytes)
        value = self._known.get(key)
        if value is None:
            value = sum(
                min(cpus_milli // cpus, memory_bytes // memory) * size
                for cpus, memory, size in _LADDER
            ) / len(_LADDER)
            self._known[key] = value
        return value

    def spoiled(self, free: Quantum, asked: Quantum) -> float:
        """What `free` loses in worth if it carries `asked`, in cpus."""
        left = self.worth(
            free.cpus_milli - asked.cpus_milli, free.memory_bytes - asked.memory_bytes
        )
        return self.worth(free.cpus_milli, free.memory_bytes) - left
