"""Changes of a grid that exists: taking it down, or one workspace out of it.

The change is made in the grid's register, so it is done once a majority of stewards has it, whichever hosts
are away. Hosts that cannot be reached now learn of it from the stewards when they come back. The person is
told which hosts those are. Where too few stewards answer, the hosts stop a grid that is to go down meanwhile
(halting.py).
"""

from protocol.contract.messages import ActReply, Decided, DecidedAck
from protocol.contract.notices import Notice
from protocol.contract.outcomes import ChangeGrid, Outcome, Propose
from protocol.grid.lifecycle import Phase
from protocol.grid.record import (
    Change,
    GridRecord,
    GridState,
    ending,
    order_part,
    read_register,
    register_key,
    removing,
    voiding,
)
from protocol.requesting.endings import Endings
from protocol.requesting.halting import Halting, majority_silent
from protocol.requesting.request import Request, RequestState
from protocol.requesting.silence import Hearing, Unanswered, without_majority
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import DECIDED_EVERY_S
from protocol.terms.quantities import counted
from protocol.trust.order import Action, CheckedOrder, SignedOrder

_WITHIN_S = 60.0
_ANOTHER = "its stewards have another grid of that name"
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
        void_until_s: float = 0.0,
    ) -> None:
        """With `void_until_s` the stewards are deciding just now whether it becomes a grid.

        Until then its `up` could be given again, so no attempt of that may become one.
        """
        super().__init__(request, notice.name, now)
        self.kind = checked.order.action
        self._order, self._signed, self._notice = checked.order, signed, notice
        self._hearing = hearing
        self.grid_id = notice.grid
        self._void_until_s = void_until_s
        self._record: GridRecord | None = None
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
        grid, key = self._notice.grid, register_key(self._notice.owner, self._notice.name)
        if self._order.action is Action.TERMINATE:
            change = removing(grid, self._order.workspace, self._signed)
        elif self._undecided:
            change = _stopping(grid, self._signed, now, self._void_until_s)
        else:
            change = ending(grid, self._signed)
        self.stage = "asking stewards"
        self.tell(
            now, f"{self._order.action}: asking {counted(len(self._notice.stewards), 'steward')}"
        )
        return [Propose(ChangeGrid(self.id), key, self._notice.stewards, change, self.id)]

    def at_once(self, now: float) -> list[Effect]:
        """What need not wait for the stewards: too few of them are heard, so the hosts are told themselves."""
        notice = self._notice
        silent = majority_silent(notice, self._hearing, now)
        return self._halt(now) if silent and self._can_halt else []

    def settled(self, value: bytes, now: float) -> list[Effect]:
        """The stewards decided; `value` is the register, encoded."""
        self._halting = None
        register, notice = read_register(value), self._notice
        record = register.record
        if self._can_halt and register.twice_given(notice.grid, notice.stewards):
            self._why = _ANOTHER
            return self._halt(now, f"{_ANOTHER}: its hosts are to end it")
        if record is None or record.id != notice.grid:
            if self._undecided:
                lines = [f"{self.grid} was still being placed; that is stopped and nothing is left"]
                self.end(RequestState.DONE, lines, now)
                return []
            self.end(RequestState.FAILED, [f"{self.grid} is not a grid any more"], now)
            return []
        self._record = record
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
    def _undecided(self) -> bool:
        return self._void_until_s > 0

    @property
    def _can_halt(self) -> bool:
        return self._order.action is Action.DOWN and not self._undecided

    def _halt(self, now: float, why: str = _TOO_FEW) -> list[Effect]:
        self._halting = Halting(self.id, self._signed, self._notice, self._hearing, now)
        self._again_s = self._halting.next_s(now)
        self.stage = "hosts stop it"
        self.tell(now, why)
        return self._halting.start()

    def _halted(self, now: float) -> None:
        """Ends the request once the stewards did not answer and the hosts did, or had their time."""
        halting = self._halting
        if not self._why or (halting is not None and not halting.over(now)):
            return
        waits = self._why != _ANOTHER
        if halting is not None and (lines := halting.answer(now, waits=waits)):
            self.end(RequestState.DONE, lines, now)
            return
        lines = [f"cannot {self._order.action} {self.grid} now: {self._why}"]
        lines += halting.refusals() if halting is not None else []
        lines += without_majority(self._notice.stewards, self._hearing, now)
        self.end(RequestState.FAILED, lines, now)

    def _announce(self) -> list[Effect]:
        assert self._record is not None
        return [Send(peer, Decided(self._record), self.id) for peer in self._unacked]

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


def _stopping(grid: GridId, order: SignedOrder, now: float, until_s: float) -> Change:
    """A change after which no grid of that `up` is up, whether its commit reaches the stewards first or this
    does."""
    end, void = ending(grid, order), voiding(GridId(order_part(grid)), now, until_s)
    return lambda value: void(end(value))
