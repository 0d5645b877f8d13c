"""`up` of a quote: exactly its placement, or what has moved since it was made.

    quoting > holding > committing > building > done
          \\       \\ a host refused or is silent: everything is let go, nothing is asked elsewhere
           \\ what was quoted cannot be had any more: no hold was asked for

A plan that is held is taken up in the same way. Its room counts as free, and the holds that are asked for take
its place.

The round of quotes asks every host, not only those of the placement, so that a refusal can say where the grid
would fit now. A name, or a network id, that somebody else only holds may pass, so that is tried again.
"""

from collections.abc import Iterable

from protocol.contract.authority import Deployment
from protocol.placement.choose import Choice
from protocol.placement.explain import words
from protocol.placement.fit import Offer, rules_of
from protocol.requesting.attempt import Attempt, Opening
from protocol.requesting.pinned import Pinned, stuck_lines
from protocol.requesting.proposal import (
    Proposal,
    moved,
    moved_at,
    moved_lines,
    placement_words,
    refused_by,
)
from protocol.requesting.request import Moved
from protocol.requesting.steps import AfterHolds, AfterQuotes, Commit, Hold, NotAsQuoted, TryLater
from protocol.terms.ids import GridId, PeerId
from protocol.terms.refusal import Constraint

_PASSES = (Constraint.CONTENDED, Constraint.NETWORK_ID)


class Redeeming:
    """The policy of one `up` of a proposal."""

    kind = "up"
    queueing = None

    def __init__(self, deployment: Deployment, proposal: Proposal) -> None:
        self._deployment, self._proposal = deployment, proposal
        self.spent = False
        """Whether hosts were asked to hold it. Then nothing is left of a plan that they held."""
        self._let_go: dict[PeerId, None] = {}
        """Hosts whose part of the plan was replaced by an attempt of this request."""

    def opening(self, claimed: Iterable[PeerId]) -> Opening:
        """Asks the hosts of the placement, and all others, so that a refusal can say where it would fit now."""
        proposal = self._proposal
        return Opening(
            sure=tuple(proposal.placed.values()),
            everybody=True,
            start_s=proposal.start_s,
            instead=GridId(proposal.held),
        )

    def quoted(self, attempt: Attempt, now: float) -> AfterQuotes:
        """Has the placement held as it was quoted, if that can be had."""
        proposal, placed = self._proposal, self._proposal.placed
        if proposal.held:
            attempt.count_in({n: p for n, p in placed.items() if p not in self._let_go})
        there = {peer: o for peer in placed.values() if (o := attempt.offer(peer)) is not None}
        if found := self._moved(attempt, there):
            return self._not_as_quoted(attempt, found, now)
        self.spent = True
        line = f"as quoted: {placement_words(proposal.rows)}"
        return Hold(Choice(dict(placed)), proposal.placement, line)

    def _moved(self, attempt: Attempt, there: dict[PeerId, Offer]) -> tuple[Moved, ...]:
        """What stands against what was quoted, by what hosts offer now."""
        proposal, change = self._proposal, attempt.change
        placed = proposal.placed.values()
        gone = {p: "is not there any more" for p in placed if not attempt.knows(p)}
        rules = rules_of(self._deployment.spec, attempt.offers)
        if change is None:
            return moved(proposal, self._deployment.workspaces, there, rules, gone)
        pinned = Pinned(change, attempt.held, attempt.offers)
        stuck = {change.fixed[name]: no for name, no in pinned.refused.items()}
        if stuck:
            return tuple(
                moved_at(proposal, p, no.constraint, refused_by(no)) for p, no in stuck.items()
            )
        seated = {*change.stays.values(), *change.fixed.values()}
        beside = tuple(offer for offer in pinned.offers if offer.peer in seated)
        free = tuple(w for w in self._deployment.workspaces if w.name not in change.fixed)
        left = {offer.peer: offer for offer in pinned.offers if offer.peer in there}
        return moved(proposal, free, left, rules, gone, beside)

    def answered(self, attempt: Attempt, now: float) -> AfterHolds:
        """Commits if all is held. What is refused is not asked for elsewhere."""
        refused = attempt.refused
        if not refused:
            return Commit()
        placed = self._proposal.placed
        self._let_go |= dict.fromkeys(p for n, p in attempt.held.items() if n in placed)
        if all(refusal.constraint in _PASSES for refusal in refused):
            return TryLater()
        first = {refusal.host: refusal for refusal in reversed(refused)}
        rows = {row.peer: row for row in self._proposal.rows}
        found = [
            moved_at(self._proposal, peer, no.constraint, refused_by(no))
            for peer, row in rows.items()
            if (no := first.get(row.host)) is not None
        ]
        return self._not_as_quoted(attempt, tuple(found), now)

    def gathered(self, attempt: Attempt, now: float) -> Commit:
        """Commits: what is held becomes a grid."""
        return Commit()

    def _not_as_quoted(self, attempt: Attempt, found: tuple[Moved, ...], now: float) -> NotAsQuoted:
        """The answer that says what moved, and what would work."""
        start_s, released = attempt.start_s, attempt.release()
        fresh = attempt.afresh(now)
        lines = moved_lines(self._proposal, found, now)
        why, placement = None, attempt.planned(fresh) if fresh.enough else ()
        if fresh.enough:
            fits = f": {placement_words(placement)}" if placement else ""
            lines.append(f"  would work: `overlayctl plan --quote` again; it fits now{fits}")
        else:
            why = attempt.explain(fresh, now)
            lines += stuck_lines(attempt.stuck) if attempt.stuck else words(why)
            if not any(line.startswith("  would work") for line in lines):
                lines.append(
                    "  would work: `overlayctl plan --quote` again when there is more room"
                )
        if self._proposal.held and not self.spent:
            lines.append(f"  what can be held of it still is, as {self._proposal.id}")
        return NotAsQuoted(tuple(released), found, tuple(lines), start_s, placement, why)
