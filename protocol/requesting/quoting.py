"""Plans that are kept, so that exactly that can be ordered: `plan --quote` and `plan --hold`.

A quote binds nobody. A held plan is made of real promises, asked for under an order that lets hosts hold and no
more. So nobody who has it, this peer included, can make a grid of it without its owner's `up`.
"""

from collections.abc import Iterable

from protocol.contract.authority import Deployment
from protocol.placement.choose import Choice
from protocol.requesting.attempt import Attempt, Opening
from protocol.requesting.policies import refilled, suffices
from protocol.requesting.proposal import Proposal, proposed
from protocol.requesting.request import RequestState
from protocol.requesting.steps import AfterHolds, AfterQuotes, Hold, Keep, Short
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import PROPOSAL_S
from protocol.terms.quantities import format_duration


class Quoting:
    """The policy of one `plan --quote`, or, if it `holds`, of one `plan --hold`."""

    queueing = None
    spent = True

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        *,
        holds: bool,
        sure: tuple[PeerId, ...] = (),
    ) -> None:
        """`sure` are hosts that are asked in any case."""
        self._request, self._deployment, self._holds = request, deployment, holds
        self._sure = sure
        self._held_s = 0.0
        """When hosts were asked to hold it, Unix seconds."""

    @property
    def kind(self) -> str:
        """What people call such a request."""
        return "hold" if self._holds else "quote"

    def opening(self, claimed: Iterable[PeerId]) -> Opening:
        """How an attempt begins: as any other does."""
        return Opening(sure=(*claimed, *self._sure))

    def quoted(self, attempt: Attempt, now: float) -> AfterQuotes:
        """Every host has given its quote. If the grid fits, that is what is kept, or is held first."""
        choice = attempt.choose(now)
        if not choice.enough:
            return Short(choice)
        if self._holds:
            if not attempt.rounds:
                self._held_s = now
            return Hold(choice, attempt.planned(choice))
        return self._kept(attempt, choice, now)

    def _kept(self, attempt: Attempt, choice: Choice, now: float) -> Keep:
        """The quote."""
        name, lasts = self._deployment.name, format_duration(PROPOSAL_S)
        done = "made" if attempt.change is None else "changed"
        line = f"{name} can be {done} so for {lasts}: `overlayctl up --quote {self._request}`"
        proposal = self._proposal(attempt, choice, now, now + PROPOSAL_S)
        return Keep(proposal, RequestState.DONE, line)

    def answered(self, attempt: Attempt, now: float) -> AfterHolds:
        """Keeps it when all is held, or enough is after the last round."""
        return self.gathered(attempt, now) if suffices(attempt) else refilled(attempt)

    def gathered(self, attempt: Attempt, now: float) -> Keep:
        """Keeps it: what was asked for is held, if anything was."""
        if not self._holds:
            return self._kept(attempt, Choice(attempt.held), now)
        until_s = (self._held_s or now) + self._deployment.hold_s
        left, name = format_duration(round(until_s - now)), self._deployment.name
        what = name if attempt.change is None else f"the change of {name}"
        line = f"{what} is held for {left}: `overlayctl up --quote {self._request}` makes it"
        proposal = self._proposal(attempt, Choice(attempt.held), now, until_s)
        return Keep(proposal, RequestState.HELD, line)

    def _proposal(self, attempt: Attempt, choice: Choice, now: float, until_s: float) -> Proposal:
        deployment, placement = self._deployment, attempt.planned(choice)
        grown, change = attempt.grown(choice), attempt.change
        used = dict.fromkeys(row.peer for row in (*placement, *grown))
        offers = tuple(o for peer in used if (o := attempt.offer(peer)) is not None)
        return Proposal(
            id=self._request,
            spec=deployment.spec,
            site=deployment.owner_site,
            made_s=now,
            until_s=until_s,
            placement=placement,
            offers=proposed(offers, deployment.spec),
            start_s=attempt.start_s,
            held=attempt.grid if self._holds else "",
            key=deployment.key if self._holds else "",
            change=change.record.id if change is not None else GridId(""),
            epoch=change.record.epoch if change is not None else 0,
            without=change.without if change is not None else (),
            grown=grown,
        )
