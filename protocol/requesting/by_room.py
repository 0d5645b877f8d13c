"""What room makes of an elastic grid, as the attempts to place more of it need it (attempt.py, change.py)."""

from collections.abc import Iterable

import msgspec

from protocol.grid.decision import Certificate
from protocol.grid.record import GridRecord
from protocol.requesting.attempt import Attempt, Opening
from protocol.requesting.queueing import Queueing
from protocol.requesting.steps import (
    AfterHolds,
    AfterQuotes,
    Commit,
    Hold,
    Keep,
    Short,
    TryLater,
)
from protocol.terms.ids import PeerId


class Grown(msgspec.Struct, frozen=True):
    """An elastic grid that this host carries part of."""

    record: GridRecord
    certificate: Certificate
    """That it was decided so."""
    ends_s: float
    """When its lease ends here, Unix seconds."""


class AsMuchAsFits:
    """The policy of growing by itself: what fits is taken, and the rest comes when there is room for it."""

    kind = "grow"
    queueing: Queueing | None = None
    spent = True

    def __init__(self, sure: tuple[PeerId, ...]) -> None:
        """`sure` is asked in any case."""
        self._sure = sure

    def opening(self, claimed: Iterable[PeerId]) -> Opening:
        """Its hosts are asked in any case."""
        return Opening(sure=self._sure)

    def quoted(self, attempt: Attempt, now: float) -> AfterQuotes:
        """Has held what fits; Short if nothing does."""
        choice = attempt.choose(now)
        placement = attempt.planned(choice)
        return Hold(choice, placement) if placement else Short(choice)

    def answered(self, attempt: Attempt, now: float) -> AfterHolds:
        """Takes what is held."""
        stays = attempt.change.stays if attempt.change is not None else {}
        return Commit() if len(attempt.held) > len(stays) else TryLater("others were faster")

    def gathered(self, attempt: Attempt, now: float) -> Commit | Keep:
        """It becomes part of the grid."""
        return Commit()
