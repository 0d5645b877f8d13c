"""Quotes and held plans that this peer keeps for people: on disk, bounded in number, each for its time.

Hosts let a held plan go by themselves when its time is up. So nothing is held longer, whatever becomes of this
peer, or of a release on its way. What is on disk here only lets people take a plan up after a restart.
"""

from protocol.contract.outcomes import Answer
from protocol.grid.record import GridRecord
from protocol.requesting.applying import Applying
from protocol.requesting.placing import Placing
from protocol.requesting.proposal import TABLE, Proposal, ProposalNotSaved, release
from protocol.requesting.request import RequestState, RequestView
from protocol.requesting.requests import Requests, answered
from protocol.terms.effects import Deadline, Effect, Persist, Row, Untidied
from protocol.terms.ids import RequestId
from protocol.terms.limits import PROPOSALS_KEPT
from protocol.wire.codec import Malformed, decode, encode

_OVER = ("its time is up: nothing is held any more", "  would work: `overlayctl plan` again")


class Quotes:
    """The quotes and held plans whose time is not up."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._kept: dict[RequestId, Proposal] = {}
        self._taken: dict[RequestId, RequestId] = {}
        """Held plans that are being taken up, each with the request that does so."""
        self._void: dict[RequestId, int] = {}
        """Held plans of changes of grids that have changed otherwise, each with the epoch of its grid."""

    def resume(self, rows: dict[str, bytes], now: float) -> list[Effect]:
        """Takes in what was quoted in an earlier life. It still stands; how old it is shows when it is used."""
        effects: list[Effect] = []
        for key in sorted(rows):
            try:
                proposal = decode(rows[key], Proposal)
            except Malformed:
                # Another build wrote it. It was good for minutes only, and hosts let go by themselves.
                effects.append(Persist((Row(TABLE, key, None),), Untidied()))
                continue
            self._kept[proposal.id] = proposal
            self._requests.refused(_view(proposal))
        return effects + self.tick(now)

    def get(self, quote: RequestId) -> Proposal | None:
        """The proposal with that id, if it can be taken up; else None."""
        return self._kept.get(quote)

    def all(self) -> list[Proposal]:
        """Every proposal that can be taken up, the oldest first."""
        return sorted(self._kept.values(), key=lambda proposal: (proposal.made_s, proposal.id))

    def holding(self, key: str) -> Proposal | None:
        """The held plan of that owner and name; None if there is none."""
        return next((p for p in self._kept.values() if p.held and p.key == key), None)

    @property
    def full(self) -> bool:
        """Whether this peer takes no more plans that are held."""
        return sum(bool(p.held) for p in self._kept.values()) >= PROPOSALS_KEPT

    def keep(self, proposal: Proposal) -> list[Effect]:
        """Keeps one more. If that is too many, the oldest of which nothing is held is forgotten."""
        self._kept[proposal.id] = proposal
        row = Row(TABLE, proposal.id, encode(proposal))
        saved: list[Effect] = [Persist((row,), ProposalNotSaved(proposal.id))]
        quotes = [p for p in self.all() if not p.held]
        over = max(0, len(self._kept) - PROPOSALS_KEPT)
        return saved + [effect for old in quotes[:over] for effect in self._forget(old.id)]

    def not_saved(self, event: ProposalNotSaved, now: float) -> Answer:
        """Answers that there is no quote, instead of one that could be lost."""
        proposal = self._kept.pop(event.request, None)
        if proposal is None:
            return [], []
        name, kind = proposal.spec.name, "hold" if proposal.held else "quote"
        lines = (f"cannot keep a plan of {name}: {event.why}",)
        self._requests.refused(answered(event.request, kind, name, lines, now))
        return release(proposal), []

    def cancel(self, quote: RequestId) -> list[Effect]:
        """Lets go of a plan that is wanted no more. One that is being taken up belongs to that request."""
        proposal = self._kept.get(quote)
        if proposal is None or quote in self._taken:
            return []
        lines = ("cancelled; nothing is held",)
        self._requests.revise(quote, RequestState.CANCELLED, lines)
        return release(proposal) + self._forget(quote)

    def taken(self, proposal: Proposal, by: RequestId) -> None:
        """A held plan is being taken up. It ends with that request."""
        if proposal.held:
            self._taken[proposal.id] = by

    def taker(self, quote: RequestId) -> RequestId:
        """The request that takes a held plan up; empty if none does."""
        return self._taken.get(quote, RequestId(""))

    def decided(self, record: GridRecord) -> None:
        """What a grid is now. A plan of a change of what it was can be made no more, so its hosts are told."""
        for quote, proposal in self._kept.items():
            late = proposal.held and proposal.epoch < record.epoch
            if proposal.change == record.id and late and quote not in self._taken:
                self._void[quote] = record.epoch

    def tidy(self) -> list[Effect]:
        """Forgets plans whose requests have used them, or have ended, and those that came to nothing."""
        effects: list[Effect] = []
        for quote, epoch in self._void.items():
            if (void := self._kept.get(quote)) is None:
                continue
            why = f"{void.spec.name} is at epoch {epoch}, and this was for {void.epoch}"
            self._requests.revise(quote, RequestState.DONE, (f"{why}: nothing is held", _OVER[1]))
            effects += release(void) + self._forget(quote)
        self._void = {}
        for quote, by in list(self._taken.items()):
            running = self._requests.running(by)
            taking = running if isinstance(running, Placing | Applying) else None
            made = taking is not None and taking.record is not None
            if taking is not None and taking.running and not made:
                continue
            del self._taken[quote]
            if taking is not None and not taking.spent:
                continue
            proposal = self._kept.get(quote)
            if proposal is None:
                continue
            lines = (f"taken up by request {by}",) if made else ("let go; nothing is held",)
            state = RequestState.DONE if made else RequestState.CANCELLED
            self._requests.revise(quote, state, lines)
            effects += ([] if made else release(proposal)) + self._forget(quote)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Forgets those whose time is up."""
        over = [q for q, p in self._kept.items() if now >= p.until_s and q not in self._taken]
        for quote in over:
            if self._kept[quote].held:
                self._requests.revise(quote, RequestState.DONE, _OVER)
        return [effect for quote in over for effect in self._forget(quote)]

    def next_deadline(self) -> Deadline | None:
        """When the time of the first is up; None if there are none."""
        ends = [p.until_s for q, p in self._kept.items() if q not in self._taken]
        return Deadline(min(ends), "quote") if ends else None

    def _forget(self, quote: RequestId) -> list[Effect]:
        del self._kept[quote]
        return [Persist((Row(TABLE, quote, None),), Untidied())]


def _view(proposal: Proposal) -> RequestView:
    """The request that it was the answer to, as far as that is known after a restart."""
    state = RequestState.HELD if proposal.held else RequestState.DONE
    return RequestView(
        id=proposal.id,
        kind="hold" if proposal.held else "quote",
        grid=proposal.spec.name,
        state=state,
        stage=state,
        started_s=proposal.made_s,
        answer=(f"`overlayctl up --quote {proposal.id}` makes it",),
        story=(),
        placement=proposal.placement,
        start_s=proposal.start_s,
        until_s=proposal.until_s,
        epoch=proposal.epoch,
    )
