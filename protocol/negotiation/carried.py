"""What a host has on disk of a grid it carries, and what follows from it and from the time.

    upcoming > current > over > lapsed

A stage follows from the row and the clock, so it is not on disk: a host that was away when a lease
ended finds it over when it is back. What people ordered (`wanted`) stays as it was ordered; what is to be
made of a workspace now is `effective`.
"""

from enum import StrEnum

import msgspec

from protocol.capacity.timetable import Window
from protocol.grid.lease import kept_s
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.record import GridRecord
from protocol.terms.limits import CLEAR_S

UNWARNED = 1e12
"""Longer before the end than any warning."""


class Stage(StrEnum):
    """Where a lease is in time."""

    UPCOMING = "upcoming"
    CURRENT = "current"
    OVER = "over"
    """Ended; what is left is kept."""
    LAPSED = "lapsed"
    """What was left is to be deleted."""


class CarriedRow(msgspec.Struct, frozen=True):
    """What is on disk of a grid this host carries part of."""

    record: GridRecord
    wanted: tuple[Wanted, ...]
    lease_until_s: float
    """When the lease ends by this host's clock."""
    made_s: float
    acted: tuple[tuple[str, float], ...] = ()
    """Orders carried out, and until when they could be replayed."""
    terms: LeaseTerms = LeaseTerms()
    """Of the order, here so that they need not be read again."""
    warned_s: float = UNWARNED
    """The last warning given, as time before the end."""

    @property
    def starts_s(self) -> float:
        """When the lease begins: not later than it was made, but for a reservation."""
        return self.record.start_s or self.made_s

    @property
    def kept_until_s(self) -> float:
        """When what is left is deleted."""
        return self.lease_until_s + kept_s(self.terms)

    @property
    def window(self) -> Window:
        """The time of it in the host's timetable."""
        end_s = self.lease_until_s + CLEAR_S
        return Window(self.starts_s, end_s, max(end_s, self.kept_until_s + CLEAR_S))


def stage_of(row: CarriedRow, now: float) -> Stage:
    """Where the lease is."""
    if now >= row.kept_until_s:
        return Stage.LAPSED
    if now >= row.lease_until_s:
        return Stage.OVER
    return Stage.CURRENT if now >= row.starts_s else Stage.UPCOMING


def next_change_s(row: CarriedRow, stage: Stage) -> float | None:
    """When the next stage begins, or the next warning is due."""
    match stage:
        case Stage.UPCOMING:
            return row.starts_s
        case Stage.CURRENT:
            warning_s = next_warning(row)
            return row.lease_until_s - warning_s if warning_s else row.lease_until_s
        case Stage.OVER:
            return row.kept_until_s
        case Stage.LAPSED:
            return None


def next_warning(row: CarriedRow) -> float:
    """The next warning to give, as seconds before the end; 0 if there is none."""
    return max((w for w in row.terms.warn_s if w < row.warned_s), default=0.0)


def effective(row: CarriedRow, stage: Stage) -> tuple[Wanted, ...]:
    """What is to be made of each workspace now."""
    match stage:
        case Stage.OVER | Stage.LAPSED:
            return tuple(
                w if w.power is Power.GONE else msgspec.structs.replace(w, power=_after(row.terms))
                for w in row.wanted
            )
        case _:
            return row.wanted


def _after(terms: LeaseTerms) -> Power:
    """What workspaces are when their lease is over."""
    assert terms.on_expiry is not OnExpiry.SUSPEND, "not built yet"
    return Power.OFF
