"""The ledger: what a host has promised, as its timetable has it now and asks of it for later.

Holds and leases are entries alike: a promise is a promise. Time is moved on by `advance`; asking for a
window is asking the timetable, which both sides of the negotiation ask (room.py).
"""

from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Room
from protocol.capacity.timetable import (
    ALWAYS,
    EntryKey,
    Span,
    Timetable,
    Window,
    lease_spans,
)

__all__ = ["EntryKey", "Ledger"]


class Ledger:
    """One host's promises."""

    def __init__(self, capacity: Quantum, now: float = 0.0) -> None:
        self._table = Timetable(capacity)
        self.now_s = now

    @property
    def capacity(self) -> Quantum:
        """What there is in all."""
        return self._table.capacity

    @property
    def free(self) -> Quantum:
        """What is not promised at this moment."""
        return self._table.free_at(self.now_s)

    @property
    def room(self) -> Room:
        """What is not promised, now and later."""
        return self._table.room

    def free_for(self, window: Window) -> Quantum:
        """What a lease of that time can have."""
        return self._table.room.for_lease(window.start_s, window.end_s, window.kept_until_s)

    def advance(self, now: float) -> None:
        """Time has come to this; what was before is forgotten."""
        if now > self.now_s:
            self.now_s = now
            self._table.forget(now)

    def resize(self, capacity: Quantum) -> None:
        """The host was probed again; promises stay, even beyond the new total."""
        self._table.resize(capacity)

    def enter(self, key: EntryKey, quantum: Quantum, window: Window = ALWAYS) -> None:
        """Promises; replaces an entry of the same key. Whether it fits is the caller's to have asked."""
        self._table.reserve(key, lease_spans(quantum, window))

    def enter_spans(self, key: EntryKey, spans: tuple[Span, ...]) -> None:
        """The same for what is not the same quantum all the time."""
        self._table.reserve(key, spans)

    def spans(self, key: EntryKey) -> tuple[Span, ...]:
        """What is promised to an entry."""
        return self._table.spans(key)

    def fits(self, key: EntryKey, spans: tuple[Span, ...]) -> bool:
        """Whether that could be promised in place of what the entry has."""
        return self._table.fits(key, spans)

    def strike(self, key: EntryKey) -> None:
        """Takes a promise back; none is fine."""
        self._table.release(key)

    def __contains__(self, key: EntryKey) -> bool:
        return key in self._table

    def __len__(self) -> int:
        return len(self._table)

    def check(self) -> None:
        """Reserved + used <= total at every instant, unless the host itself shrank."""
        self._table.check()
