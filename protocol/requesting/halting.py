"""`down` where too few stewards answer: the hosts that hear it stop the grid, under its owner's own order.

Only the stewards can end a grid, and a site that is cut off has too few of them. But the order is its owner's,
and authority travels with it. So it goes to the hosts themselves. Each that takes it on stops its guests, keeps
their volumes and the record, and proposes the end to the stewards until they have decided it
(hosting/auditing.py).
"""

from protocol.contract.messages import Act, ActReply
from protocol.contract.notices import Notice
from protocol.grid.decision import majority
from protocol.grid.problem import listed
from protocol.requesting.silence import Hearing, Unanswered, without_majority
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S, SILENT_WITHIN_S
from protocol.trust.order import SignedOrder


class Halting:
    """One `down` on its way to the hosts of a grid."""

    def __init__(
        self, request: RequestId, signed: SignedOrder, notice: Notice, hearing: Hearing, now: float
    ) -> None:
        self._request, self._signed, self._notice, self._hearing = request, signed, notice, hearing
        self._placed = notice.placed
        self._unanswered = dict.fromkeys(peer for _, peer in self._placed)
        self._taken: dict[PeerId, None] = {}
        self._refused: dict[PeerId, str] = {}
        self._soon_s, self._give_up_s = now + SILENT_WITHIN_S, now + ACT_WITHIN_S

    def start(self) -> list[Effect]:
        """Gives every host of the grid the order."""
        act = Act(self._request, self._notice.grid, self._signed)
        return [Send(peer, act, self._request) for peer in self._unanswered]

    def replied(self, sender: PeerId, reply: ActReply) -> None:
        """A host took it on, which is on its disk, or says why not."""
        if sender not in self._unanswered:
            return
        del self._unanswered[sender]
        if reply.problem:
            self._refused[sender] = reply.problem
        else:
            self._taken[sender] = None

    def over(self, now: float) -> bool:
        """Whether every host has answered, or has had its time."""
        if not self._unanswered or now >= self._give_up_s:
            return True
        return now >= self._soon_s and self._away(now).silent

    def next_s(self, now: float) -> float:
        """When to look again, Unix seconds."""
        return self._soon_s if now < self._soon_s else self._give_up_s

    def answer(self, now: float) -> list[str]:
        """Lines for people: where it is stopped, and what its end waits for. Empty if no host took it on."""
        if not self._taken:
            return []
        notice, hosts = self._notice, listed([self._hearing.name(peer) for peer in self._taken])
        if not notice.decision:
            return self._of_older_build(hosts, now)
        lines = [
            f"{notice.name} is stopped on {hosts}; its end waits for {majority(notice.stewards)} of "
            f"{len(notice.stewards)} stewards",
            *without_majority(notice.stewards, self._hearing, now)[:-1],
            "  its volumes are kept until then; nothing more is to be done",
        ]
        if self._unanswered:
            lines.append(f"  {self._away(now).who()}; it is cleared there when they are decided")
        lines += self.refusals()
        return lines

    def _of_older_build(self, hosts: str, now: float) -> list[str]:
        """The same of a grid whose order names no stewards: each host ends its part by the order alone."""
        many = len(self._taken) > 1
        which = "each of which ends its part" if many else "which ends it by itself"
        lines = [f"{self._notice.name} is stopped on {hosts}, {which}: an older build made it"]
        if self._unanswered:
            again = "give the same order again when it is back"
            if len(self._unanswered) > 1:
                again = "give the same order again when they are back"
            lines.append(f"  {self._away(now).who()}; {again}")
        return lines + self.refusals()

    def refusals(self) -> list[str]:
        """Lines for people: which hosts did not take it on."""
        return [f"  host {self._hearing.name(peer)}: {why}" for peer, why in self._refused.items()]

    def _away(self, now: float) -> Unanswered:
        return Unanswered(self._notice.name, self._placed, self._unanswered, self._hearing, now)
