"""The requester's side of a change of a grid that is up: one order to apply a file to it, or a plan of one.

Rules. What is decided of the grid is read from its stewards first: a change of anything else than its signer
saw is refused, with what changed. Promises are gathered as for a new grid (gathering.py), but only for what is
added or grows; the rest stays as it is, and the rules are judged over the grid as it will be. The change is one
step of the grid's register. Of two changes one wins, and the other is told who did. When the stewards do not
answer, nobody knows, so the attempt is voted down until somebody answers. A best-effort grid does not wait for
room to grow.
"""

from collections.abc import Callable
from enum import StrEnum
from math import inf
from typing import assert_never

import msgspec

from protocol.contract.authority import Authority, Deployment
from protocol.contract.messages import DecidedAck, HoldReply, Quote
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer, ChangeGrid, Propose
from protocol.grid.apply import attempts_in
from protocol.grid.decision import Decision
from protocol.grid.model import GridSpec
from protocol.grid.record import ApplyTerms, GridRecord, GridState, order_part
from protocol.grid.steps import Apply, Step
from protocol.requesting import steps
from protocol.requesting.attached import Attached
from protocol.requesting.change import Change, made
from protocol.requesting.following import Followed, already, changed_since
from protocol.requesting.gathering import Answered, Gathering
from protocol.requesting.looking import up_already
from protocol.requesting.policies import Plain, Policy
from protocol.requesting.proposal import Proposal
from protocol.requesting.quoting import Quoting
from protocol.requesting.redeeming import Redeeming
from protocol.requesting.refused_change import VotesAgainst, not_now, not_permitted, over_for_plan
from protocol.requesting.request import Request, RequestState
from protocol.requesting.silence import without_majority
from protocol.requesting.surroundings import Surroundings
from protocol.requesting.transitions import Happening
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import BACKOFF_S, REQUEST_S
from protocol.terms.quantities import counted
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

Unknown = Callable[[GridSpec, float], tuple[str, ...]]
"""Lines for people about an image of a grid that no host has; empty if there is none."""


class Wish(msgspec.Struct, frozen=True):
    """What is asked for: a plan if it has no order."""

    deployment: Deployment
    """The whole grid as it is to be."""
    terms: ApplyTerms
    order: SignedOrder | None = None
    """An order to apply, or to hold a plan of it."""
    keeps: bool = False
    """Whether a plan without an order is kept as a quote."""
    quoted: Proposal | None = None
    """What is taken up, and nothing else."""

    @property
    def kind(self) -> str:
        """What people call such a request."""
        if self.order is not None:
            return "apply" if self.deployment.commits else "hold"
        return "quote" if self.keeps else "plan"


class Stage(StrEnum):
    """Where such a request is, in the words that people see."""

    READING = "asking what is decided"
    ASKING_SITES = "asking other sites"
    QUOTING = "asking for quotes"
    HOLDING = "asking hosts to hold"
    BACKING_OFF = "letting go, to try again"
    COMMITTING = "asking stewards"
    VOIDING = "asking stewards what became of it"
    FOLLOWING = "hosts make it so"
    OVER = "over"


_STAGES = {
    Happening.SITES_ASKED: Stage.ASKING_SITES,
    Happening.QUOTES_REQUESTED: Stage.QUOTING,
    Happening.HOLDS_REQUESTED: Stage.HOLDING,
}
_SETTLING = (Stage.COMMITTING, Stage.VOIDING)


class Applying(Request):
    """One change of one grid."""

    kind = "apply"

    def __init__(
        self,
        request: RequestId,
        wish: Wish,
        notice: Notice,
        surroundings: Surroundings,
        authority: Authority,
        unknown: Unknown,
        dice: Dice,
        now: float,
    ) -> None:
        super().__init__(request, notice.name, now)
        self.kind = wish.kind
        self._wish, self._surroundings, self._authority = wish, surroundings, authority
        self._unknown, self._dice = unknown, dice
        self.grid_id, self._stewards = notice.grid, notice.stewards
        self._ends_s = notice.ends_s
        self._step, self._due_s = Stage.READING, inf
        self._give_up_s = now + REQUEST_S
        self._change: Change | None = None
        self._gathering: Gathering | None = None
        self._policy: Policy | None = None
        self._followed: Followed | None = None
        self._why = ""
        """Why the stewards did not decide, as they said last."""
        self._cancelled, self._votes = False, VotesAgainst()
        self._refused: steps.NoRoom | None = None
        """That there is no room for it, while it is read whether that is all."""

    @property
    def record(self) -> GridRecord | None:
        """The grid with the change, once that is decided."""
        return self._followed.record if self._followed is not None else None

    @property
    def spent(self) -> bool:
        """Whether a held plan that it takes up is used: hosts were asked for it, or it is wanted no more."""
        used = self._policy is not None and self._policy.spent
        return used or self.state is RequestState.CANCELLED

    @property
    def attempt(self) -> GridId | None:
        """The id under which hosts hold for it now; None if none is asked to."""
        return self._gathering.attempt.grid if self._gathering is not None else None

    def start(self, now: float) -> Answer:
        """Asks the stewards what is decided of the grid."""
        self.stage = Stage.READING
        self.tell(now, f"asking {counted(len(self._stewards), 'steward')} what is decided of it")
        return [], [self._propose(None)]

    # -- what stewards say

    def settled(self, decision: Decision | None, now: float) -> Answer:
        """What is decided of the grid: at first, after the change was proposed, or now and then."""
        record = decision.register.record if decision is not None else None
        if decision is None or record is None or record.id != self.grid_id:
            why = "its stewards know of no such grid"
            return self._fail([f"cannot change {self.grid}: {why}"], now)
        self._stewards, self.epoch = decision.register.stewards, record.epoch
        match self._step:
            case Stage.READING:
                return self._read(decision, record, now)
            case Stage.COMMITTING | Stage.VOIDING:
                return self._decided(decision, record, now)
            case Stage.FOLLOWING:
                assert self._followed is not None
                self._followed.audited(decision, now)
                self._answer(now)
                return [], []
            case _:
                return [], []

    def unsettled(self, why: str, now: float) -> Answer:
        """No majority of stewards answered. If the change is before them, it votes against it until they do."""
        if self._step is Stage.READING:
            if self._refused is not None:
                return self._fail(list(self._refused.lines), now)
            lines = [f"cannot change {self.grid} now: {why}"]
            silent = without_majority(self._stewards, self._surroundings, now)
            return self._fail([*lines, *silent], now)
        if self._step in _SETTLING:
            self._why = why
            self.tell(now, f"the stewards did not decide: {why}")
            self._move(Stage.VOIDING, now + self._dice.uniform(0.5, 1.5))
        return [], []

    def _read(self, decision: Decision, record: GridRecord, now: float) -> Answer:
        wish, name = self._wish, self.grid
        if record.state is GridState.DOWN:
            return self._fail([f"cannot change {name}: it was taken down"], now)
        try:
            old = self._authority.spec(record.standing)
        except Untrusted as error:
            return self._fail([f"cannot change {name}: {error}"], now)
        change = self._change = Change(record, old, wish.terms, self._ends_s)
        if wish.order is not None:
            if record.standing == wish.order:
                self.tell(now, f"this order has changed it already, epoch {record.epoch}")
                return self._follow(decision, change, now)
            if record.epoch != wish.terms.epoch:
                since = changed_since(record, wish.terms.epoch, now)
                lines = already(record, wish.order, now) or since
                return self._fail(lines, now)
            if lines := not_permitted(self._authority, wish.order, record):
                return self._fail(lines, now)
        self.delta = change.delta
        if self._refused is not None:
            self.why = self._refused.why
            return self._fail(list(self._refused.lines), now)
        if self._gathering is not None:
            return self._begin(self._gathering, change, now)
        if faults := change.faults():
            said_so = "\n".join(faults)
            return self._fail(f"cannot change {name}: {said_so}".split("\n"), now)
        if change.nothing:
            self.unchanged = True
            return self._done([up_already(record)], now)
        plans = wish.order is None and change.asks
        if plans and (lines := over_for_plan(name, old.lease, self._ends_s, now)):
            return self._fail(lines, now)
        if unknown := self._unknown(made(change), now):
            return self._fail(list(unknown), now)
        self.tell(now, f"epoch {record.epoch}: {change.said}")
        deployment = msgspec.structs.replace(wish.deployment, owner=record.owner)
        policy = self._policy = _policy(self.id, wish, deployment, record.carriers())
        self._gathering = Gathering(
            self.id, deployment, wish.order, self._surroundings, self._dice, policy, change
        )
        return self._begin(self._gathering, change, now)

    def _begin(self, gathering: Gathering, change: Change, now: float) -> Answer:
        """Begins an attempt. If no host has anything to promise, there is only the commit."""
        if change.asks:
            return self._take(gathering.start((), now), now)
        if self._wish.kind == "plan":
            return self._done([], now)
        gathering.tries += 1
        gathering.again()
        return self._take(gathering.nothing_asked(now), now)

    def _decided(self, decision: Decision, record: GridRecord, now: float) -> Answer:
        """The stewards have decided something. It is this change, another, or none."""
        assert self._change is not None
        assert self._gathering is not None
        attempt, applied = self._gathering.attempt, record.applied
        if applied is not None and applied.attempt == attempt.grid:
            return self._follow(decision, self._change, now, ours=True)
        if self._wish.order is not None and attempt.grid in attempts_in(record):
            lines = already(record, self._wish.order, now)
            return self._done(lines or [f"{self.grid} was changed, and again meanwhile"], now)
        released = attempt.release()
        if record.standing == self._wish.order:
            self.tell(now, "another peer has made the same change")
            effects, outcomes = self._follow(decision, self._change, now)
        elif record.state is GridState.DOWN:
            effects, outcomes = self._fail([f"{self.grid} was taken down meanwhile"], now)
        elif record.epoch != self._change.record.epoch:
            lines = changed_since(record, self._change.record.epoch, now)
            effects, outcomes = self._fail(lines, now)
        elif self._cancelled:
            effects, outcomes = self._fail(["cancelled; nothing is held"], now)
        else:
            line = self._why or "the holds ran out before the stewards decided"
            effects, outcomes = self._take(steps.TryLater(line), now)
        return [*released, *effects], outcomes

    # -- promises

    def quote(self, sender: PeerId, quote: Quote, now: float) -> Answer:
        """A host gives its quote."""
        if self._step is not Stage.QUOTING or self._gathering is None:
            return [], []
        step = self._gathering.quote(sender, quote, now)
        return ([], []) if step is None else self._take(step, now)

    def hold_reply(self, sender: PeerId, reply: HoldReply, now: float) -> Answer:
        """A host holds, or says why not."""
        if self._step is not Stage.HOLDING or self._gathering is None:
            return [], []
        return self._hear(self._gathering.hold_reply(sender, reply, now), now)

    def _hear(self, answered: Answered, now: float) -> Answer:
        for refusal in answered.refused:
            self.tell(now, f"refused by {refusal}".partition("\n")[0])
        if answered.step is None:
            return list(answered.released), []
        effects, outcomes = self._take(answered.step, now)
        return [*answered.released, *effects], outcomes

    def _take(self, step: steps.Gathered | steps.Paused, now: float) -> Answer:
        """Takes the step that follows from what hosts said."""
        assert self._gathering is not None
        self.placement, self.warnings = self._gathering.placement, self._gathering.warnings
        refused = self._gathering.attempt.refused
        match step:
            case steps.TryLater() | steps.NoRoom() if lines := not_now(self.grid, refused):
                return self._fail(lines, now)
            case steps.Await():
                for line in step.story:
                    self.tell(now, line.text if isinstance(line, steps.Once) else line)
                self._move(_STAGES[step.happening], now + step.within_s)
                return list(step.effects), []
            case steps.TryLater(line=line):
                return self._try_later(line, now)
            case steps.Commit():
                return self._commit(now)
            case steps.Shown():
                return self._done([], now)
            case steps.NoRoom():
                return self._no_room(step, now)
            case steps.NotAsQuoted(lines=lines):
                self.moved, self.why = step.moved, step.why
                effects, outcomes = self._fail(list(lines), now)
                return [*step.released, *effects], outcomes
            case steps.Fail(lines=lines) | steps.Look(lines=lines):
                return self._fail(list(lines), now)
            case steps.Keep(proposal=proposal, state=state, line=line):
                self.until_s = proposal.until_s
                self._end(state, [line], now)
                return self._surroundings.keep(proposal), []
            case _:
                assert_never(step)

    def _no_room(self, found: steps.NoRoom, now: float) -> Answer:
        """It does not fit. Before that is said of a change, it is read whether it is of the present still.

        Hosts of a later epoch refuse it, and another peer may have made it.
        """
        assert self._gathering is not None
        if self._wish.order is None:
            self.why = found.why
            return self._fail(list(found.lines), now)
        self._refused = found
        self._move(Stage.READING)
        return self._gathering.attempt.release(), [self._propose(None)]

    def _try_later(self, line: str, now: float) -> Answer:
        """Lets go for a moment, or ends the request if its time would be over then."""
        assert self._gathering is not None
        if line:
            self.tell(now, line)
        attempt = self._gathering.attempt
        pause_s = self._dice.uniform(0.5, 1.5) * BACKOFF_S * max(1, self._gathering.tries)
        if now + pause_s >= self._give_up_s:
            why = dict.fromkeys(str(refusal) for refusal in attempt.refused)
            lines = [f"could not hold all of the change of {self.grid} within {REQUEST_S:.0f} s"]
            lines += [f"  {each}" for each in why or filter(None, (line,))]
            return self._fail([*lines, "  would work: the same again later, or less"], now)
        released = attempt.release()
        self.tell(now, f"letting everything go, trying again in {pause_s:.1f} s")
        self._move(Stage.BACKING_OFF, now + pause_s)
        return released, []

    def _commit(self, now: float) -> Answer:
        assert self._change is not None
        assert self._gathering is not None
        order, attempt = self._wish.order, self._gathering.attempt
        assert order is not None
        record = attempt.draft(order)
        self.tell(now, f"committing with {counted(len(self._stewards), 'steward')}")
        self._move(Stage.COMMITTING)
        files = self._change.new.files
        first = self._surroundings.keep(Attached.of(record, files, now)) if files else []
        return first, [self._propose(Apply(record))]

    def _propose(self, step: Step | None) -> Propose:
        key = order_part(self.grid_id)
        return Propose(ChangeGrid(self.id), key, self._stewards, step, self.id)

    # -- after the decision

    def _follow(
        self, decision: Decision, change: Change, now: float, *, ours: bool = False
    ) -> Answer:
        """It is decided, so hosts are told, until all that it changes is as it is to be."""
        record = decision.register.record
        assert record is not None
        if ours:
            self.tell(now, f"decided, epoch {record.epoch}: {change.said}")
        self.delta = change.delta
        hearing = self._surroundings
        self._followed = Followed(self.id, decision, record, change, self.tell, hearing, now)
        self._move(Stage.FOLLOWING, now)
        return self._followed.announce(now), []

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has the record on disk."""
        if self._followed is not None and self.running:
            self._followed.acknowledged(sender, ack, now)
            self._answer(now)

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are."""
        if self._followed is not None and self.running:
            self._followed.noticed(sender, notice, now)
            self.troubles = self._followed.troubles()
            self._answer(now)

    def _answer(self, now: float) -> bool:
        """Ends the request once there is an answer. Whether there is."""
        assert self._followed is not None
        verdict = self._followed.verdict(now)
        if verdict is not None:
            self._end(verdict.state, verdict.lines, now)
        else:
            self._due_s = self._followed.next_s(now)
        return verdict is not None

    # -- time and people

    def cancel(self, now: float) -> list[Effect]:
        """The person changed their mind. Before the commit everything is let go; after it, it is decided."""
        if self._step in (*_SETTLING, Stage.FOLLOWING, Stage.OVER):
            self._cancelled = True
            return []
        released = self._gathering.attempt.release() if self._gathering is not None else []
        self._end(RequestState.CANCELLED, ["cancelled; nothing is held"], now)
        return released

    def tick(self, now: float) -> Answer:
        """Takes what follows when an answer did not come in time."""
        if now < self._due_s or not self.running:
            return [], []
        gathering, followed = self._gathering, self._followed
        if followed is not None:
            if self._answer(now):
                return [], []
            audit = [self._propose(None)] if followed.audit_due(now) else []
            self._due_s = followed.next_s(now)
            return followed.announce(now), list(audit)
        assert gathering is not None
        assert self._change is not None
        match self._step:
            case Stage.ASKING_SITES:
                return self._take(gathering.request_quotes(()), now)
            case Stage.QUOTING:
                return self._take(gathering.choose(now), now)
            case Stage.HOLDING:
                return self._hear(gathering.overdue(now), now)
            case Stage.BACKING_OFF:
                # Others may have been faster meanwhile: then hosts that know it refuse this again and again.
                self._move(Stage.READING)
                return [], [self._propose(None)]
            case Stage.VOIDING:
                self._due_s = inf
                attempt, order = gathering.attempt.grid, self._wish.order
                return [], [self._propose(self._votes.next(self.grid_id, attempt, order, now))]
            case Stage.READING | Stage.COMMITTING | Stage.FOLLOWING | Stage.OVER:
                return [], []
            case _:
                assert_never(self._step)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._due_s, f"{self.kind} {self._step}") if self._due_s < inf else None

    # -- parts

    def _fail(self, lines: list[str], now: float) -> Answer:
        released = self._gathering.attempt.release() if self._gathering is not None else []
        self._end(RequestState.CANCELLED if self._cancelled else RequestState.FAILED, lines, now)
        return released, []

    def _done(self, lines: list[str], now: float) -> Answer:
        self._end(RequestState.DONE, lines, now)
        return [], []

    def _end(self, state: RequestState, lines: list[str], now: float) -> None:
        self._move(Stage.OVER)
        self.end(state, lines, now)

    def _move(self, stage: Stage, due_s: float = inf) -> None:
        self._step, self._due_s = stage, due_s
        if stage is not Stage.OVER:
            self.stage = stage


def _policy(
    request: RequestId, wish: Wish, deployment: Deployment, carriers: tuple[PeerId, ...]
) -> Policy:
    """How promises are gathered for it. `carriers` have something of the grid, so their offers count."""
    if wish.quoted is not None:
        return Redeeming(deployment, wish.quoted)
    if wish.kind in ("hold", "quote"):
        holds = wish.order is not None
        return Quoting(request, deployment, holds=holds, sure=carriers)
    return Plain(holds=wish.order is not None, sure=carriers)
