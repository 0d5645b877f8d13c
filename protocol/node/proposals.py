"""Quotes this peer keeps for the people who asked for them: on disk, bounded in number, each for its time."""

from protocol.negotiation.outcomes import Outcome
from protocol.negotiation.proposal import TABLE, Proposal, ProposalNotSaved
from protocol.node.requests import Requests, answered
from protocol.terms.effects import Deadline, Effect, Persist, Row, Untidied
from protocol.terms.ids import RequestId
from protocol.terms.limits import PROPOSALS_KEPT
from protocol.wire.codec import decode, encode

Answer = tuple[list[Effect], list[Outcome]]


class Proposals:
    """Those whose time is not up."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._kept: dict[RequestId, Proposal] = {}

    def resume(self, rows: dict[str, bytes], now: float) -> list[Effect]:
        """What was quoted in an earlier life still stands; how old it is shows when it is taken up."""
        for key in sorted(rows):
            proposal = decode(rows[key], Proposal)
            self._kept[proposal.id] = proposal
        return self.tick(now)

    def get(self, quote: RequestId) -> Proposal | None:
        """One that can be taken up."""
        return self._kept.get(quote)

    def all(self) -> list[Proposal]:
        """Every one that can be taken up, oldest first."""
        return sorted(self._kept.values(), key=lambda proposal: (proposal.made_s, proposal.id))

    def keep(self, proposal: Proposal, now: float) -> list[Effect]:
        """One more; beyond the bound the oldest is forgotten."""
        self._kept[proposal.id] = proposal
        row = Row(TABLE, proposal.id, encode(proposal))
        saved: list[Effect] = [Persist((row,), ProposalNotSaved(proposal.id))]
        return saved + [e for old in self.all()[:-PROPOSALS_KEPT] for e in self._forget(old.id)]

    def not_saved(self, event: ProposalNotSaved, now: float) -> Answer:
        """There is no quote that could be lost."""
        proposal = self._kept.pop(event.request, None)
        if proposal is not None:
            lines = (f"cannot keep a quote for {proposal.spec.name}: {event.why}",)
            name = proposal.spec.name
            self._requests.refused(answered(event.request, "quote", name, lines, now))
        return [], []

    def tick(self, now: float) -> list[Effect]:
        """Time is up for some."""
        over = [quote for quote, proposal in self._kept.items() if now >= proposal.until_s]
        return [effect for quote in over for effect in self._forget(quote)]

    def next_deadline(self) -> Deadline | None:
        """When the first one's time is up."""
        ends = [proposal.until_s for proposal in self._kept.values()]
        return Deadline(min(ends), "quote") if ends else None

    def _forget(self, quote: RequestId) -> list[Effect]:
        del self._kept[quote]
        return [Persist((Row(TABLE, quote, None),), Untidied())]
