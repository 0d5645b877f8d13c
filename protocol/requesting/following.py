"""What follows the decision of a change: hosts are told, and heard, until it is done. And words about changes.

A change is done when what it added and altered is up, what it took out is gone, and every host that can be
heard has the record. The rest of the grid is none of its business.
"""

from collections.abc import Callable

from protocol.contract.messages import DecidedAck
from protocol.contract.notices import Notice
from protocol.grid.decision import Decision
from protocol.grid.history import history, line_of
from protocol.grid.lifecycle import Phase
from protocol.grid.problem import listed
from protocol.grid.record import GridRecord, Past
from protocol.requesting.building import Building, Share, Verdict
from protocol.requesting.change import Change
from protocol.requesting.endings import Endings
from protocol.requesting.request import RequestState
from protocol.requesting.silence import Hearing, Unanswered
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import DECIDED_EVERY_S
from protocol.terms.quantities import counted, format_age
from protocol.trust.order import SignedOrder

_GONE_WITHIN_S = 60.0
_TOLD_WITHIN_S = 20.0
"""How long hosts that are heard may take to say that they have the record."""


class Followed:
    """One decided change, until its request has an answer."""

    def __init__(
        self,
        request: RequestId,
        decision: Decision,
        record: GridRecord,
        change: Change,
        tell: Callable[[float, str], None],
        hearing: Hearing,
        now: float,
    ) -> None:
        self.record, self._change, self._hearing, self._tell = record, change, hearing, tell
        self._leaving = dict(change.gone)
        names = [*change.delta.added, *change.changed]
        if change.nothing:
            # It was made before, by an order that is given again: nobody knows what it changed.
            names = [a.workspace for a in record.assignments]
        waits = tuple(names)
        told = tuple(h.peer for h in change.record.hosts if h.peer not in record.carriers())
        self._building = Building(
            request,
            decision,
            record,
            change.new,
            len(waits),
            tell,
            hearing,
            now,
            Share(waits, told),
        )
        self._told_until_s, self._gone_until_s = now + _TOLD_WITHIN_S, now + _GONE_WITHIN_S
        self._again_s = now
        self._endings = Endings(tell)
        self._answer: Verdict | None = None

    def announce(self, now: float) -> list[Effect]:
        """Tells hosts that have not said that they have it, now and then."""
        if now < self._again_s:
            return []
        self._again_s = now + DECIDED_EVERY_S
        return self._building.announce()

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has the record on disk."""
        self._building.acknowledged(sender, ack, now)

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are, and what is left of those that go."""
        self._building.noticed(sender, notice, now)
        if notice.grid != self.record.id or sender not in self._leaving.values():
            return
        left = [s for s in notice.mine if s.phase is not Phase.GONE]
        leaving = [s for s in left if self._leaving.get(s.workspace) == sender]
        if until_s := self._endings.heard(leaving, now):
            self._gone_until_s = max(self._gone_until_s, until_s + _GONE_WITHIN_S)
        there = {s.workspace for s in leaving}
        going = [n for n, host in self._leaving.items() if host == sender and n not in there]
        for name in going:
            del self._leaving[name]
        if going:
            self._tell(now, f"{listed(going)} gone")

    def audited(self, decision: Decision, now: float) -> None:
        """What the stewards decided last. What they took out since is not waited for."""
        self._answer = self._building.audited(decision)
        record = decision.register.record
        if record is not None and record.epoch > self.record.epoch:
            names = {a.workspace for a in record.assignments}
            self._leaving = {n: h for n, h in self._leaving.items() if n not in names}

    def audit_due(self, now: float) -> bool:
        """Whether the stewards are to be asked now. It answers True once each time."""
        return self._building.audit_due(now)

    def troubles(self) -> tuple[str, ...]:
        """Lines for people if guests say that their first boots failed."""
        return self._building.troubles()

    def next_s(self, now: float) -> float:
        """When to look again, Unix seconds."""
        times = [self._building.next_s(now)]
        if self._building.unacked:
            times += [self._again_s, *([self._told_until_s] if now < self._told_until_s else [])]
        if self._leaving:
            times.append(self._gone_until_s if now < self._gone_until_s else now + DECIDED_EVERY_S)
        return max(min(times), now + 0.01)

    def verdict(self, now: float) -> Verdict | None:
        """The answer, once there is one."""
        if self._answer is not None and self._answer.state is RequestState.CANCELLED:
            return Verdict(RequestState.FAILED, self._answer.lines)
        if not self._building.up:
            return self._building.overdue(now)
        heard = self._hearing
        waiting = [p for p in self._leaving.values() if heard.silence(p, now) is None]
        if waiting and now < self._gone_until_s:
            return None
        late = [p for p in self._building.unacked if heard.silence(p, now) is None]
        if late and now < self._told_until_s:
            return None
        return Verdict(RequestState.DONE, self._done(now))

    def _done(self, now: float) -> list[str]:
        record, change = self.record, self._change
        what = "already" if change.nothing else f"({change.said})"
        lines = [f"{record.name} is changed {what}: {_many(record)}, epoch {record.epoch}"]
        if left := self._building.left:
            rest = "rest, and are changed when they go on"
            rests = "rests, and is changed when it goes on"
            lines.append(f"  {listed(left)} {rests if len(left) == 1 else rest}")
        if self._leaving:
            placed = tuple(self._leaving.items())
            peers = dict.fromkeys(self._leaving.values())
            away = Unanswered(record.name, placed, peers, self._hearing, now)
            them, they = ("it", "it is") if len(peers) == 1 else ("them", "they are")
            lines += [f"  {away.who()}", f"  what is left on {them} is cleared when {they} back"]
        return lines


def already(record: GridRecord, order: SignedOrder, now: float) -> list[str]:
    """Lines for people if that order has changed the grid already, and it was changed since; else none."""
    mine, told = line_of(order, 0, ""), history(record)
    # The last line of this kind is of the order that stands, which is another.
    last = max((past.epoch for past in told if past.action == mine.action), default=0)
    done = [
        past.epoch
        for past in told
        if (past.at_s, past.by, past.action) == (mine.at_s, mine.by, mine.action)
        and past.epoch != last
    ]
    if not done:
        return []
    first = f"this order has changed {record.name} already, in epoch {done[-1]}; since then:"
    return [first, *_past(record, done[-1], now), _look_again()]


def changed_since(record: GridRecord, epoch: int, now: float) -> list[str]:
    """Lines for people whose change was of another epoch: what has changed, by whom, and what would work."""
    first = f"{record.name} is at epoch {record.epoch}, the order was for {epoch}"
    return [first, *_past(record, epoch, now), _look_again()]


def _past(record: GridRecord, epoch: int, now: float) -> list[str]:
    return [f"  {past_words(past, now)}" for past in history(record) if past.epoch > epoch]


def past_words(past: Past, now: float) -> str:
    """A change that was decided, in a line: `+1 worker by ams, 12 s ago`."""
    return f"{past.said or past.action} by {past.by}, {format_age(now - past.at_s)} ago"


def _look_again() -> str:
    return "  would work: the same command again, which shows what it would change now"


def _many(record: GridRecord) -> str:
    hosts = counted(len(record.carriers()), "host")
    return f"{counted(len(record.assignments), 'workspace')} on {hosts}"
