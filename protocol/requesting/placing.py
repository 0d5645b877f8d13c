"""The requester's side of quote, hold, commit: one request to place one grid.

    quoting > holding (refill, up to four rounds) > committing > building > done
                     \\ back off, next attempt        \\ voiding, when no majority of stewards answered

Rules. Gathering promises is one attempt's (gathering.py); after four rounds everything is let go and
tried again after a jittered pause, until the request's deadline. Committing is one change of the
name's register: then it is a grid, or it never becomes one. When the stewards do not answer, nobody
knows, so the attempt is voted down until somebody answers; only then is the person told, truthfully.
"""

from collections.abc import Callable, Iterable

from protocol.contract.authority import Deployment
from protocol.contract.messages import DecidedAck, HoldReply, Quote, RoomKept
from protocol.contract.notices import Notice
from protocol.contract.outcomes import CommitGrid, Outcome, Propose
from protocol.grid.lease import late
from protocol.grid.record import (
    Change,
    GridRecord,
    GridState,
    committing,
    grid_id,
    order_part,
    read_register,
    unchanged,
    voiding,
)
from protocol.placement.choose import Choice
from protocol.placement.explain import summarise, words
from protocol.requesting.attempt import Attempt
from protocol.requesting.building import Building, Verdict
from protocol.requesting.claiming import Claiming
from protocol.requesting.request import Request, RequestState
from protocol.requesting.surroundings import RESTING, UNDECIDED, Stage, Surroundings
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import (
    BACKOFF_S,
    CLAIM_TRY_S,
    DECIDED_EVERY_S,
    DETAIL_WITHIN_S,
    HOLD_REPLY_WITHIN_S,
    QUOTE_WITHIN_S,
    REQUEST_S,
    ROUNDS,
)
from protocol.terms.quantities import counted
from protocol.terms.refusal import PASSING, Constraint, Refusal
from protocol.trust.order import SignedOrder

_NEVER = float("inf")
_LOOK_S = 0.05
_ANOTHER_NAME = "  would work: take it down with `overlayctl down`, or choose another name"

Answer = tuple[list[Effect], list[Outcome]]


class Placing(Request):
    """One `plan` (without an order to sign it) or one `up`."""

    kinds = ("plan", "up")
    """What it is called without an order, and with one."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        surroundings: Surroundings,
        dice: Dice,
        now: float,
    ) -> None:
        super().__init__(request, deployment.name, now)
        self.kind = self.kinds[order is not None]
        self.deployment, self.order = deployment, order
        self._surroundings, self._dice = surroundings, dice
        self._tries = -1
        self._step = Stage.QUOTING
        self._deadline_s = now
        self._give_up_s = now + REQUEST_S
        self._cancelled = False
        self._refused: list[Refusal] = []
        """The last few of the attempts before this one."""
        self._claiming = Claiming(request, deployment, now)
        self._tried_s = now
        self._attempt = self._begin_attempt()
        self._building: Building | None = None
        self._no_grid: list[str] = []
        """The answer, if the stewards have no grid of this order."""
        self._otherwise: Callable[[float], list[Effect]] = self._back_off
        self._again = False

    @property
    def grid_id(self) -> GridId:
        """What the grid of this attempt will be called, or what the grid of this order is."""
        return self._building.record.id if self._building is not None else self._attempt.grid

    @property
    def record(self) -> GridRecord | None:
        """The grid, once it is decided."""
        return self._building.record if self._building is not None else None

    @property
    def undecided(self) -> GridRecord | None:
        """What is before the stewards, if it is."""
        if self._step in (Stage.COMMITTING, Stage.VOIDING) and self.order is not None:
            return self._attempt.draft(self.order)
        return None

    # -- quoting

    def begin(self, now: float, again: bool = False, lines: tuple[str, ...] = ()) -> Answer:
        """As soon as it is known whom to ask. `again`: the order may have been given before, to an earlier life
        of this peer, so its stewards are asked first; `lines` say why nothing is begun if they have no grid."""
        if self._surroundings.blind(now):
            self._again, self._no_grid = again, list(lines)
            if self._step is not Stage.HEARING:
                self.tell(now, "this peer was just started; hearing of others first")
            self._enter(Stage.HEARING, now + _LOOK_S)
            return [], []
        if not again:
            return self.start(now), []
        self._attempt = self._begin_attempt()
        return self.look(list(lines), now, self._give_up if lines else self.start)

    def _give_up(self, now: float) -> list[Effect]:
        return self._fail(self._no_grid, now)

    def start(self, now: float) -> list[Effect]:
        """Begins an attempt: asks every candidate for a quote."""
        self._tries += 1
        self._tried_s = now
        if fault := late(self.deployment.spec, now):
            return self._fail([f"cannot make {self.grid}: {fault}"], now)
        asks = self._surroundings.detail(self.deployment.spec.placement.sites, now)
        if not asks:
            return self._request_quotes(now)
        self._enter(Stage.ASKING_SITES, now + DETAIL_WITHIN_S)
        self.tell(now, f"asking {counted(len(asks), 'site')} for hosts")
        return asks

    def _request_quotes(self, now: float) -> list[Effect]:
        self._attempt = self._begin_attempt()
        self._enter(Stage.QUOTING, now + QUOTE_WITHIN_S)
        self.tell(now, f"asking {counted(self._attempt.candidates, 'host')} for quotes")
        return self._attempt.request_quotes()

    def quote(self, sender: PeerId, quote: Quote, now: float) -> Answer:
        """A host's word. When all have spoken it goes on."""
        if self._step is not Stage.QUOTING or not self._attempt.quote(sender, quote, now):
            return [], []
        return self._choose(now)

    def _begin_attempt(self) -> Attempt:
        grid = GridId("")
        if self.order is not None:
            grid = grid_id(self.order, max(0, self._tries), f"{self._surroundings.me}/{self.id}")
        candidates = self._surroundings.candidates() if self._tries >= 0 else ()
        stewards = self._surroundings.stewards(self.deployment.key)
        sure = self._sure()
        return Attempt(self.id, self.deployment, grid, candidates, stewards, self._dice, sure)

    def _sure(self) -> Iterable[PeerId]:
        """Hosts that are asked first in any case."""
        return self._claiming.hosts

    def _choose(self, now: float) -> Answer:
        choice = self._attempt.choose(now)
        self.placement = self._attempt.planned(choice)
        self.start_s = self._attempt.start_s
        if not choice.enough:
            if more := self._attempt.widen():
                self._enter(Stage.QUOTING, now + QUOTE_WITHIN_S)
                self.tell(now, f"not enough there; asking {counted(len(more), 'more host')}")
                return more, []
            return self._not_placed(choice, now), []
        if self.order is None:
            return self._planned(choice, now), []
        return self._hold(choice, self.order, now)

    def _planned(self, choice: Choice, now: float) -> list[Effect]:
        """Where it would go is all that was asked."""
        self._finish(RequestState.DONE, [], now)
        return []

    def _hold(self, choice: Choice, order: SignedOrder, now: float) -> Answer:
        effects = self._attempt.hold(choice, order)
        if not self._attempt.waiting:
            return self._commit(now)
        self._enter(Stage.HOLDING, now + HOLD_REPLY_WITHIN_S)
        self.tell(
            now, f"round {self._attempt.rounds}: asking {counted(len(effects), 'host')} to hold"
        )
        return effects, []

    def _not_placed(self, choice: Choice, now: float) -> list[Effect]:
        """Others may only be ahead of us; what will not pass is said at once."""
        if any(refusal.constraint in PASSING for refusal in self._attempt.refused):
            return self._back_off(now)
        if self.order is not None and self._attempt.contended():
            self.tell(now, f"what is missing is {self._attempt.ahead}")
            return self._back_off(now)
        self.why = self._attempt.explain(choice, now)
        lines = words(self.why)
        if silent := self._attempt.silent():
            lines.append(f"  no answer in time from {', '.join(silent)}")
        return self._unplaced(lines, now)

    # -- holding

    def hold_reply(self, sender: PeerId, reply: HoldReply, now: float) -> Answer:
        """Promised, or why not."""
        if reply.grid != self.grid_id or self._step is not Stage.HOLDING:
            return [], []
        refused = self._attempt.reply(sender, reply)
        self._tell_refused(refused, now)
        for refusal in refused:
            if refusal.constraint is Constraint.NAME:
                return self.look([f"cannot make {self.grid}: {refusal.detail}", _ANOTHER_NAME], now)
        if self._attempt.waiting:
            return [], []
        return self._held_or_refill(now)

    def look(
        self, lines: list[str], now: float, otherwise: Callable[[float], list[Effect]] | None = None
    ) -> Answer:
        """Asks the stewards whether this order has made its grid: given again after its answer was lost, or to
        two peers. Then it is followed. If another is up, `lines` say so; if none is, `otherwise` follows."""
        effects = self._attempt.release()
        self._no_grid, self._otherwise = lines, otherwise or self._back_off
        self.tell(now, "asking the stewards whether it is made already")
        self._enter(Stage.LOOKING, _NEVER)
        return effects, [self._propose(unchanged)]

    def _tell_refused(self, refused: list[Refusal], now: float) -> None:
        for refusal in refused:
            self.tell(now, f"refused by {refusal}")

    def _held_or_refill(self, now: float) -> Answer:
        if self._attempt.complete:
            return self._commit(now)
        network_id = any(r.constraint is Constraint.NETWORK_ID for r in self._attempt.refused)
        if network_id:
            return self._back_off(now), []
        if self._attempt.rounds >= ROUNDS:
            return self._commit(now) if self._attempt.enough else (self._back_off(now), [])
        return self._choose(now)

    def _overdue(self, now: float) -> Answer:
        effects, silent = self._attempt.overdue()
        self._tell_refused(silent, now)
        more, outcomes = self._held_or_refill(now)
        return effects + more, outcomes

    def _back_off(self, now: float) -> list[Effect]:
        effects = self._attempt.release()
        self._refused = [*self._refused, *self._attempt.refused][-8:]
        pause_s = self._dice.uniform(0.5, 1.5) * BACKOFF_S * (1 + self._tries)
        if now + pause_s >= self._give_up_s:
            lines = [f"could not hold all of {self.grid} within {REQUEST_S:.0f} s"]
            return effects + self._unplaced(lines + summarise(tuple(self._refused)), now)
        self.tell(now, f"letting everything go, trying again in {pause_s:.1f} s")
        self._enter(Stage.BACKING_OFF, now + pause_s)
        return effects + self._claim(now)

    def _claim(self, now: float) -> list[Effect]:
        """Who was refused for a while has room kept for it until it tries again. Nothing may be held."""
        lease = self.deployment.spec.lease
        if (
            self.order is None
            or not self.deployment.commits
            or lease.start_s
            or lease.before_s
            or not self._attempt.short
        ):
            return []
        if not self._claiming.due(now):
            return []
        wanted = self._attempt.wanted()
        if wanted and not self._claiming.hosts:
            hosts = counted(len(wanted), "host")
            line = f"{hosts} asked to keep room as it gets free, before younger requests"
            Request.tell(self, now, line)  # Once, also of what waits and does not repeat itself.
        return self._claiming.claim(self.order, wanted, now)

    def kept(self, sender: PeerId, message: RoomKept, now: float) -> None:
        """A host tells for how much of what is claimed there it has room. Once it is enough, it is taken."""
        if message.order != self.deployment.order:
            return
        self._claiming.heard(sender, message)
        if self._step in RESTING and self._claiming.enough:
            self._deadline_s = min(self._deadline_s, max(now, self._tried_s + CLAIM_TRY_S))

    # -- committing

    def _commit(self, now: float) -> Answer:
        assert self.order is not None
        self._enter(Stage.COMMITTING, _NEVER)
        stewards = counted(len(self._attempt.stewards), "steward")
        held, asked = len(self._attempt.held), len(self.deployment.workspaces)
        many = "all" if held == asked else f"{held} of {asked}"
        self.tell(now, f"{many} held; committing with {stewards}")
        return [], [self._propose(committing(self._attempt.draft(self.order)))]

    def _propose(self, change: Change) -> Propose:
        grid, stewards = self.grid_id, self._attempt.stewards
        return Propose(CommitGrid(grid), self.deployment.key, stewards, change, self.id)

    def settled(self, value: bytes, now: float) -> Answer:
        """The register's value after the commit, after the vote against it, or now and then."""
        if self._step is Stage.BUILDING and self._building is not None:
            self._end(self._building.audited(read_register(value).record), now)
        if self._step not in (Stage.COMMITTING, Stage.VOIDING, Stage.LOOKING):
            return [], []
        record = read_register(value).record
        if record is not None and record.id == self.grid_id:
            return self._decided(record, now), []
        effects = self._attempt.release()
        if record is not None and order_part(record.id) == order_part(self.grid_id):
            return effects + self._made_before(record, now), []
        there = record is not None and record.state is GridState.UP
        if self._step is Stage.LOOKING and self._no_grid and there:
            return effects + self._give_up(now), []
        if record is not None and record.state is GridState.UP:
            other = f"a grid named {self.grid} exists already, id {record.id}"
            return effects + self._fail(
                [f"cannot make {self.grid}: {other}", _ANOTHER_NAME], now
            ), []
        if self._cancelled:
            return effects + self._fail(["cancelled; nothing is held"], now), []
        if self._step is Stage.LOOKING:
            return effects + self._otherwise(now), []
        self.tell(now, "the holds ran out before the stewards decided")
        return effects + self._back_off(now), []

    def unsettled(self, why: str, now: float) -> Answer:
        """No majority of stewards answered: nobody knows, so vote against it until somebody does."""
        if self._step is Stage.LOOKING:
            return (self._give_up(now) if self._no_grid else self.start(now)), []
        if self._step not in (Stage.COMMITTING, Stage.VOIDING):
            return [], []
        self.tell(now, f"the stewards did not decide: {why}")
        self._enter(Stage.VOIDING, now + self._dice.uniform(0.5, 1.5))
        return [], []

    # -- building

    def _decided(self, record: GridRecord, now: float) -> list[Effect]:
        """It is a grid. Promises that are not in it (another peer carried the same order) are let go."""
        effects = self._attempt.release(record)
        effects += self._claiming.end(self.order, record.carriers())
        if record.state is GridState.DOWN:
            return effects + self._fail([f"{self.grid} was taken down meanwhile"], now)
        self.tell(
            now, f"committed: {counted(len(record.assignments), 'workspace')}, epoch {record.epoch}"
        )
        asked = len(self.deployment.workspaces)
        building = Building(self.id, record, self.deployment.spec, asked, self.tell, now)
        self._building = building
        self._enter(Stage.BUILDING, now + DECIDED_EVERY_S)
        return effects + building.announce()

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has it on disk."""
        if self._building is not None and self.running:
            self._end(self._building.acknowledged(sender, ack, now), now)

    def noticed(self, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are."""
        if self._building is not None and self.running:
            self._end(self._building.noticed(notice, now), now)

    def _end(self, verdict: Verdict | None, now: float) -> None:
        if verdict is not None:
            down = verdict.state is RequestState.CANCELLED and not self._cancelled
            self._finish(RequestState.FAILED if down else verdict.state, verdict.lines, now)

    def _build(self, now: float) -> Answer:
        """Time has passed since the commit."""
        assert self._building is not None
        if (verdict := self._building.overdue(now)) is not None:
            self._end(verdict, now)
            return [], []
        audits: list[Outcome] = []
        if self._building.audit_due(now):
            audits.append(self._propose(unchanged))
        self._deadline_s = self._building.next_s(now)
        return self._building.announce(), audits

    # -- time and people

    def cancel(self, now: float) -> list[Effect]:
        """The person changed their mind. Before the commit everything is let go; after it, use down."""
        if self._step in UNDECIDED:
            effects = self._attempt.release() + self._claiming.end(self.order)
            self._finish(RequestState.CANCELLED, ["cancelled; nothing is held"], now)
            return effects
        self._cancelled = True
        return []

    def tick(self, now: float) -> Answer:
        """What follows when an answer did not come."""
        if self._step in RESTING and now >= self._claiming.renew_s and self.order is not None:
            return self._claiming.renew(self.order, now), []
        if now < self._deadline_s:
            return [], []
        match self._step:
            case Stage.HEARING:
                return self.begin(now, self._again, tuple(self._no_grid))
            case Stage.ASKING_SITES:
                return self._request_quotes(now), []
            case Stage.QUOTING:
                return self._choose(now)
            case Stage.HOLDING:
                return self._overdue(now)
            case Stage.BACKING_OFF:
                return self.start(now), []
            case Stage.VOIDING:
                self._deadline_s = _NEVER
                return [], [self._propose(voiding(self.grid_id, now))]
            case Stage.BUILDING:
                return self._build(now)
            case _:
                pass
        return [], []

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        due_s = self._deadline_s
        if self._step in RESTING:
            due_s = min(due_s, self._claiming.renew_s)
        if self._step is Stage.OVER or due_s == _NEVER:
            return None
        return Deadline(due_s, f"{self.kind} {self._step}")

    def _unplaced(self, lines: list[str], now: float) -> list[Effect]:
        """There is no room for it."""
        return self._fail(lines, now)

    def _made_before(self, record: GridRecord, now: float) -> list[Effect]:
        """By an earlier life of this peer, or by another one that was given the same order."""
        if record.state is GridState.UP:
            self.tell(now, "this order has made it already")
            return self._decided(record, now)
        lines = [
            f"this order has made a grid already, id {record.id}, and makes no second one",
            f"  would work: sign a new order for {self.grid}",
        ]
        return self._fail(lines, now)

    def _fail(self, lines: list[str], now: float) -> list[Effect]:
        state = RequestState.CANCELLED if self._cancelled else RequestState.FAILED
        effects = self._attempt.release() + self._claiming.end(self.order)
        self._finish(state, lines, now)
        return effects

    def _finish(self, state: RequestState, lines: list[str], now: float) -> None:
        self.end(state, lines, now)
        self._enter(Stage.OVER, _NEVER)

    def _enter(self, step: Stage, deadline_s: float) -> None:
        self._step, self._deadline_s = step, deadline_s
        if step is not Stage.OVER:
            self.stage = step
