"""Extending and shortening a lease: all its hosts, or none.

To extend a lease, each of its hosts first promises the time (on disk, until that is decided or voted down).
Then one change of the grid's register makes it so. To shorten a lease needs only the register, and nobody's
promise. A host that promised and hears no more asks the stewards, with a vote against it. So a requester may
die at any step, as with holds.
"""

from collections.abc import Iterable

from protocol.contract.messages import Decided, DecidedAck, LeaseAsk, LeaseReply
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer, ChangeGrid, Outcome, Propose
from protocol.grid.decision import Decision
from protocol.grid.record import GridRecord, extension_id, lease_change, order_part
from protocol.grid.steps import Decline, Extend, Step
from protocol.requesting.request import Request, RequestState
from protocol.requesting.silence import Hearing, Unanswered, without_majority
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S, DECIDED_EVERY_S, SILENT_WITHIN_S
from protocol.terms.quantities import counted, format_duration, format_moment
from protocol.trust.order import SignedOrder

_NEVER = float("inf")
_TOLD_WITHIN_S = 20.0


class Extending(Request):
    """One `lease extend` or `lease shorten`."""

    kind = "lease"

    def __init__(
        self,
        request: RequestId,
        signed: SignedOrder,
        by_s: int,
        notice: Notice,
        hearing: Hearing,
        now: float,
    ) -> None:
        super().__init__(request, notice.name, now)
        self._signed, self._by_s, self._notice = signed, by_s, notice
        self._hearing = hearing
        self.grid_id = notice.grid
        self._unanswered = dict.fromkeys(peer for _, peer in notice.placed) if by_s > 0 else {}
        self._why: list[str] = []
        self._record: GridRecord | None = None
        self._decided: Decided | None = None
        self._unacked: dict[PeerId, None] = {}
        self._deadline_s = _NEVER
        self._give_up_s = _NEVER

    def start(self, now: float) -> Answer:
        """Asks the hosts; to shorten, it asks the stewards at once."""
        if not self._unanswered:
            left_s = self._notice.ends_s - now
            if -self._by_s >= left_s:
                left = format_duration(max(0, round(left_s)))
                lines = [
                    f"cannot shorten the lease of {self.grid}: {left} are left of it",
                    f"  would work: less, or `overlayctl down {self.grid}`",
                ]
                self.end(RequestState.FAILED, lines, now)
                return [], []
            return [], self._propose(now)
        self.stage = "asking hosts"
        self._deadline_s, self._give_up_s = now + SILENT_WITHIN_S, now + ACT_WITHIN_S
        self.tell(now, f"asking {counted(len(self._unanswered), 'host')} for {self._by} more")
        ask = LeaseAsk(self.id, self.grid_id, self._signed)
        return [Send(peer, ask, self.id) for peer in self._unanswered], []

    def replied(self, sender: PeerId, reply: LeaseReply, now: float) -> list[Outcome]:
        """A host promises the time, or says why not."""
        if self.stage != "asking hosts" or sender not in self._unanswered:
            return []
        if reply.problem:
            name = self._hearing.name(sender)
            why = f"cannot extend the lease of {self.grid}: host {name}: {reply.problem}"
            return self._refused([why], now)
        del self._unanswered[sender]
        return [] if self._unanswered else self._propose(now)

    def settled(self, decision: Decision | None, now: float) -> list[Effect]:
        """The stewards decided the change, or voted it down."""
        if self._why:
            self.end(RequestState.FAILED, self._why, now)
            return []
        record = decision.register.record if decision is not None else None
        if (
            decision is None
            or record is None
            or record.id != self.grid_id
            or self._signed not in record.changes
        ):
            lines = [f"the lease of {self.grid} is as it was: its hosts' promises ran out"]
            self.end(RequestState.FAILED, lines, now)
            return []
        self._decided = Decided(decision.certificate)
        self._record, self._unacked = record, dict.fromkeys(record.carriers())
        self.stage = "telling hosts"
        self.tell(now, f"decided, epoch {record.epoch}")
        self._deadline_s, self._give_up_s = now + DECIDED_EVERY_S, now + _TOLD_WITHIN_S
        return self._announce()

    def unsettled(self, why: str, now: float) -> None:
        """No majority of stewards answered. Hosts keep their promises until somebody knows."""
        if self._why:
            self.end(RequestState.FAILED, self._why, now)
            return
        lines = [f"cannot change the lease of {self.grid} now: {why}"]
        lines += without_majority(self._notice.stewards, self._hearing, now)
        self.end(RequestState.FAILED, lines, now)

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has the record on disk."""
        if self._record is None or ack.grid != self.grid_id or ack.epoch < self._record.epoch:
            return
        self._unacked.pop(sender, None)
        if not self._unacked:
            self._done(now)

    def tick(self, now: float) -> Answer:
        """Gives up on hosts that did not answer, and tells hosts again that have not acknowledged."""
        if not self.running or now < self._deadline_s:
            return [], []
        if self._record is None:
            away = self._away(self._unanswered, now)
            if now < self._give_up_s and not away.silent:
                self._deadline_s = self._give_up_s
                return [], []
            lines = [
                f"cannot extend the lease of {self.grid} now: {away.who()}",
                f"  would work: {away.would_work('extend again')}",
            ]
            return [], self._refused(lines, now)
        if now >= self._give_up_s:
            self._done(now)
            return [], []
        self._deadline_s = now + DECIDED_EVERY_S
        return self._announce(), []

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._deadline_s, self.kind) if self._deadline_s != _NEVER else None

    # -- parts

    @property
    def _by(self) -> str:
        return format_duration(abs(self._by_s))

    def _done(self, now: float) -> None:
        what = "extended" if self._by_s > 0 else "shortened"
        until = format_moment(self._notice.ends_s + self._by_s)
        lines = [f"the lease of {self.grid} is {what} by {self._by}, until {until}"]
        if self._unacked:
            away = self._away(self._unacked, now)
            lines.append(f"  {away.who()}; the stewards tell of it")
        self.end(RequestState.DONE, lines, now)

    def _propose(self, now: float) -> list[Outcome]:
        self.stage, self._deadline_s = "asking stewards", _NEVER
        self.tell(now, f"asking {counted(len(self._notice.stewards), 'steward')}")
        return [self._change(Extend(self.grid_id, self._signed))]

    def _refused(self, lines: list[str], now: float) -> list[Outcome]:
        """Has what other hosts promised given back at once, by the same vote that they would come to."""
        self._why, self.stage, self._deadline_s = lines, "letting go", _NEVER
        self.tell(now, lines[0])
        mine = extension_id(self._signed)
        return [self._change(Decline(self.grid_id, mine, self._signed))]

    def _away(self, peers: Iterable[PeerId], now: float) -> Unanswered:
        return Unanswered(self.grid, self._notice.placed, peers, self._hearing, now)

    def _change(self, step: Step) -> Propose:
        key, stewards = order_part(self.grid_id), self._notice.stewards
        return Propose(ChangeGrid(self.id), key, stewards, step, self.id)

    def _announce(self) -> list[Effect]:
        assert self._decided is not None
        return [Send(peer, self._decided, self.id) for peer in self._unacked]


def by_of(signed: SignedOrder) -> int:
    """By how many seconds an order changes a lease. Raises Malformed if it does not say."""
    return lease_change(signed).by_s
