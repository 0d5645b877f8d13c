"""Plans that are kept, so that exactly that can be ordered: `plan --quote` and `plan --hold`.

A quote binds nobody. A held plan is real promises, asked for under an order that lets hosts hold and no more:
so whoever has it, also this peer, can make no grid of it without its owner's `up`.
"""

from protocol.placement.choose import Choice
from protocol.requesting.placing import Answer, Placing
from protocol.requesting.proposal import Proposal, proposed
from protocol.requesting.request import RequestState
from protocol.terms.effects import Effect
from protocol.terms.limits import PROPOSAL_S
from protocol.terms.quantities import format_duration
from protocol.trust.order import SignedOrder


class Quoting(Placing):
    """One `plan --quote`, or, with an order to hold, one `plan --hold`."""

    kinds = ("quote", "hold")
    _held_s = 0.0
    """When its holds were asked for."""

    def _planned(self, choice: Choice, now: float) -> list[Effect]:
        """Everybody has spoken, and it fits."""
        self.until_s = now + PROPOSAL_S
        lasts = format_duration(PROPOSAL_S)
        line = f"{self.grid} can be made so for {lasts}: `overlayctl up --quote {self.id}`"
        self._finish(RequestState.DONE, [line], now)
        return self._surroundings.keep(self._proposal(now))

    def _hold(self, choice: Choice, order: SignedOrder, now: float) -> Answer:
        if not self._attempt.rounds:
            self._held_s = now
        return super()._hold(choice, order, now)

    def _commit(self, now: float) -> Answer:
        """All of it is held: that is what was asked."""
        held = self._attempt.held
        self.placement = tuple(row for row in self.placement if row.workspace in held)
        self.until_s = self._held_s + self.deployment.hold_s
        left = format_duration(round(self.until_s - now))
        line = f"{self.grid} is held for {left}: `overlayctl up --quote {self.id}` makes it"
        self._finish(RequestState.HELD, [line], now)
        return self._surroundings.keep(self._proposal(now)), []

    def _proposal(self, now: float) -> Proposal:
        used = dict.fromkeys(row.peer for row in self.placement)
        offers = tuple(o for peer in used if (o := self._attempt.offer(peer)) is not None)
        return Proposal(
            id=self.id,
            spec=self.deployment.spec,
            site=self.deployment.owner_site,
            made_s=now,
            until_s=self.until_s,
            placement=self.placement,
            offers=proposed(offers, self.deployment.spec),
            start_s=self.start_s,
            held=self.grid_id if self.order is not None else "",
            key=self.deployment.key if self.order is not None else "",
        )
