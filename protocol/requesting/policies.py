"""What differs between requests that place a grid: plans, quotes, plans that are held, an `up` of each kind.

A policy decides and a request acts. The policy sees quotes and holds through the attempt, and answers what is
to be done next, one of the types in steps.py.
"""

from collections.abc import Iterable
from typing import Protocol

from protocol.requesting.attempt import Attempt, Opening
from protocol.requesting.queueing import Queueing
from protocol.requesting.steps import (
    AfterHolds,
    AfterQuotes,
    Commit,
    Hold,
    Keep,
    Refill,
    Short,
    Shown,
    TryLater,
)
from protocol.terms.ids import PeerId
from protocol.terms.limits import ROUNDS
from protocol.terms.refusal import Constraint


class Policy(Protocol):
    """What one kind of request does where requests differ. It may remember what it decided."""

    @property
    def kind(self) -> str:
        """What people call such a request."""

    @property
    def queueing(self) -> Queueing | None:
        """How the request waits when there is no room; None if it fails then."""

    @property
    def spent(self) -> bool:
        """Whether hosts were asked to hold in the place of a held plan, so that nothing is left of that."""

    def opening(self, claimed: Iterable[PeerId]) -> Opening:
        """How an attempt begins. `claimed` has the hosts that keep room for the request."""

    def quoted(self, attempt: Attempt, now: float) -> AfterQuotes:
        """Every host that was asked has given its quote, or had time to."""

    def answered(self, attempt: Attempt, now: float) -> AfterHolds:
        """Every host that was asked to hold has answered, or had time to."""

    def gathered(self, attempt: Attempt, now: float) -> Commit | Keep:
        """The request takes what is held."""


class Plain:
    """A `plan`, which holds nothing, or an `up`."""

    spent = True

    def __init__(
        self, *, holds: bool, queueing: Queueing | None = None, sure: tuple[PeerId, ...] = ()
    ) -> None:
        """`holds` says that there is an order under which hosts can hold, `sure` who is asked in any case."""
        self._holds, self._sure = holds, sure
        self.queueing = queueing

    @property
    def kind(self) -> str:
        """What people call such a request."""
        return "up" if self._holds else "plan"

    def opening(self, claimed: Iterable[PeerId]) -> Opening:
        """Hosts that keep room for the request are asked in any case."""
        return Opening(sure=(*claimed, *self._sure))

    def quoted(self, attempt: Attempt, now: float) -> AfterQuotes:
        """Has the best of what is offered held; a `plan` shows it."""
        choice = attempt.choose(now)
        if not choice.enough:
            return Short(choice)
        placement = attempt.planned(choice)
        return Hold(choice, placement) if self._holds else Shown(placement)

    def answered(self, attempt: Attempt, now: float) -> AfterHolds:
        """Commits when all is held, or enough is after the last round."""
        return self.gathered(attempt, now) if suffices(attempt) else refilled(attempt)

    def gathered(self, attempt: Attempt, now: float) -> Commit | Keep:
        """It becomes a grid."""
        return Commit()


def suffices(attempt: Attempt) -> bool:
    """Whether what is held is taken as it is: all of it, or enough after the last round."""
    if attempt.complete:
        return True
    return not _network_refused(attempt) and attempt.rounds >= ROUNDS and attempt.enough


def refilled(attempt: Attempt) -> Refill | TryLater:
    """What follows refusals. A network id that is taken is taken everywhere; a new attempt has another."""
    if _network_refused(attempt) or attempt.rounds >= ROUNDS:
        return TryLater()
    return Refill()


def _network_refused(attempt: Attempt) -> bool:
    return any(refusal.constraint is Constraint.NETWORK_ID for refusal in attempt.refused)
