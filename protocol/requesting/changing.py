"""Changes of a grid that exists: taking it down, or one workspace out of it.

The change is made in the grid's register, so it is done once a majority of stewards has it, whichever hosts
are away. Hosts that cannot be reached now learn of it from the stewards when they come back. The person is
told which hosts those are. Where too few stewards answer, the hosts stop a grid that is to go down meanwhile
(halting.py).
"""

from protocol.contract.messages import ActReply, Decided, DecidedAck
from protocol.contract.notices import Notice
from protocol.contract.outcomes import ChangeGrid, Outcome, Propose
from protocol.grid.decision import Decision
from protocol.grid.lifecycle import Phase
from protocol.grid.record import GridRecord, GridState, order_part
from protocol.grid.steps import End, Remove, Step
from protocol.requesting.endings import Endings
from protocol.requesting.halting import Halting
from protocol.requesting.request import Request, RequestState
from protocol.requesting.silence import Hearing, Unanswered, majority_silent, without_majority
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import DECIDED_EVERY_S
from protocol.terms.quantities import counted
from protocol.trust.order import Action, CheckedOrder, SignedOrder

_WITHIN_S = 60.0
_TOO_FEW = "too few stewards are heard: its hosts are to stop it meanwhile"


class Changing(Request):
    """One `down` of a grid or `terminate` of a workspace."""

    kind = "down"

    def __init__(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        notice: Notice,
        hearing: Hearing,
        now: float,
        undecided: SignedOrder | None = None,
    ) -> None:
        """`undecided` is the order of a grid of which the stewards decide just now whether it becomes one."""
        super().__init__(request, notice.name, now)
        self.kind = checked.order.action
        self._order, self._signed, self._notice = checked.order, signed, notice
        self._hearing = hearing
        self.grid_id = notice.grid
        self._undecided = undecided
        self._record: GridRecord | None = None
        self._decided: Decided | None = None
        self._unacked: dict[PeerId, None] = {}
        self._busy: dict[PeerId, None] = {}
        self._halting: Halting | None = None
        self._why = ""
        """Why the stewards did not decide, once they did not."""
        self._again_s = now
        self._give_up_s = now + _WITHIN_S
        self._endings = Endings(self.tell)

    def start(self, now: float) -> list[Outcome]:
        """Proposes the change to the stewards."""
        grid, key = self._notice.grid, order_part(self._notice.grid)
        step: Step = End(grid, self._signed, undecided=self._undecided is not None)
        if self._order.action is Action.TERMINATE:
            step = Remove(grid, self._order.workspace, self._signed)
        self.stage = "asking stewards"
        self.tell(
            now, f"{self._order.action}: asking {counted(len(self._notice.stewards), 'steward')}"
        )
        stewards = self._notice.stewards
        return [Propose(ChangeGrid(self.id), key, stewards, step, self.id, self._undecided)]

    def at_once(self, now: float) -> list[Effect]:
        """What need not wait for the stewards: too few of them are heard, so the hosts are told themselves."""
        notice = self._notice
        silent = majority_silent(notice.stewards, self._hearing, now)
        return self._halt(now) if silent and self._can_halt else []

    def settled(self, decision: Decision | None, now: float) -> list[Effect]:
        """The stewards decided."""
        self._halting = None
        record, notice = decision.register.record if decision is not None else None, self._notice
        if decision is None or record is None or record.id != notice.grid:
            if self._undecided:
                lines = [f"{self.grid} was still being placed; that is stopped and nothing is left"]
                self.end(RequestState.DONE, lines, now)
                return []
            said = f"{self.grid} is not a grid any more"
            if decision is None:
                said = f"cannot {self._order.action} {self.grid}: its stewards know of no such grid"
            self.end(RequestState.FAILED, [said], now)
            return []
        self._record, self._decided = record, Decided(decision.certificate)
        self._busy = {
            peer: None
            for name, peer in self._notice.placed
            if self._order.action is Action.DOWN or name == self._order.workspace
        }
        everyone = dict.fromkeys(peer for _, peer in self._notice.placed)
        self._unacked = everyone | dict.fromkeys(record.carriers())
        self.stage = "hosts clear up"
        self.tell(
            now, f"decided, epoch {record.epoch}; {counted(len(self._busy), 'host')} to clear up"
        )
        self._again_s = now + DECIDED_EVERY_S
        return self._announce()

    def unsettled(self, why: str, now: float) -> list[Effect]:
        """No majority of stewards answered. The hosts of a grid that is to be taken down stop it meanwhile."""
        self._why = why
        effects = self._halt(now) if self._halting is None and self._can_halt else []
        self._halted(now)
        return effects

    def replied(self, sender: PeerId, reply: ActReply, now: float) -> None:
        """A host stops the grid under the order itself, or says why not."""
        if self._halting is not None:
            self._halting.replied(sender, reply)
            self._halted(now)

    def acknowledged(self, sender: PeerId, ack: DecidedAck) -> None:
        """A host has the newest epoch on disk."""
        record = self._record
        if record is not None and ack.grid == record.id and ack.epoch >= record.epoch:
            self._unacked.pop(sender, None)

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> None:
        """A host tells what is left of the grid there."""
        if self._record is None or notice.grid != self._record.id or sender not in self._busy:
            return
        left = [s for s in notice.mine if s.phase is not Phase.GONE]
        if self._order.action is Action.TERMINATE:
            left = [s for s in left if s.workspace == self._order.workspace]
        elif notice.state is not GridState.DOWN:
            return
        if until_s := self._endings.heard(left, now):
            self._give_up_s = max(self._give_up_s, until_s + _WITHIN_S)
        if left:
            return
        del self._busy[sender]
        if self._busy:
            self.tell(now, f"{counted(len(self._busy), 'host')} still to clear up")
        self._finish(now)

    def tick(self, now: float) -> list[Effect]:
        """Tells hosts again, and ends the request when all that can be reached are done."""
        if self._halting is not None and now >= self._again_s:
            self._again_s = self._halting.next_s(now)
            self._halted(now)
        if self._record is None or now < self._again_s:
            return []
        self._again_s = now + DECIDED_EVERY_S
        self._finish(now)
        return self._announce() if self.running else []

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        waits = self._record is not None or (self._halting is not None and self._why)
        return Deadline(self._again_s, self.kind) if waits else None

    @property
    def _can_halt(self) -> bool:
        return self._order.action is Action.DOWN and self._undecided is None

    def _halt(self, now: float) -> list[Effect]:
        self._halting = Halting(self.id, self._signed, self._notice, self._hearing, now)
        self._again_s = self._halting.next_s(now)
        self.stage = "hosts stop it"
        self.tell(now, _TOO_FEW)
        return self._halting.start()

    def _halted(self, now: float) -> None:
        """Ends the request once the stewards did not answer and the hosts did, or had their time."""
        halting = self._halting
        if not self._why or (halting is not None and not halting.over(now)):
            return
        if halting is not None and (lines := halting.answer(now)):
            self.end(RequestState.DONE, lines, now)
            return
        lines = [f"cannot {self._order.action} {self.grid} now: {self._why}"]
        lines += halting.refusals() if halting is not None else []
        lines += without_majority(self._notice.stewards, self._hearing, now)
        self.end(RequestState.FAILED, lines, now)

    def _announce(self) -> list[Effect]:
        assert self._decided is not None
        return [Send(peer, self._decided, self.id) for peer in self._unacked]

    def _finish(self, now: float) -> None:
        waiting = [peer for peer in self._busy if self._hearing.silence(peer, now) is None]
        if waiting and now < self._give_up_s:
            return
        what = f"{self.grid}/{self._order.workspace}" if self._order.workspace else self.grid
        lines = [f"{what} is gone"]
        if self._busy:
            away = Unanswered(self.grid, self._notice.placed, self._busy, self._hearing, now)
            them, they = ("it", "it is") if len(self._busy) == 1 else ("them", "they are")
            lines = [
                f"{what} is going; {away.who()}",
                f"  what is left on {them} is cleared when {they} back",
            ]
        self.end(RequestState.DONE, lines, now)
