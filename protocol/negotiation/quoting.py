"""`plan --quote`: a round of quotes whose outcome is kept, so that exactly that can be asked for later."""

from collections.abc import Callable

from protocol.negotiation.authority import Deployment
from protocol.negotiation.placing import Placing, World
from protocol.negotiation.proposal import Proposal, proposed
from protocol.negotiation.request import RequestState
from protocol.placement.choose import Choice
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect
from protocol.terms.ids import RequestId
from protocol.terms.limits import PROPOSAL_S
from protocol.terms.quantities import format_duration

Keep = Callable[[Proposal, float], list[Effect]]
"""Keeps a proposal, on disk."""


class Quoting(Placing):
    """One `plan --quote`."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        world: World,
        dice: Dice,
        keep: Keep,
        now: float,
    ) -> None:
        super().__init__(request, deployment, None, world, dice, now)
        self.kind = "quote"
        self._keep = keep

    def _planned(self, choice: Choice, now: float) -> list[Effect]:
        used = dict.fromkeys(row.peer for row in self.placement)
        offers = tuple(o for peer in used if (o := self._gathering.offer(peer)) is not None)
        proposal = Proposal(
            id=self.id,
            spec=self.deployment.spec,
            site=self.deployment.owner_site,
            made_s=now,
            until_s=now + PROPOSAL_S,
            placement=self.placement,
            offers=proposed(offers, self.deployment.spec),
            start_s=self.start_s,
        )
        self.until_s = proposal.until_s
        lasts = format_duration(PROPOSAL_S)
        line = f"{self.grid} can be made so for {lasts}: `overlayctl up --quote {self.id}`"
        self._finish(RequestState.DONE, [line], now)
        return self._keep(proposal, now)
