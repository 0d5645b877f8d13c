"""Attempts to gather promises for one grid, one after another, by the request's policy.

A request (placing.py) tells it what hosts say, and takes the step that follows.
"""

from typing import assert_never

import msgspec

from protocol.contract.authority import Deployment
from protocol.contract.messages import HoldReply, Quote
from protocol.grid.elastic import attempt_at
from protocol.grid.lease import late
from protocol.grid.record import grid_id
from protocol.placement.choose import Choice
from protocol.placement.explain import words
from protocol.placement.suspects import suspects
from protocol.requesting.attempt import Attempt
from protocol.requesting.change import Change
from protocol.requesting.lending import lent
from protocol.requesting.looking import ANOTHER_NAME
from protocol.requesting.pinned import stuck_lines
from protocol.requesting.policies import Policy
from protocol.requesting.request import Planned
from protocol.requesting.steps import (
    AfterHolds,
    AfterQuotes,
    Await,
    Commit,
    Fail,
    Gathered,
    Hold,
    Keep,
    Look,
    NoRoom,
    NotAsQuoted,
    Reason,
    Refill,
    Short,
    Shown,
    TryLater,
)
from protocol.requesting.surroundings import Surroundings
from protocol.requesting.transitions import Happening
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import ATTEMPT_MOST, DETAIL_WITHIN_S, HOLD_REPLY_WITHIN_S, QUOTE_WITHIN_S
from protocol.terms.quantities import counted
from protocol.terms.refusal import PASSING, Constraint, Refusal
from protocol.trust.order import SignedOrder


class Answered(msgspec.Struct, frozen=True):
    """What follows when hosts answered that were asked to hold, or did not answer in time."""

    refused: tuple[Refusal, ...]
    released: tuple[Effect, ...] = ()
    """Releases, to hosts that said nothing and may hold all the same."""
    step: Gathered | None = None
    """What follows; None while others have still to answer."""


class Gathering:
    """The attempts of one request."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        surroundings: Surroundings,
        dice: Dice,
        policy: Policy,
        change: Change | None = None,
    ) -> None:
        """Without an order no host is asked to hold. A `change` says what of the grid is there already."""
        self._change = change
        self._request, self._deployment, self._order = request, deployment, order
        self._surroundings, self._dice, self._policy = surroundings, dice, policy
        self.tries = 0
        self.first = 0
        """The first attempt that was not voted down, as far as the stewards told."""
        self.placement: tuple[Planned, ...] = ()
        """Where it would go, by the last choice."""
        self.start_s = 0.0
        """When its lease would begin then; 0 if that is when it is up."""
        self.warnings: tuple[str, ...] = ()
        """What is to be said of that placement."""
        self.attempt = self._attempt(())

    def again(self) -> None:
        """Prepares another attempt before any host was asked: hosts and stewards may be others by now."""
        self.attempt = self._attempt(())

    def nothing_asked(self, now: float) -> Gathered:
        """What follows of a change for which no host has anything to promise."""
        return self._step(self._policy.gathered(self.attempt, now), now)

    # -- quotes

    def start(self, claimed: tuple[PeerId, ...], now: float) -> Await | Fail:
        """Begins an attempt. `claimed` has the hosts that keep room for it."""
        self.tries += 1
        fault = late(self._deployment.spec, now) if self._change is None else ""
        if fault:
            return Fail((f"cannot make {self._deployment.name}: {fault}",))
        details = self._surroundings.detail(self._deployment.spec.placement.sites, now)
        if not details:
            return self.request_quotes(claimed)
        line = f"asking {counted(len(details), 'site')} for hosts"
        return Await(Happening.SITES_ASKED, tuple(details), DETAIL_WITHIN_S, (line,))

    def request_quotes(self, claimed: tuple[PeerId, ...]) -> Await:
        """Asks hosts for quotes, once it is known which hosts there are."""
        self.attempt = self._attempt(claimed)
        line = f"asking {counted(self.attempt.candidates, 'host')} for quotes"
        requests = tuple(self.attempt.request_quotes())
        return Await(Happening.QUOTES_REQUESTED, requests, QUOTE_WITHIN_S, (line,))

    def quote(self, sender: PeerId, quote: Quote, now: float) -> Gathered | None:
        """A host gives its quote. Answers what follows when all hosts have; None before."""
        return self.choose(now) if self.attempt.quote(sender, quote, now) else None

    def choose(self, now: float) -> Gathered:
        """All hosts have given quotes, or had time to. Answers what follows."""
        return self._step(self._policy.quoted(self.attempt, now), now)

    # -- holds

    def hold_reply(self, sender: PeerId, reply: HoldReply, now: float) -> Answered:
        """A host holds, or says why not."""
        refused = tuple(self.attempt.reply(sender, reply))
        for refusal in refused:
            if refusal.constraint is Constraint.NAME:
                line = f"cannot make {self._deployment.name}: {refusal.detail}"
                return Answered(refused, step=Look(Reason.NAME_IS_UP, (line, ANOTHER_NAME)))
        step = None if self.attempt.waiting else self._answered(now)
        return Answered(refused, step=step)

    def overdue(self, now: float) -> Answered:
        """The hosts that have not answered had time to."""
        released, silent = self.attempt.overdue()
        return Answered(tuple(silent), tuple(released), self._answered(now))

    def _answered(self, now: float) -> Gathered:
        return self._step(self._policy.answered(self.attempt, now), now)

    # -- parts

    def _attempt(self, claimed: tuple[PeerId, ...]) -> Attempt:
        # A plan makes no grid, but may ask the stewards of one, and is told what they say by an id.
        grid, world = GridId(self._request), self._surroundings
        if self._order is not None:
            attempt = min(max(0, self.tries - 1, self.first), ATTEMPT_MOST - 1)
            grid = grid_id(self._order, attempt, f"{world.me}/{self._request}")
        if self._change is not None and self._change.by_room is not None:
            grid = attempt_at(self._change.record, f"{world.me}/{self._request}")
        candidates = world.candidates() if self.tries else ()
        if self._order is not None and candidates:
            candidates = lent(candidates, world.policies(), self._order, self._deployment)
        opening = self._policy.opening(claimed)
        deployment, dice, change = self._deployment, self._dice, self._change
        return Attempt(self._request, deployment, grid, candidates, dice, opening, change)

    def _step(self, decision: AfterQuotes | AfterHolds, now: float) -> Gathered:
        match decision:
            case Short(choice=choice):
                return self._elsewhere(choice, now)
            case Hold():
                return self._hold(decision, now)
            case Refill():
                return self.choose(now)
            case Keep(proposal=proposal):
                self.placement, self.start_s = proposal.placement, proposal.start_s
                self._warn(now)
                return decision
            case Shown(placement=placement):
                self.placement, self.start_s = placement, self.attempt.start_s
                self._warn(now)
                return decision
            case NotAsQuoted(placement=placement, start_s=start_s):
                self.placement, self.start_s = placement, start_s
                return decision
            case TryLater() | Commit():
                return decision
            case _:
                assert_never(decision)

    def _suspects(self, now: float, *, refused: bool = False) -> tuple[str, ...]:
        """Names in the grid that nobody has."""
        known = self._surroundings.known(self._deployment.owner_site, now)
        spec = self._deployment.spec
        return suspects(spec, known, refused=refused) if known is not None else ()

    def _warn(self, now: float) -> None:
        """Notes what is to be said of the placement that was just chosen."""
        less = self.attempt.narrowed(self.placement)
        self.warnings = (*([less] if less else []), *self._suspects(now))

    def _elsewhere(self, choice: Choice, now: float) -> Await | TryLater | NoRoom:
        """What follows when a choice is not enough: others are asked, if there are any.

        If not, the requests that have the room may be only ahead of this one. What will not pass is said at
        once.
        """
        attempt = self.attempt
        self.placement, self.start_s = attempt.planned(choice), attempt.start_s
        if more := attempt.widen():
            line = f"not enough there; asking {counted(len(more), 'more host')}"
            return Await(Happening.QUOTES_REQUESTED, tuple(more), QUOTE_WITHIN_S, (line,))
        if any(refusal.constraint in PASSING for refusal in attempt.refused):
            return TryLater()
        if self._order is not None and attempt.contended():
            return TryLater(f"what is missing is {attempt.ahead}")
        why = attempt.explain(choice, now, self._suspects(now, refused=True))
        lines = words(why)
        if attempt.stuck:
            lines = stuck_lines(attempt.stuck, attempt.instead_of_stuck(why.would_work))
        if silent := attempt.silent():
            lines.append(f"  no answer in time from {', '.join(silent)}")
        return NoRoom(tuple(lines), why)

    def _hold(self, hold: Hold, now: float) -> Gathered:
        assert self._order is not None
        self.placement, self.start_s = hold.placement, self.attempt.start_s
        self._warn(now)
        holds = tuple(self.attempt.hold(hold.choice, self._order, self._surroundings.asked))
        if not self.attempt.waiting:
            return self._step(self._policy.gathered(self.attempt, now), now)
        line = f"round {self.attempt.rounds}: asking {counted(len(holds), 'host')} to hold"
        story = (hold.line, line) if hold.line else (line,)
        return Await(Happening.HOLDS_REQUESTED, holds, HOLD_REPLY_WITHIN_S, story)
