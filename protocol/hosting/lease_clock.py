"""What the time means for leases: they begin, warn and end, and what they kept is deleted.

A lease ends by this host's clock only while that clock counts (membership/clocks.py). Where it does not,
leases still begin, and nothing ends: each that would have ended says what its end waits for. When the clock
counts again, what is over by it ends.
"""

from collections.abc import Callable

import msgspec

from protocol.contract.outcomes import Answer, NoticeDue, RoomChanged
from protocol.grid.lifecycle import Power
from protocol.grid.record import GridState
from protocol.hosting.auditing import Auditing
from protocol.hosting.lease import (
    Lease,
    LeaseStage,
    end_of,
    is_over,
    is_past,
    next_change_s,
    next_warning,
    stage_of,
)
from protocol.hosting.lease_book import LeaseBook
from protocol.membership.clocks import SURE, ClockView
from protocol.terms.effects import Deadline, Note, Realise, soonest
from protocol.terms.ids import GridId
from protocol.terms.limits import FOUND_OVER_S
from protocol.terms.quantities import format_duration, format_moment


def sure() -> ClockView:
    """The clock of a host without a network: it counts."""
    return SURE


class LeaseClock:
    """The leases of one host, moved from stage to stage."""

    def __init__(
        self, book: LeaseBook, auditing: Auditing, clock: Callable[[], ClockView] = sure
    ) -> None:
        """`clock` answers what is to be thought of this host's clock now."""
        self._book, self._auditing, self._clock = book, auditing, clock
        self._waits: dict[GridId, ClockView] = {}
        """Leases that would have ended by a clock that does not count, and what was told of it."""
        self._found_s: dict[GridId, float] = {}
        """Until when leases are left that were found over at the start, where nobody else can tell the time."""

    def counts(self) -> bool:
        """Whether this host's clock ends leases now."""
        return not self._clock().doubt

    def doubt(self) -> str:
        """Why that is doubtful for others to hear: neighbours' clocks are apart; empty if they are not."""
        clock = self._clock()
        return clock.doubt if clock.apart else ""

    def waits(self, grid: GridId) -> str:
        """What the end of a lease waits for, for people; empty if it is not due, or waits for nothing."""
        clock = self._waits.get(grid)
        if (until_s := self._found_s.get(grid)) is not None:
            left = f"it was over when this host started, and ends at {format_moment(until_s)}"
            return f"{left}: no other peer is known that could tell whether the clock is right"
        if clock is None:
            return ""
        return f"over by this host's clock, and ends when clocks agree: {clock.doubt}"

    def agreed_s(self, now: float) -> float | None:
        """The time by this host's clock, or if that does not count by the one that most others have; None if
        neither is known."""
        theirs_s = self._clock().theirs_s
        return now + theirs_s if theirs_s is not None else None

    def past(self, kept_until_s: float, now: float) -> bool:
        """Whether what was kept until then may be gone, by the agreed time."""
        agreed_s = self.agreed_s(now)
        return agreed_s is not None and is_past(kept_until_s, agreed_s)

    def found(self, row: Lease, now: float) -> None:
        """Puts a lease that is on disk at the start in its stage."""
        if self._clock().alone and is_over(stage_of(row, now)):
            self._found_s[row.record.id] = now + FOUND_OVER_S
        self.enter_stage(row, now)

    def enter_stage(self, row: Lease, now: float) -> LeaseStage:
        """Puts a lease in the stage that follows from the time. One that has lapsed is to be taken down."""
        sure = self.counts() and now >= self._found_s.get(row.record.id, now)
        stage = self._book.enter_stage(row, now, sure=sure)
        # A host that only keeps volumes of it is asked for no extension, so it cannot know that it is over.
        runs = any(wanted.power is not Power.GONE for wanted in row.wanted)
        over = stage is LeaseStage.LAPSED and row.record.state is GridState.UP and runs
        self._auditing.lapsed(row.record.id, now, over=over)
        if sure or not is_over(stage_of(row, now)):
            self._waits.pop(row.record.id, None)
            self._found_s.pop(row.record.id, None)
        return stage

    def forget(self, grid: GridId) -> None:
        """The grid is cleared, so nothing of it waits any more."""
        self._waits.pop(grid, None)
        self._found_s.pop(grid, None)

    def turn(self, row: Lease, now: float) -> Answer:
        """Moves a lease on to this time: to its next stage, or to a warning. Nothing if neither is due."""
        grid, name = row.record.id, row.record.name
        if not self.counts():
            return self._doubtful(row, now)
        if now < self._found_s.get(grid, now):
            return [], []
        if self._waits.pop(grid, None) and not is_over(stage_of(row, now)):
            self.enter_stage(row, now)
            note = Note("lease.goes-on", name, "its lease is not over, now that clocks agree", grid)
            return [note, Realise(grid, grid)], [NoticeDue(grid)]
        if stage_of(row, now) is self._book.stage(row):
            return self._warn(row, now)
        return self._move(row, now)

    def _move(self, row: Lease, now: float) -> Answer:
        grid, name = row.record.id, row.record.name
        stage = self.enter_stage(row, now)
        self._book.bookings.enter(row)
        match stage:
            case LeaseStage.CURRENT:
                began = f"began, until {format_moment(row.ends_s)}"
                note = Note("lease.started", name, began, grid)
            case LeaseStage.OVER:
                note = Note("lease.ended", name, end_of(row), grid)
            case _:
                note = Note("lease.lapsed", name, "what was kept of it is deleted", grid)
        return [note, Realise(grid, grid)], [NoticeDue(grid), RoomChanged()]

    def _doubtful(self, row: Lease, now: float) -> Answer:
        """What the time means while this clock does not count: a lease begins, and none ends."""
        grid, stage, clock = row.record.id, stage_of(row, now), self._clock()
        if self._book.stage(row) in (stage, LeaseStage.LAPSED):
            return [], []
        if not is_over(stage):
            return self._move(row, now)
        before, self._waits[grid] = self._waits.get(grid), clock
        if before is not None and before.doubt == clock.doubt:
            return [], []
        note = Note("lease.waits", row.record.name, self.waits(grid), grid)
        told = before is not None and before.apart == clock.apart
        return [] if told else [note], [NoticeDue(grid)]

    def next_deadline(self) -> Deadline | None:
        """When the first lease changes its stage, or warns; None if none will."""
        rows = self._book.rows()
        if not rows:
            return None
        counts = self.counts()
        changes = (
            at_s
            for row in rows
            if (at_s := self._next_s(row) if counts else self._next_doubtful_s(row)) is not None
        )
        return soonest(changes, "lease")

    def _next_s(self, row: Lease) -> float | None:
        stage = self._book.stage(row)
        if stage is LeaseStage.UNSURE or row.record.id in self._waits:
            # The clock counts again, so it ends, or goes on, at once.
            return max(row.ends_s, self._found_s.get(row.record.id, 0.0))
        return next_change_s(row, stage)

    def _next_doubtful_s(self, row: Lease) -> float | None:
        """When a lease begins, or is found to wait for its end."""
        if row.record.id in self._waits or row.stopped_s:
            return None
        match self._book.stage(row):
            case LeaseStage.UPCOMING:
                return row.starts_s
            case LeaseStage.CURRENT | LeaseStage.UNSURE:
                return row.ends_s
            case LeaseStage.OVER:
                return row.kept_until_s
            case LeaseStage.LAPSED:
                return None

    def _warn(self, row: Lease, now: float) -> Answer:
        grid, warning_s = row.record.id, next_warning(row)
        runs = self._book.stage(row) is LeaseStage.CURRENT and not row.stopped_s
        if not runs or not warning_s or now < row.ends_s - warning_s:
            return [], []
        row = msgspec.structs.replace(row, warned_s=warning_s)
        left = format_duration(round(row.ends_s - now))
        text = f"ends in {left}, then {end_of(row)}"
        note = Note("lease.warning", row.record.name, text, grid)
        return [self._book.change(row, books=False), note], [NoticeDue(grid)]
