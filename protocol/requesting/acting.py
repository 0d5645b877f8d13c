"""Pause, resume, restart, suspend, restore: the order goes to the hosts, which check it and carry it out."""

from protocol.contract.messages import Act, ActReply
from protocol.contract.notices import Notice
from protocol.grid.lifecycle import Phase, Status
from protocol.requesting.request import Request, RequestState
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S
from protocol.terms.quantities import counted
from protocol.trust.order import Action, CheckedOrder, SignedOrder

_DONE_WITHIN_S = 120.0


class Acting(Request):
    """One action on one workspace, or on all of a grid."""

    kind = "act"

    def __init__(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        notice: Notice,
        boots: dict[str, int],
        now: float,
    ) -> None:
        """`boots` has, by workspace, which start each one is in, as far as is known."""
        super().__init__(request, notice.name, now)
        self.kind = checked.order.action
        self._order, self._signed, self.grid_id = checked.order, signed, notice.grid
        self._todo = {
            name: peer for name, peer in notice.placed if self._order.workspace in ("", name)
        }
        self._boots = boots
        self._unanswered = dict.fromkeys(self._todo.values())
        self._deadline_s = now + ACT_WITHIN_S

    def start(self, now: float) -> list[Effect]:
        """Sends the order to the hosts of the workspaces that it is about."""
        self.stage = "asking hosts"
        self.tell(now, f"{self.kind}: asking {counted(len(self._unanswered), 'host')}")
        act = Act(self.id, self.grid_id, self._signed)
        return [Send(peer, act, self.id) for peer in self._unanswered]

    def replied(self, sender: PeerId, reply: ActReply, now: float) -> None:
        """A host took the order on, or says why not."""
        if sender not in self._unanswered:
            return
        if reply.problem:
            self.end(RequestState.FAILED, [f"cannot {self.kind} {self.grid}: {reply.problem}"], now)
            return
        del self._unanswered[sender]
        self.stage = "waiting for it to happen"
        self._deadline_s = now + _DONE_WITHIN_S

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are."""
        if notice.grid != self.grid_id or sender in self._unanswered:
            return
        for status in notice.mine:
            if self._todo.get(status.workspace) == sender and self._reached(status):
                del self._todo[status.workspace]
                self.tell(now, f"{status.workspace} {status.phase}")
        if not self._todo:
            what = f"{self.grid}/{self._order.workspace}" if self._order.workspace else self.grid
            self.end(RequestState.DONE, [f"{what}: {self.kind} done"], now)

    def tick(self, now: float) -> None:
        """Ends the request when it has waited long enough, with who did not answer or what did not happen."""
        if not self.running or now < self._deadline_s:
            return
        if self._unanswered:
            count = len(self._unanswered)
            hosts = "1 host does" if count == 1 else f"{count} hosts do"
            lines = [
                f"cannot {self.kind} {self.grid} now: {hosts} not answer",
                "  would work: try again when `overlayctl peers` shows them alive",
            ]
        else:
            lines = [f"{', '.join(self._todo)}: {self.kind} was taken on but has not happened yet"]
        self.end(RequestState.FAILED, lines, now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._deadline_s, self.kind)

    def _reached(self, status: Status) -> bool:
        match self._order.action:
            case Action.PAUSE:
                return status.phase is Phase.PAUSED
            case Action.SUSPEND:
                return status.phase is Phase.SUSPENDED
            case Action.RESTART:
                return status.boot > self._boots.get(status.workspace, 0) and status.settled
            case _:
                return status.settled and status.phase is not Phase.PAUSED
