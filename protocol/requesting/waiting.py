"""How a refused request waits: how long it goes on trying, which room hosts keep for it, and what wakes it."""

from collections.abc import Iterable
from math import inf

from protocol.contract.authority import Deployment
from protocol.contract.messages import RoomKept
from protocol.placement.explain import summarise
from protocol.requesting.attempt import Attempt
from protocol.requesting.claiming import Claiming
from protocol.requesting.queueing import Queueing
from protocol.requesting.shortlist import possible
from protocol.requesting.steps import Await, Fail, Once, Paused
from protocol.requesting.surroundings import Surroundings
from protocol.requesting.transitions import Happening
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import BACKOFF_S, CLAIM_TRY_S, REQUEST_S
from protocol.terms.quantities import counted
from protocol.terms.refusal import Refusal
from protocol.trust.order import SignedOrder

_REFUSALS_KEPT = 8


class Waiting:
    """One request between two attempts."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        surroundings: Surroundings,
        dice: Dice,
        queueing: Queueing | None,
        now: float,
    ) -> None:
        """`queueing` says how the request waits for room; None if it does not."""
        self._deployment, self._order = deployment, order
        self._surroundings, self._dice = surroundings, dice
        self.queueing = queueing
        self._claiming = Claiming(request, deployment, now)
        lease = deployment.spec.lease
        self._claims = deployment.commits and not lease.start_s and not lease.before_s
        """Whether room may be kept for it, because it is to begin now and not only to be held."""
        self._tried_s = now
        self._give_up_s = now + REQUEST_S
        self._refused: tuple[Refusal, ...] = ()
        """The last few refusals of the attempts before this one."""

    # -- trying

    def tried(self, now: float) -> None:
        """The request tries now. One that waits for room gets its time anew."""
        self._tried_s = now
        if self.queueing is not None:
            self._give_up_s = now + REQUEST_S
            self.queueing.forget()

    def expired(self, now: float) -> bool:
        """Whether it has waited for room for as long as its order is valid."""
        return self.queueing is not None and now >= self.queueing.until_s

    def try_later(self, attempt: Attempt, tries: int, now: float) -> Paused:
        """Lets go for a moment after so many `tries`, or ends the request if its time would be over then."""
        self._refused = (*self._refused, *attempt.refused)[-_REFUSALS_KEPT:]
        pause_s = self._dice.uniform(0.5, 1.5) * BACKOFF_S * tries
        if now + pause_s >= self._give_up_s:
            head = f"could not hold all of {self._deployment.name} within {REQUEST_S:.0f} s"
            return self.no_room(attempt, (head, *summarise(self._refused)), now)
        released = attempt.release()
        line = f"letting everything go, trying again in {pause_s:.1f} s"
        claims, claimed = self._claim(attempt, now)
        return Await(Happening.LET_GO, (*released, *claims), pause_s, (line, *claimed))

    def no_room(self, attempt: Attempt, lines: tuple[str, ...], now: float) -> Paused:
        """Lets the request wait for room, or fail if it may not. `lines` say why there is none."""
        if (queueing := self.queueing) is None:
            return Fail(lines)
        released = attempt.release()
        claims, claimed = self._claim(attempt, now)
        line = "queued: " + "; ".join(line.strip() for line in lines)
        keepers = len(self._claiming.hosts) if claims else None
        answer = queueing.answer(self._deployment.name, lines, keepers)
        pause_s = queueing.pause_s(self._claiming.from_s, now)
        return Await(Happening.LINED_UP, (*released, *claims), pause_s, (*claimed, line), answer)

    # -- claims

    @property
    def claimed(self) -> tuple[PeerId, ...]:
        """Hosts that were asked to keep room for it."""
        return self._claiming.hosts

    def _claim(self, attempt: Attempt, now: float) -> tuple[list[Effect], tuple[Once, ...]]:
        """Has room kept until it tries again, if it was refused for a while. The first time the story says so.

        Nothing may be held.
        """
        if self._order is None or not self._claims:
            return [], ()
        if self.queueing is not None and not self.queueing.first:
            return [], ()
        if not attempt.short or not self._claiming.due(now):
            return [], ()
        wanted, before = attempt.wanted(), self._claiming.hosts
        hosts = counted(len(wanted), "host")
        line = f"{hosts} asked to keep room as it gets free, before younger requests"
        told = (Once(line),) if wanted and not before else ()
        return self._claiming.claim(self._order, wanted, now), told

    def renew(self, now: float) -> list[Effect]:
        """Renews its claims."""
        return [] if self._order is None else self._claiming.renew(self._order, now)

    @property
    def renew_s(self) -> float:
        """When to renew them, Unix seconds."""
        return self._claiming.renew_s if self._order is not None else inf

    def kept(self, sender: PeerId, message: RoomKept, now: float) -> float:
        """A host tells for how much of the claims there it has room. Answers when to try, Unix seconds."""
        if message.order != self._deployment.order:
            return inf
        self._claiming.heard(sender, message)
        return max(now, self._tried_s + CLAIM_TRY_S) if self._claiming.enough else inf

    def end(self, carriers: Iterable[PeerId] = ()) -> list[Effect]:
        """Lets go of all claims. The `carriers` of its grid are not told, because they know."""
        return self._claiming.end(self._order, carriers)

    # -- best effort

    def woken(self, now: float, here: bool) -> None:
        """Some host tells of more room than before, or this one has other room (`here`)."""
        if self.queueing is not None:
            self.queueing.woken(self._tried_s, now, here)

    def line_up(self, first: bool) -> None:
        """Says whether it is now the oldest request of its owner that waits here."""
        if self.queueing is not None:
            self.queueing.line_up(first, self._tried_s)

    def again(self, attempt: Attempt, due_s: float, now: float) -> bool:
        """Whether it tries now: at `due_s` in any case, and sooner if what it was told is a reason to."""
        queueing = self.queueing
        if queueing is not None and queueing.looks(now):
            if queueing.anyway or self._possible(attempt):
                return True
            queueing.forget()
        return now >= due_s

    def next_look(self) -> Deadline | None:
        """When to look at what it was told; None if nothing was."""
        return self.queueing.next_look() if self.queueing is not None else None

    def _possible(self, attempt: Attempt) -> bool:
        """Whether what hosts tell everybody, and what they keep for this request, may be enough."""
        if self._surroundings.partly():
            return True
        offers = [c.told or attempt.offer(c.peer) for c in self._surroundings.candidates()]
        told = [offer for offer in offers if offer is not None]
        spec, members = self._deployment.spec, self._deployment.workspaces
        return len(told) < len(offers) or possible(spec, members, told, self._claiming.room())
