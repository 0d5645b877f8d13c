"""What must hold of changes: what is not named in one is never touched, and one is made whole or not at all."""

from collections import Counter

from protocol.grid.addresses import Card, plan, seated
from protocol.grid.apply import Manner, delta
from protocol.grid.elastic import missing
from protocol.grid.expand import cluster_of, names
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState, absent, order_part, spec_of, terminated
from protocol.terms.ids import GridId
from protocol.trust.order import Action, SignedOrder, read_order

_AGAIN = (Action.RESTART, Action.REBUILD)


class Untouched:
    """Follows what is decided of grids, what is ordered, and which machines start."""

    def __init__(self) -> None:
        self._starts: Counter[tuple[GridId, str]] = Counter()
        """How often each workspace may have been started by what was decided."""
        self._again: Counter[tuple[str, str]] = Counter()
        """How often somebody ordered it, by order key and workspace; all of a grid have no name."""
        self._booted: Counter[tuple[GridId, str]] = Counter()
        self.changes = 0
        """How often an order to apply was decided."""
        self.by_room = 0
        """How often room changed an elastic grid."""

    def ordered(self, signed: SignedOrder) -> None:
        """Somebody gave an order."""
        order = read_order(signed)
        if order.action in _AGAIN:
            self._again[order_part(GridId(order.grid)), order.workspace] += 1

    def booted(self, grid: GridId, workspace: str) -> str:
        """A machine starts. Answers why it may not have; empty if it may."""
        self._booted[grid, workspace] += 1
        part = order_part(grid)
        most = self._starts[grid, workspace] + self._again[part, workspace] + self._again[part, ""]
        if self._booted[grid, workspace] > most:
            return f"{workspace} of {grid} was started again, and nothing that was decided says so"
        return ""

    def lost(self, grid: GridId, workspace: str) -> None:
        """A machine is gone with its host's disk: it may be started once more."""
        self._starts[grid, workspace] += 1

    def decided(self, before: GridRecord | None, record: GridRecord) -> str:
        """A record was decided, after `before`. Answers what is wrong with it; empty if nothing is."""
        if record.state is GridState.DOWN:
            return ""
        here = record.placed
        if before is None or before.standing == record.standing:
            if before is None:
                self._starts.update((record.id, name) for name in here)
            if before is not None and before.room != record.room:
                return self._by_room(before, record)
            return _moved(before, record, tuple(here)) if before is not None else ""
        self.changes += 1
        old, new = _spec(before), _spec(record)
        left_out = absent(record.standing)
        there = tuple(a.workspace for a in before.assignments)
        made = delta(there, old, new, left_out)
        self._starts.update((record.id, name) for name in made.added)
        anew = [name for name, manner in made.changed if manner is not Manner.LIVE]
        self._starts.update((record.id, name) for name in anew)
        fixed = {c.name for c in new.clusters if not c.elastic}
        wanted = [name for name in names(new) if name not in left_out]
        came = (*made.added, *made.same, *(name for name, _ in made.changed))
        wanted = [n for n in wanted if n in came or cluster_of(n) in fixed]
        if sorted(here) != sorted(wanted):
            return f"{record.name} became {sorted(here)}, not {sorted(wanted)}"
        stays = (*made.same, *(name for name, _ in made.changed))
        return _moved(before, record, stays)

    def _by_room(self, before: GridRecord, record: GridRecord) -> str:
        """The same, where room changed an elastic grid: between `min` and `count`, and nothing else."""
        self.by_room += 1
        spec = _spec(record)
        were = before.placed
        here = record.placed
        came, went = [n for n in here if n not in were], [n for n in were if n not in here]
        self._starts.update((record.id, name) for name in came)
        allowed, out = missing(before, spec), set(terminated(record))
        if record.epoch == before.epoch + 1 and any(name not in allowed for name in came):
            return f"{record.name} grew by {sorted(came)}, not by some of {allowed}"
        elastic = {cluster.name for cluster in spec.clusters if cluster.elastic}
        may_go = {n for n in were if cluster_of(n) in elastic} | out
        if any(name not in may_go for name in went):
            return f"{record.name} gave up {sorted(went)}, of which some are not elastic"
        counts = Counter(cluster_of(name) for name in here)
        ended = Counter(cluster_of(name) for name in out)
        for cluster in spec.clusters:
            if not cluster.elastic:
                continue
            if counts[cluster.name] + ended[cluster.name] < cluster.least:
                return f"{record.name} has fewer than {cluster.least} of {cluster.name}"
            if counts[cluster.name] > cluster.count:
                return f"{record.name} has more than {cluster.count} of {cluster.name}"
        return _moved(before, record, tuple(n for n in here if n in were))


def _moved(before: GridRecord, record: GridRecord, stays: tuple[str, ...]) -> str:
    """What of those that stay is elsewhere, or has another address; empty if nothing has."""
    were = before.placed
    are = record.placed
    old, new = _cards(before), _cards(record)
    for name in stays:
        if were.get(name) != are.get(name):
            return f"{name} of {record.name} moved"
        for key, address in old.items():
            if key[0] == name and new.get(key, address) != address:
                return f"{name} of {record.name} has another address on {key[1]}"
    taken = Counter((network, address) for (_, network), address in new.items())
    twice = [address for (_, address), count in taken.items() if count > 1]
    return f"{twice[0]} of {record.name} is given twice" if twice else ""


def _cards(record: GridRecord) -> dict[tuple[str, str], str]:
    spec, there = _spec(record), {a.workspace for a in record.assignments}
    cards: tuple[Card, ...] = plan(spec)
    if record.applied is not None:
        cards = seated(spec, record.applied.places)
    return {(c.workspace, c.network): c.address for c in cards if c.workspace in there}


def _spec(record: GridRecord) -> GridSpec:
    return spec_of(read_order(record.standing))
