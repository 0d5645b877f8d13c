"""Preemption: best-effort work is saved to disk in time for a reservation, and goes on after it.

The ledger's plan says until when each group (the workspaces of one cluster on this host) fits. Of owners with
shares, those go first who had most of theirs (sharing.py), and of each one's work what came last. The group
must be on disk by then. A host saves one machine after another, at the rate it measured itself, so it begins
earlier by as long as everything that must go by then takes (Sotomayor, Keahey, Foster 2008; Sotomayor, Montero,
Llorente, Foster 2009).

A cluster is suspended whole, because its members on other hosts would only wait for those here. So each host
tells in its notice of a grid which clusters it has no room for, and the other hosts suspend theirs too. They go
on when no host is hindered any more. A host tells only of its own want of room, so hosts never wait in a
circle. Peers that the record does not name are not heard.
"""

from collections.abc import Callable, Mapping

from protocol.capacity.ledger import Group, Ledger
from protocol.capacity.rates import Rates
from protocol.capacity.room import FOREVER
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import USEFUL_S, YIELD_EARLY_S


class Preemption:
    """Which clusters must make room on this host, and which ones wait for room on other hosts."""

    def __init__(self, ledger: Ledger, rates: Callable[[], Rates]) -> None:
        self._ledger, self.rates = ledger, rates
        self._here: dict[Group, None] = {}
        self._there: dict[GridId, dict[PeerId, tuple[str, ...]]] = {}

    def hindered(self, grid: GridId) -> tuple[str, ...]:
        """Clusters of a grid for which this host has no room now. Its other hosts are told."""
        return tuple(cluster for of, cluster in self._here if of == grid)

    def off(self, grid: GridId) -> tuple[str, ...]:
        """Clusters of a grid that are to be suspended, for want of room here or elsewhere."""
        clusters = dict.fromkeys(self.hindered(grid))
        for told in self._there.get(grid, {}).values():
            clusters |= dict.fromkeys(told)
        return tuple(clusters)

    def lead_s(self) -> float:
        """How many seconds before its start a reservation must be asked for, to displace what yields here."""
        memory_bytes = sum(self._ledger.yielding().values())
        return YIELD_EARLY_S + self.rates().save_s(memory_bytes)

    def heard(self, grid: GridId, peer: PeerId, clusters: tuple[str, ...]) -> bool:
        """Another host of that grid tells for which clusters it has no room. True if that is news."""
        told = self._there.setdefault(grid, {})
        if told.get(peer, ()) == clusters:
            return False
        told[peer] = clusters
        return True

    def unheard(self, grid: GridId, peer: PeerId) -> None:
        """What a host told is not so any more, or nobody stands for it, so this host does not wait for it."""
        self._there.get(grid, {}).pop(peer, None)

    def forget(self, grid: GridId) -> None:
        """This host carries nothing of that grid any more."""
        self._there.pop(grid, None)

    def turn(self, now: float) -> list[GridId]:
        """Finds which groups must go by now and which may go on. Answers the grids for which that changed."""
        if not self._ledger.yielding() and not self._here:
            return []
        self._ledger.plan()
        here: dict[Group, None] = {}
        for group, begin_s in self.begins(self._ledger.until_s).items():
            least_s = USEFUL_S if group in self._here else 0.0
            if now + least_s >= begin_s:
                here[group] = None
        changed = [
            GridId(grid)
            for grid, cluster in {**self._here, **here}
            if ((grid, cluster) in here) != ((grid, cluster) in self._here)
        ]
        self._here = here
        return list(dict.fromkeys(changed))

    def next_s(self) -> float:
        """When to take the next turn, Unix seconds; infinite if there is nothing to do."""
        if not self._ledger.until_s:
            return FOREVER
        due = self.begins(self._ledger.until_s)
        begins = [at_s for group, at_s in due.items() if group not in self._here]
        if self._here:
            begins.append(self._ledger.next_change_s())
        return min(begins, default=FOREVER)

    def begins(self, until: Mapping[Group, float]) -> dict[Group, float]:
        """When each group must begin to be saved that can run `until` then only, those that go first first."""
        memory, rates, sum_s = self._ledger.yielding(), self.rates(), 0.0
        begins: dict[Group, float] = {}
        for group in sorted(until, key=lambda g: (until[g], g)):
            if until[group] != FOREVER:
                sum_s += rates.save_s(memory[group])
                begins[group] = until[group] - sum_s - YIELD_EARLY_S
        return begins
