"""Pause, resume, restart, suspend, restore: the order goes to the hosts, which check it and carry it out."""

from protocol.contract.messages import Act, ActReply
from protocol.contract.notices import Notice
from protocol.grid.lifecycle import Phase, Status
from protocol.requesting.endings import Endings
from protocol.requesting.request import Request, RequestState
from protocol.requesting.silence import Hearing, Unanswered
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S, SILENT_WITHIN_S
from protocol.terms.quantities import counted
from protocol.trust.order import Action, CheckedOrder, SignedOrder

_DONE_WITHIN_S = 120.0
_LINES_MOST = 3
"""Lines of a host's answer that are told on."""
_ENDED = (Phase.EXPIRED, Phase.SUSPENDED)
"""Where workspaces are whose lease is over."""


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
        hearing: Hearing,
        now: float,
    ) -> None:
        """`boots` has, by workspace, which start each one is in, as far as is known."""
        super().__init__(request, notice.name, now)
        self.kind = checked.order.action
        self._order, self._signed, self.grid_id = checked.order, signed, notice.grid
        self._placed, self._hearing = notice.placed, hearing
        self._todo = {name: peer for name, peer in notice.placed if self._meant(name)}
        self._boots = boots
        self._unanswered = dict.fromkeys(self._todo.values())
        self._deadline_s, self._give_up_s = now + SILENT_WITHIN_S, now + ACT_WITHIN_S
        self._endings = Endings(self.tell)

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
            self._refused(reply.problem, now)
            return
        del self._unanswered[sender]
        if not self._unanswered:
            self.stage = "waiting for it to happen"
            self._deadline_s = self._give_up_s = now + _DONE_WITHIN_S

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are."""
        if notice.grid != self.grid_id or sender in self._unanswered:
            return
        mine = [s for s in notice.mine if self._todo.get(s.workspace) == sender]
        if until_s := self._endings.heard(mine, now):
            self._deadline_s = max(self._deadline_s, until_s + _DONE_WITHIN_S)
        for status in mine:
            if self._reached(status):
                del self._todo[status.workspace]
                self.tell(now, f"{status.workspace} {status.phase}")
            elif status.phase in _ENDED and 0 < notice.ends_s <= now:
                extend = f"`overlayctl lease extend {self.grid} 1h`"
                self._refused(f"its lease ended meanwhile\n  would work: {extend}", now)
                return
        if not self._todo:
            what = f"{self.grid}/{self._order.workspace}" if self._order.workspace else self.grid
            self.end(RequestState.DONE, [f"{what}: {self.kind} done"], now)

    def tick(self, now: float) -> None:
        """Ends the request when it has waited long enough, with who did not answer or what did not happen."""
        if not self.running or now < self._deadline_s:
            return
        away = self._without_silence(now)
        if self._unanswered and now < self._give_up_s and not away.silent:
            self._deadline_s = self._give_up_s
            return
        lines = self._in_vain(away) if self._unanswered else self._not_yet(now)
        self.end(RequestState.FAILED, lines, now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._deadline_s, self.kind)

    def _without_silence(self, now: float) -> Unanswered:
        return Unanswered(self.grid, self._placed, self._unanswered, self._hearing, now)

    def _in_vain(self, away: Unanswered) -> list[str]:
        """Hosts did not answer. What the others were asked is done by them."""
        asked = dict.fromkeys(peer for name, peer in self._placed if self._meant(name))
        rest = "" if len(self._unanswered) == len(asked) else "; the other hosts took it on"
        return [
            f"cannot {self.kind} {self.grid} now: {away.who()}{rest}",
            f"  would work: {away.would_work(f'{self.kind} again')}",
        ]

    def _not_yet(self, now: float) -> list[str]:
        """Hosts took it on, and have not told that it happened."""
        left = dict.fromkeys(self._todo.values())
        away = Unanswered(self.grid, self._placed, left, self._hearing, now)
        lines = [f"{', '.join(self._todo)}: {self.kind} was taken on but has not happened yet"]
        if any(self._hearing.silence(peer, now) for peer in left):
            lines += [f"  {away.who()}", f"  would work: {away.would_work()}"]
        return lines

    def _refused(self, why: str, now: float) -> None:
        """Nothing comes of it. `why` may be a host's own words, and go on in more lines."""
        first, *more = why.split("\n")[:_LINES_MOST]
        self.end(RequestState.FAILED, [f"cannot {self.kind} {self.grid}: {first}", *more], now)

    def _meant(self, name: str) -> bool:
        return self._order.workspace in ("", name)

    def _reached(self, status: Status) -> bool:
        match self._order.action:
            case Action.PAUSE:
                return status.phase in (Phase.PAUSED, Phase.OFF)
            case Action.SUSPEND:
                return status.phase is Phase.SUSPENDED
            case Action.RESTART | Action.REBUILD:
                return status.boot > self._boots.get(status.workspace, 0) and status.settled
            case _:
                return status.settled and status.phase is not Phase.PAUSED
