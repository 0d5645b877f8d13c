"""`up` of a quote: exactly its placement, or the word on what moved since it was made.

    quoting > holding > committing > building > done
          \\       \\ a host refused or is silent: everything is let go, nothing is asked elsewhere
           \\ what was quoted cannot be had any more: no hold was asked for

A plan that is held is taken up in the same way: its room counts as free, and the holds that are asked for take
its place.

The round of quotes asks everybody, not the hosts of the placement alone: so who is refused is told where it
would fit now. A name, or a network's id, that somebody else only holds passes: that is tried again.
"""

from collections.abc import Iterable

from protocol.contract.authority import Deployment
from protocol.placement.choose import Choice
from protocol.placement.explain import words
from protocol.placement.fit import rules_of
from protocol.requesting.attempt import Attempt
from protocol.requesting.placing import Answer, Placing
from protocol.requesting.proposal import (
    Proposal,
    moved,
    moved_at,
    moved_lines,
    placement_words,
    refused_by,
)
from protocol.requesting.request import Moved, RequestState
from protocol.requesting.surroundings import Surroundings
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.refusal import Constraint
from protocol.trust.order import SignedOrder

_PASSES = (Constraint.CONTENDED, Constraint.NETWORK_ID)


class Redeeming(Placing):
    """One `up` of a proposal."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder,
        proposal: Proposal,
        surroundings: Surroundings,
        dice: Dice,
        now: float,
    ) -> None:
        self.proposal = proposal
        self.holds_requested = False
        """Whether hosts were asked to hold it: then nothing is left of a plan that they held."""
        self._let_go: dict[PeerId, None] = {}
        """Hosts whose part of the plan an attempt of this request took the place of."""
        super().__init__(request, deployment, order, surroundings, dice, now)

    def _begin_attempt(self) -> Attempt:
        attempt = super()._begin_attempt()
        attempt.start_s = self.proposal.start_s
        attempt.instead = GridId(self.proposal.held)
        return attempt

    def _sure(self) -> Iterable[PeerId]:
        return self.proposal.placed.values()

    def _request_quotes(self, now: float) -> list[Effect]:
        return super()._request_quotes(now) + self._attempt.widen()

    @property
    def spent(self) -> bool:
        """Whether a plan that was held is at its end: it was asked for, or is wanted no more."""
        return self.holds_requested or self.state is RequestState.CANCELLED

    def _choose(self, now: float) -> Answer:
        """Everybody has spoken, or had time to."""
        assert self.order is not None
        attempt, placed = self._attempt, self.proposal.placed
        if self.proposal.held:
            attempt.count_in({n: p for n, p in placed.items() if p not in self._let_go})
        self.start_s = attempt.start_s
        there = {peer: o for peer in placed.values() if (o := attempt.offer(peer)) is not None}
        gone = {p: "is not there any more" for p in placed.values() if not attempt.knows(p)}
        rules = rules_of(self.deployment.spec, attempt.offers)
        found = moved(self.proposal, self.deployment.workspaces, there, rules, gone)
        if found:
            return self._not_as_quoted(found, now), []
        self.placement = self.proposal.placement
        self.tell(now, f"as quoted: {placement_words(self.placement)}")
        self.holds_requested = True
        return self._hold(Choice(dict(placed)), self.order, now)

    def _held_or_refill(self, now: float) -> Answer:
        refused = self._attempt.refused
        if not refused:
            return self._commit(now)
        self._let_go |= dict.fromkeys(self._attempt.held.values())
        if all(refusal.constraint in _PASSES for refusal in refused):
            return self._back_off(now), []
        first = {refusal.host: refusal for refusal in reversed(refused)}
        rows = {row.peer: row for row in self.proposal.placement}
        found = [
            moved_at(self.proposal, peer, no.constraint, refused_by(no))
            for peer, row in rows.items()
            if (no := first.get(row.host)) is not None
        ]
        return self._not_as_quoted(tuple(found), now), []

    def _not_as_quoted(self, found: tuple[Moved, ...], now: float) -> list[Effect]:
        """What moved, and what would work."""
        self.moved = found
        released = self._attempt.release()
        fresh = self._attempt.afresh(now)
        lines = moved_lines(self.proposal, found, now)
        self.placement = self._attempt.planned(fresh) if fresh.enough else ()
        if fresh.enough:
            fits = placement_words(self.placement)
            lines.append(f"  would work: `overlayctl plan --quote` again; it fits now: {fits}")
        else:
            self.why = self._attempt.explain(fresh, now)
            lines += words(self.why)
            if not any(line.startswith("  would work") for line in lines):
                lines.append(
                    "  would work: `overlayctl plan --quote` again when there is more room"
                )
        if self.proposal.held and not self.holds_requested:
            lines.append(f"  what can be held of it still is, as {self.proposal.id}")
        return released + self._fail(lines, now)
