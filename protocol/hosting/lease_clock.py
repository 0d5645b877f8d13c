"""What the time means for leases: they begin, warn and end, and what they kept is deleted."""

import msgspec

from protocol.contract.outcomes import Answer, NoticeDue, RoomChanged
from protocol.grid.record import GridState
from protocol.hosting.auditing import Auditing
from protocol.hosting.lease import (
    Lease,
    LeaseStage,
    end_of,
    next_change_s,
    next_warning,
    stage_of,
)
from protocol.hosting.lease_book import LeaseBook
from protocol.terms.effects import Deadline, Note, Realise, earliest
from protocol.terms.quantities import format_duration, format_moment


class LeaseClock:
    """The leases of one host, moved from stage to stage."""

    def __init__(self, book: LeaseBook, auditing: Auditing) -> None:
        self._book, self._auditing = book, auditing

    def enter_stage(self, row: Lease, now: float) -> LeaseStage:
        """Puts a lease in the stage that follows from the time. One that has lapsed is to be taken down."""
        stage = self._book.enter_stage(row, now)
        over = stage is LeaseStage.LAPSED and row.record.state is GridState.UP
        self._auditing.lapsed(row.record.id, now, over=over)
        return stage

    def turn(self, row: Lease, now: float) -> Answer:
        """Moves a lease on to this time: to its next stage, or to a warning. Nothing if neither is due."""
        grid, name = row.record.id, row.record.name
        if stage_of(row, now) is self._book.stage(row):
            return self._warn(row, now)
        stage = self.enter_stage(row, now)
        self._book.bookings.enter(row)
        match stage:
            case LeaseStage.CURRENT:
                until = f"until {format_moment(row.lease_until_s)}"
                note = Note("lease.started", name, until, grid)
            case LeaseStage.OVER:
                note = Note("lease.ended", name, end_of(row), grid)
            case _:
                note = Note("lease.lapsed", name, "what was kept of it is deleted", grid)
        return [note, Realise(grid, grid)], [NoticeDue(grid), RoomChanged()]

    def next_deadline(self) -> Deadline | None:
        """When the first lease changes its stage, or warns; None if none will."""
        changes = (
            Deadline(at_s, "lease")
            for row in self._book.rows()
            if (at_s := next_change_s(row, self._book.stage(row))) is not None
        )
        return earliest(*changes)

    def _warn(self, row: Lease, now: float) -> Answer:
        grid, warning_s = row.record.id, next_warning(row)
        runs = self._book.stage(row) is LeaseStage.CURRENT and not row.stopped_s
        if not runs or not warning_s or now < row.lease_until_s - warning_s:
            return [], []
        row = msgspec.structs.replace(row, warned_s=warning_s)
        left = format_duration(round(row.lease_until_s - now))
        text = f"ends in {left}, then {end_of(row)}"
        note = Note("lease.warning", row.record.name, text, grid)
        return [self._book.change(row, books=False), note], [NoticeDue(grid)]
