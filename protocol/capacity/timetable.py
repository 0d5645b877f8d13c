"""The timetable: what a host has promised, to whom, and from when until when.

Holds, leases, reservations and kept disks are entries alike: a promise is a promise. An entry is a few
spans of a quantum. At every instant, now or later, reserved + used never passes the total. Backfill
needs no rule of its own: a run that ends before a reservation begins simply fits.

An entry that is added or taken back touches the steps it covers. A question is a binary search and a walk
over the steps asked about. `forget` drops the past.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.capacity.room import FOREVER, Room

EntryKey = tuple[str, str]
"""(grid id, workspace name)."""


class Occupancy(msgspec.Struct, frozen=True, array_like=True):
    """A quantum from `start_s` until `end_s` (which is not part of it), seconds of Unix time."""

    start_s: float
    end_s: float
    quantum: Quantum


class Window(msgspec.Struct, frozen=True, array_like=True):
    """The time of a lease on a host: busy from start to end; its disk is kept until `kept_until_s`."""

    start_s: float
    end_s: float
    kept_until_s: float


ALWAYS = Window(-FOREVER, FOREVER, FOREVER)


def lease_spans(quantum: Quantum, window: Window) -> tuple[Occupancy, ...]:
    """What a lease takes: everything while it runs, then the disk until its state is deleted."""
    runs = Occupancy(window.start_s, window.end_s, quantum)
    if window.kept_until_s <= window.end_s or not quantum.disk_bytes:
        return (runs,)
    return (runs, Occupancy(window.end_s, window.kept_until_s, quantum.kept))


class _Judged(NamedTuple):
    """All that `Timetable.check` reads, as it was when it last found no fault."""

    capacity: Quantum
    entries: dict[EntryKey, tuple[Occupancy, ...]]
    at_s: list[float]
    free: list[Quantum]
    shrunk: bool
    from_s: float
    """The horizon. Until the first edge after it, it says nothing new of what is promised."""
    until_s: float


class Timetable:
    """One host's promises over time."""

    def __init__(self, capacity: Quantum) -> None:
        self._capacity = capacity
        self._entries: dict[EntryKey, tuple[Occupancy, ...]] = {}
        self.room = Room([-FOREVER], [capacity])
        """What is not promised. Others only read it."""
        self._horizon_s = -FOREVER
        self._shrunk = False
        self._judged: _Judged | None = None

    @property
    def capacity(self) -> Quantum:
        """What the host has in all."""
        return self._capacity

    def free_at(self, at_s: float) -> Quantum:
        """What is not promised at that instant."""
        return self.room.at(at_s)

    def free_over(self, start_s: float, end_s: float) -> Quantum:
        """What is not promised at any instant from start to end."""
        return self.room.over(start_s, end_s)

    def earliest(
        self,
        quantum: Quantum,
        duration_s: float,
        after_s: float,
        before_s: float = FOREVER,
        keep_s: float = 0.0,
    ) -> float | None:
        """When a quantum first fits; see Room.earliest."""
        return self.room.earliest(quantum, duration_s, after_s, before_s, keep_s)

    def resize(self, capacity: Quantum) -> None:
        """Takes the capacity of a new probe. Promises stay, even beyond the new total."""
        more = capacity - self._capacity
        self._capacity = capacity
        self.room.free = [free + more for free in self.room.free]
        self._shrunk = not all(Quantum().fits(free) for free in self.room.free)

    def spans(self, key: EntryKey) -> tuple[Occupancy, ...]:
        """What is promised to an entry; empty if there is none."""
        return self._entries.get(key, ())

    def entries(self) -> dict[EntryKey, tuple[Occupancy, ...]]:
        """Everything promised. Read it only."""
        return self._entries

    def reserve(self, key: EntryKey, spans: tuple[Occupancy, ...]) -> None:
        """Promises `spans` in place of what was promised to that entry, which so can grow and shrink.

        The caller has asked whether they fit.
        """
        self.release(key)
        self._entries[key] = spans
        for span in spans:
            self._take(span, Quantum() - span.quantum)

    def release(self, key: EntryKey) -> None:
        """Takes a promise back. It is no error if there is none."""
        for span in self._entries.pop(key, ()):
            self._take(span, span.quantum)

    def fits(self, key: EntryKey, spans: tuple[Occupancy, ...]) -> bool:
        """Whether `spans` could be promised in place of what that entry has."""
        old = self.spans(key)
        listed = key in self._entries
        self.reserve(key, spans)
        edges = [edge for span in spans for edge in (span.start_s, span.end_s)]
        least = self.free_over(min(edges), max(edges)) if edges else Quantum()
        self.release(key)
        if listed:
            self.reserve(key, old)
        return Quantum().fits(least)

    def forget(self, before_s: float) -> None:
        """Forgets what was promised before then: nobody asks about it again."""
        room, first = self.room, bisect_right(self.room.at_s, before_s) - 1
        if first > 0:
            del room.at_s[1 : first + 1]
            del room.free[:first]
        self._horizon_s = max(self._horizon_s, before_s)

    def __contains__(self, key: EntryKey) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def check(self) -> None:
        """Asserts reserved + used <= total at every instant (unless the host itself shrank), and that the
        steps are the sum of the entries.

        It is called after every step of a host, and few steps promise anything. What is as it was when it
        was right is right.
        """
        if self._judged is not None and self._is_as(self._judged):
            return
        changes: dict[float, Quantum] = {}
        for spans in self._entries.values():
            for span in spans:
                if span.end_s > max(span.start_s, self._horizon_s):
                    start_s = span.start_s if span.start_s > self._horizon_s else -FOREVER
                    changes[start_s] = changes.get(start_s, Quantum()) - span.quantum
                    changes[span.end_s] = changes.get(span.end_s, Quantum()) + span.quantum
        changes.pop(FOREVER, None)
        free = self._capacity + changes.pop(-FOREVER, Quantum())
        assert self.room.at(self._horizon_s) == free, (self.room.at(self._horizon_s), free)
        for at_s in sorted(changes):
            free = free + changes[at_s]
            assert self.room.at(at_s) == free, (at_s, self.room.at(at_s), free)
        assert len(self.room.at_s) == len(self.room.free) <= len(changes) + 1
        assert self._shrunk or all(Quantum().fits(f) for f in self.room.free), self.room.free
        self._judged = self._copied()

    # -- parts

    def _is_as(self, judged: _Judged) -> bool:
        """Whether everything is as it was then, for all that `check` says of it."""
        return (
            judged.from_s <= self._horizon_s < judged.until_s
            and self._shrunk == judged.shrunk
            and self._entries == judged.entries
            and self.room.at_s == judged.at_s
            and self.room.free == judged.free
            and self._capacity == judged.capacity
        )

    def _copied(self) -> _Judged:
        spans = [span for entry in self._entries.values() for span in entry]
        edges = [at_s for span in spans for at_s in (span.start_s, span.end_s)] + self.room.at_s
        return _Judged(
            self._capacity,
            self._entries.copy(),
            self.room.at_s.copy(),
            self.room.free.copy(),
            self._shrunk,
            self._horizon_s,
            min((at_s for at_s in edges if at_s > self._horizon_s), default=FOREVER),
        )

    def _take(self, span: Occupancy, more: Quantum) -> None:
        """Adds to what is free over a span."""
        start_s = span.start_s if span.start_s > self._horizon_s else -FOREVER
        if span.end_s <= max(start_s, self._horizon_s) or span.end_s <= span.start_s:
            return
        first, last = self._edge(start_s), self._edge(span.end_s)
        free = self.room.free
        for i in range(first, last):
            free[i] = free[i] + more
        for i in (last, first):
            if 0 < i < len(free) and free[i] == free[i - 1]:
                del self.room.at_s[i], free[i]

    def _edge(self, at_s: float) -> int:
        """The index of the step that begins at that instant, which is made if need be."""
        room = self.room
        if at_s == FOREVER:
            return len(room.at_s)
        i = bisect_left(room.at_s, at_s)
        if i == len(room.at_s) or room.at_s[i] != at_s:
            room.at_s.insert(i, at_s)
            room.free.insert(i, room.free[i - 1])
        return i
