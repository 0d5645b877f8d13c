"""The ledger: what a host has promised, now and for later.

Holds and leases are entries alike: a promise is a promise. `advance` moves time on. A question about a window
is answered by the timetable, with the functions both sides of the negotiation use (room.py).

Best-effort work *yields*: its cpus and memory are promised only until a reservation needs them. So there are
two timetables: `firm`, without what yields, and the whole one. What yields is grouped: the workspaces of one
cluster on this host, which are suspended together. In the whole timetable each group runs until the first
moment at which it no longer fits. That moment is the plan. It follows from the firm promises and from the order
in which groups came, so it needs no memory of its own. Disk never yields. Groups of owners who stand better are
planned first, however late they came: who had the most of what is its share yields first.

What an owner is *guaranteed* is cpus and memory that no firm promise to another may take. Best-effort work may:
it makes way when the owner comes. What the owner has already is part of its guarantee.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from protocol.capacity.quantum import Guaranteed, Quantum, total
from protocol.capacity.room import FOREVER, Room
from protocol.capacity.timetable import (
    ALWAYS,
    EntryKey,
    Occupancy,
    Timetable,
    Window,
    lease_spans,
)
from protocol.terms.ids import KeyId
from protocol.terms.quantities import counted

__all__ = ["EntryKey", "Group", "Ledger", "Yields"]

Group = tuple[str, str]
"""(grid id, cluster): workspaces that are suspended together."""
_WITHOUT_MOST = 256
_NAMED_MOST = 2
"""Owners that are named to whom room is guaranteed."""
NOBODY = KeyId("")
"""The owner of what nobody is known to own."""


class Yields(msgspec.Struct, frozen=True):
    """That an entry yields, with which group, and since when: of one owner's the first to come yields last."""

    group: Group
    since_s: float
    memory_bytes: int
    """How much memory of this entry is to be saved."""


class Ledger:
    """One host's promises."""

    def __init__(
        self,
        capacity: Quantum,
        now: float = 0.0,
        rank: Callable[[KeyId, Quantum], int] = lambda owner, capacity: 0,
    ) -> None:
        """`rank` answers who yields last, the least first, on a host that has so much in all."""
        self._firm = Timetable(capacity)
        self._table = Timetable(capacity)
        self._rank = rank
        self._owners: dict[EntryKey, KeyId] = {}
        self._guaranteed: Mapping[KeyId, Quantum] = {}
        self._guaranteed_by: Mapping[KeyId, str] = {}
        self._taken: dict[KeyId, Quantum] | None = None
        """What `taken` answered last, while that stays so."""
        self._yielding: dict[EntryKey, tuple[Yields, tuple[Occupancy, ...]]] = {}
        self.until_s: dict[Group, float] = {}
        """Until when each group that yields can run, Unix seconds; not later than now if it cannot."""
        self.now_s = now
        self._without: dict[frozenset[EntryKey], dict[Group, float]] = {}
        """What `planned_without` answered. It stays so while nothing is promised, begins or ends."""
        self._without_until_s = FOREVER

    @property
    def capacity(self) -> Quantum:
        """What the host has in all."""
        return self._table.capacity

    @property
    def free(self) -> Quantum:
        """What is not promised at this moment."""
        return self._table.free_at(self.now_s)

    @property
    def room(self) -> Room:
        """What is not promised, now and later."""
        return self._table.room

    def free_for(
        self,
        window: Window,
        displacing: bool = False,
        owner: KeyId = NOBODY,
        firm: bool = False,
    ) -> Quantum:
        """What a lease of that window can have. `displacing` counts what yields as free.

        A `firm` one has nothing that others are guaranteed, and its owner's own guarantee from what yields.
        """
        room = self._firm.room if displacing else self._table.room
        if firm and self._guaranteed:
            room = self._room_beside(owner, displacing)
        return room.for_lease(window.start_s, window.end_s, window.kept_until_s)

    def guarantee(self, guaranteed: Mapping[KeyId, Quantum], by: Mapping[KeyId, str]) -> None:
        """Keeps so much for each of these owners from now on: from all firm promises to others.

        `by` says for people who each is, and what guarantees it.
        """
        self._guaranteed, self._guaranteed_by = guaranteed, by

    def guaranteed(
        self, window: Window, displacing: bool = False, owner: KeyId = NOBODY, firm: bool = True
    ) -> Guaranteed:
        """What a firm lease of that window cannot have since others are guaranteed it; of others, nothing."""
        if not firm or not self._guaranteed:
            return Guaranteed()
        free = self.free_for(window, displacing, owner, firm)
        kept = _more_than(self.free_for(window, displacing), free)
        if kept == Quantum():
            return Guaranteed()
        at_s = max(window.start_s, self.now_s)
        lack = [
            self._guaranteed_by[who]
            for who, most in self._guaranteed.items()
            if who != owner and _more_than(most, self._firm_at(who, at_s)) != Quantum()
        ]
        more = [counted(len(lack) - _NAMED_MOST, "other")] if len(lack) > _NAMED_MOST else []
        return Guaranteed(kept, ", and ".join(lack[:_NAMED_MOST] + more))

    def taken(self) -> dict[KeyId, Quantum]:
        """What is promised to each owner, now or for later. What is suspended for want of room has nothing."""
        if self._taken is None:
            self._taken = {}
            for key, owner in self._owners.items():
                quantum = self._taken.get(owner, Quantum()) + self._most(key)
                self._taken[owner] = quantum
        return self._taken

    def owner(self, key: EntryKey) -> KeyId:
        """Whose an entry is; NOBODY if that is not known."""
        return self._owners.get(key, NOBODY)

    def yielding(self) -> dict[Group, int]:
        """Every group that yields, and how many bytes of its memory are to be saved."""
        groups: dict[Group, int] = {}
        for yields, _ in self._yielding.values():
            groups[yields.group] = groups.get(yields.group, 0) + yields.memory_bytes
        return groups

    def next_change_s(self) -> float:
        """When firm promises change next, Unix seconds."""
        return next((at_s for at_s in self._firm.room.at_s if at_s > self.now_s), FOREVER)

    def advance(self, now: float) -> None:
        """Moves time on to `now`. What was before is forgotten."""
        if now > self.now_s:
            self.now_s = now
            if now >= self._without_until_s:
                self._without.clear()
            self._firm.forget(now)
            self._table.forget(now)

    def resize(self, capacity: Quantum) -> None:
        """Takes the capacity of a new probe. Promises stay, even beyond the new total."""
        self._firm.resize(capacity)
        self._table.resize(capacity)
        self.plan()

    def enter(
        self,
        key: EntryKey,
        quantum: Quantum,
        window: Window = ALWAYS,
        yields: Yields | None = None,
        owner: KeyId = NOBODY,
    ) -> None:
        """Promises a quantum, in place of an entry of the same key. The caller has asked whether it fits."""
        self.enter_spans(key, lease_spans(quantum, window), yields, owner)

    def enter_spans(
        self,
        key: EntryKey,
        spans: tuple[Occupancy, ...],
        yields: Yields | None = None,
        owner: KeyId = NOBODY,
    ) -> None:
        """The same for an entry whose quantum changes over time."""
        self._owners[key] = owner
        self._yielding.pop(key, None)
        if yields is None:
            self._firm.reserve(key, spans)
            self._table.reserve(key, spans)
        else:
            kept = tuple(Occupancy(s.start_s, s.end_s, s.quantum.kept) for s in spans)
            runs = tuple(
                Occupancy(s.start_s, s.end_s, s.quantum - s.quantum.kept)
                for s in spans
                if s.quantum != s.quantum.kept
            )
            self._firm.reserve(key, kept)
            self._yielding[key] = (yields, runs)
        self.plan()

    def spans(self, key: EntryKey) -> tuple[Occupancy, ...]:
        """What is promised to an entry. For one that yields, all it would take."""
        if key in self._yielding:
            return self._firm.spans(key) + self._yielding[key][1]
        return self._table.spans(key)

    def yields(self, key: EntryKey) -> Yields | None:
        """How an entry yields; None if it does not."""
        return self._yielding[key][0] if key in self._yielding else None

    def fits(self, key: EntryKey, spans: tuple[Occupancy, ...]) -> bool:
        """Whether `spans` could be promised in place of what the entry has, without what others are guaranteed.

        Where a guarantee is not met already, because the policy is newer than what was promised, it is no
        reason.
        """
        if not self._table.fits(key, spans):
            return False
        if not self._guaranteed or key in self._yielding:
            return True
        owner, old, listed = self.owner(key), self._firm.spans(key), key in self._firm
        met = self._is_met_beside(owner, spans)
        self._firm.reserve(key, spans)
        fits = not met or self._is_met_beside(owner, spans)
        self._firm.release(key)
        if listed:
            self._firm.reserve(key, old)
        return fits

    def strike(self, key: EntryKey) -> None:
        """Takes a promise back. It is no error if there is none."""
        self._owners.pop(key, None)
        self._yielding.pop(key, None)
        self._firm.release(key)
        self._table.release(key)
        self.plan()

    def planned_without(self, keys: Iterable[EntryKey]) -> dict[Group, float]:
        """Until when each group could run if these entries were not there. Nothing is changed.

        Elastic grids ask for many such sets after each step of a host, and few steps promise anything.
        """
        gone = frozenset(keys)
        if len(self._without) >= _WITHOUT_MOST:
            self._without.clear()
        if not self._without:
            self._without_until_s = self._next_edge_s()
        if gone not in self._without:
            self._plan(gone)
            self._without[gone] = self.until_s
            self._plan(frozenset())
        return self._without[gone]

    def plan(self) -> None:
        """Lets every group that yields run for as long as it fits, one after another."""
        self._without.clear()
        self._taken = None
        self._plan(frozenset())

    def _next_edge_s(self) -> float:
        """When anything that is promised begins or ends next, also of what yields."""
        spans = [span for entry in self._firm.entries().values() for span in entry]
        spans += [span for _, runs in self._yielding.values() for span in runs]
        edges = (edge for span in spans for edge in (span.start_s, span.end_s))
        return min((edge for edge in edges if edge > self.now_s), default=FOREVER)

    def _plan(self, without: frozenset[EntryKey]) -> None:
        if not self._yielding:
            self.until_s = {}
            return
        groups: dict[Group, list[EntryKey]] = {}
        since: dict[Group, float] = {}
        ranks: dict[KeyId, int] = {}
        for key, (yields, _) in self._yielding.items():
            self._table.reserve(key, self._firm.spans(key))
            if key in without:
                continue
            groups.setdefault(yields.group, []).append(key)
            since[yields.group] = max(yields.since_s, since.get(yields.group, 0.0))
            owner = self.owner(key)
            if owner not in ranks:
                ranks[owner] = self._rank(owner, self.capacity)
        self.until_s = {}
        order = {g: (ranks[self.owner(groups[g][0])], since[g], g) for g in groups}
        for group in sorted(groups, key=order.__getitem__):
            members = groups[group]
            runs = [span for key in members for span in self._yielding[key][1]]
            until_s = FOREVER
            if runs and self.capacity != Quantum():
                until_s = self.room.until(total([s.quantum for s in runs]), self.now_s)
            self.until_s[group] = until_s
            for key in members:
                shorter = tuple(
                    Occupancy(s.start_s, min(s.end_s, until_s), s.quantum)
                    for s in self._yielding[key][1]
                    if min(s.end_s, until_s) > max(s.start_s, self.now_s)
                )
                self._table.reserve(key, self._firm.spans(key) + shorter)

    def _is_met_beside(self, owner: KeyId, spans: tuple[Occupancy, ...]) -> bool:
        """Whether all others still find what they are guaranteed for as long as these spans last."""
        room = self._room_beside(owner, displacing=True)
        free = [room.over(span.start_s, span.end_s) for span in spans]
        return all(each.cpus_milli >= 0 and each.memory_bytes >= 0 for each in free)

    def _room_beside(self, owner: KeyId, displacing: bool) -> Room:
        """The room for firm promises to an owner beside what others are guaranteed and do not have.

        Of what yields, only what the owner's own guarantee needs makes way, unless it is `displacing`.
        """
        taken: dict[KeyId, list[Occupancy]] = {who: [] for who in self._guaranteed}
        for key, spans in self._firm.entries().items():
            taken.get(self.owner(key), []).extend(spans)
        edges = {edge for spans in taken.values() for s in spans for edge in (s.start_s, s.end_s)}
        at_s = sorted(edges.union(self._firm.room.at_s, self._table.room.at_s) - {FOREVER})
        free: list[Quantum] = []
        for moment_s in at_s:
            room, own = self._firm.room.at(moment_s), Quantum()
            for who, most in self._guaranteed.items():
                has = [s.quantum for s in taken[who] if s.start_s <= moment_s < s.end_s]
                missing = _more_than(most, total(has))
                if who == owner:
                    own = missing
                else:
                    room -= missing
            free.append(room if displacing else room.least(self._table.room.at(moment_s) + own))
        return Room(at_s, free)

    def _firm_at(self, owner: KeyId, at_s: float) -> Quantum:
        """What is promised firmly to an owner at that time."""
        return total(
            span.quantum
            for key, spans in self._firm.entries().items()
            if self.owner(key) == owner
            for span in spans
            if span.start_s <= at_s < span.end_s
        )

    def _most(self, key: EntryKey) -> Quantum:
        """The most cpus and memory that an entry has at any time, if it may run at all."""
        yields = self.yields(key)
        if yields is not None and self.until_s.get(yields.group, FOREVER) <= self.now_s:
            return Quantum()
        runs = [span.quantum.running for span in self.spans(key) if span.end_s > self.now_s]
        cpus_milli = max((each.cpus_milli for each in runs), default=0)
        return Quantum(cpus_milli, max((each.memory_bytes for each in runs), default=0))

    def __contains__(self, key: EntryKey) -> bool:
        return key in self._table

    def __len__(self) -> int:
        return len(self._table)

    def check(self) -> None:
        """Asserts reserved + used <= total at every instant, with and without what yields, unless the host
        itself shrank."""
        self._firm.check()
        self._table.check()
        assert len(self._firm) == len(self._table)
        assert all(key in self._firm for key in self._yielding)


def _more_than(most: Quantum, has: Quantum) -> Quantum:
    """The cpus and memory of `most` that `has` is without."""
    cpus_milli = max(0, most.cpus_milli - has.cpus_milli)
    return Quantum(cpus_milli, max(0, most.memory_bytes - has.memory_bytes))
