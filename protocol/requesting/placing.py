"""The requester's side of quote, hold, commit: one request to place one grid, of whatever kind.

Rules. transitions.py has what can follow what, policies.py what differs between a plan, a quote and an `up`,
and steps.py what may be done next. Promises are gathered (gathering.py). After four rounds all of them are
let go, and the request tries again after a jittered pause, until its deadline (waiting.py). Committing is one
step of its order's register: after it there is a grid, or there never will be. When the stewards do not
answer, nobody knows which. So the attempt is voted down until somebody answers, and only then is the person
told, truthfully.
"""

from math import inf
from typing import assert_never

from protocol.contract.authority import Deployment
from protocol.contract.messages import DecidedAck, HoldReply, NameReply, Quote, RoomKept
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer, CommitGrid, Outcome, Propose
from protocol.grid.decision import Decision
from protocol.grid.record import GridRecord, GridState, order_part
from protocol.grid.steps import Commit, Step, against
from protocol.requesting import steps
from protocol.requesting.attached import Attached
from protocol.requesting.attempt import Attempt
from protocol.requesting.building import Building, Verdict
from protocol.requesting.gathering import Answered, Gathering
from protocol.requesting.looking import as_made, concluded, kept_for, taken, unanswered, up_already
from protocol.requesting.namesake import Namesakes, asked_others
from protocol.requesting.naming import Naming, Word
from protocol.requesting.policies import Plain, Policy
from protocol.requesting.request import Request, RequestState
from protocol.requesting.steps import Conclusion, Gathered, Look, Paused, Reason
from protocol.requesting.surroundings import Surroundings
from protocol.requesting.transitions import RESTING, SETTLING, Happening, Stage, after
from protocol.requesting.waiting import Waiting
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, earliest
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import AUDIT_EVERY_S, DECIDED_EVERY_S
from protocol.terms.quantities import counted
from protocol.trust.order import SignedOrder

_LOOK_S = 0.05


class Placing(Request):
    """One plan (without an order to sign it, or with one that only holds) or one `up`."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        surroundings: Surroundings,
        dice: Dice,
        now: float,
        policy: Policy | None = None,
    ) -> None:
        """Without a policy it is a `plan`, or, with an order, an `up` that fails if there is no room."""
        super().__init__(request, deployment.name, now)
        policy = Plain(holds=order is not None) if policy is None else policy
        self.kind, self._policy = policy.kind, policy
        self.deployment, self.order = deployment, order
        self._surroundings, self._dice = surroundings, dice
        self._step = Stage.STARTING
        self._due_s = inf
        """When the present stage ends if nothing happens before."""
        self._cancelled = False
        self._gathering = Gathering(request, deployment, order, surroundings, dice, policy)
        self._waiting = Waiting(
            request, deployment, order, surroundings, dice, policy.queueing, now
        )
        self._building: Building | None = None
        self._told_made, self._ask_s = False, now
        """Whether somebody tells that its order made a grid, and when its stewards may be asked about that."""
        commits = order if deployment.commits else None
        self._naming, self._held = Naming(request, commits), False
        self._namesakes = Namesakes(deployment, surroundings)
        self._look: Look | None = None
        """Why the stewards are asked first, or will be; None if they are not."""

    @property
    def grid_id(self) -> GridId:
        """The id that the grid of this attempt will have, or the id of the grid that this order has made."""
        return self._building.record.id if self._building is not None else self._attempt.grid

    @property
    def record(self) -> GridRecord | None:
        """The grid, once it is decided."""
        return self._building.record if self._building is not None else None

    @property
    def undecided(self) -> GridRecord | None:
        """The record that is before the stewards; None if none is."""
        if self._step in SETTLING and self.order is not None:
            return self._attempt.draft(self.order)
        return None

    @property
    def queues(self) -> bool:
        """Whether it waits in this peer's queue when there is no room."""
        return self._policy.queueing is not None

    @property
    def spent(self) -> bool:
        """Whether a held plan that it takes up is used: hosts were asked for it, or it is wanted no more."""
        return self._policy.spent or self.state is RequestState.CANCELLED

    # -- looking

    def begin(self, now: float, look: Look | None = None) -> Answer:
        """Begins as soon as it is known which hosts to ask. With a `look`, the stewards are asked first."""
        if self._surroundings.blind(now):
            self._look = look
            if self._step is not Stage.HEARING:
                self._say(now, "this peer was just started; hearing of others first")
            self._move(Happening.BLIND, now + _LOOK_S)
            return [], []
        if look is None:
            return self.start(now), []
        self._gathering.again()
        return self.look(look, now)

    def look(self, look: Look, now: float) -> Answer:
        """Asks the stewards whether this order has made its grid. If so, the request follows that grid."""
        effects = self._attempt.release()
        self._look = look = self._namesakes.looked(look)
        self._say(now, "asking the stewards whether it is made already")
        self._move(Happening.STEWARDS_ASKED)
        return effects, [self._propose(None, look.there)]

    # -- gathering

    @property
    def _attempt(self) -> Attempt:
        return self._gathering.attempt

    def start(self, now: float) -> list[Effect]:
        """Begins an attempt: asks every candidate for a quote."""
        if self._waiting.expired(now):
            return self._fail([f"{self.grid} found no room while its order was valid"], now)
        self._waiting.tried(now)
        # First, so that a host that answers at once, as this one does, ends nothing that is not begun.
        named = self._naming.ask(self._surroundings.guards(self.deployment.key), now)
        effects, _ = self._take(self._gathering.start(self._waiting.claimed, now), now)
        return named + effects

    def resume(self, now: float) -> list[Effect]:
        """The same for a request that waited already before this peer was started."""
        self.state = RequestState.QUEUED
        return self.start(now)

    def quote(self, sender: PeerId, quote: Quote, now: float) -> Answer:
        """A host gives its quote. The request goes on when all hosts have."""
        if self._step is not Stage.QUOTING:
            return [], []
        step = self._gathering.quote(sender, quote, now)
        return ([], []) if step is None else self._take(step, now)

    def hold_reply(self, sender: PeerId, reply: HoldReply, now: float) -> Answer:
        """A host holds, or says why not."""
        if reply.grid != self.grid_id or self._step is not Stage.HOLDING:
            return [], []
        return self._hear(self._gathering.hold_reply(sender, reply, now), now)

    def _hear(self, answered: Answered, now: float) -> Answer:
        for refusal in answered.refused:
            self._say(now, f"refused by {refusal}")
        if answered.step is None:
            return [], []
        effects, outcomes = self._take(answered.step, now)
        return [*answered.released, *effects], outcomes

    def _take(self, step: Gathered | Paused | Conclusion, now: float) -> Answer:
        """Takes the step that follows from what hosts or stewards said."""
        self.placement, self.start_s = self._gathering.placement, self._gathering.start_s
        self.warnings = self._gathering.warnings
        match step:
            case steps.Await():
                return self._await(step, now), []
            case steps.Begin():
                return self.start(now), []
            case steps.Look():
                return self.look(step, now)
            case steps.Commit():
                return self._named(now)
            case steps.Follow():
                return self._follow(step, now), []
            case steps.TryLater(line=line):
                if line:
                    self._say(now, line)
                tries = self._gathering.tries
                return self._take(self._waiting.try_later(self._attempt, tries, now), now)
            case steps.NoRoom(lines=lines):
                self.why = step.why
                return self._take(self._waiting.no_room(self._attempt, lines, now), now)
            case steps.Shown():
                self._finish(RequestState.DONE, [], now)
                return [], []
            case steps.Keep(proposal=proposal, state=state, line=line):
                self.until_s = proposal.until_s
                self._finish(state, [line], now)
                return self._surroundings.keep(proposal), []
            case steps.NotAsQuoted(released=released, lines=lines):
                self.moved, self.why = step.moved, step.why
                return [*released, *self._fail(list(lines), now)], []
            case steps.Unchanged(record=record):
                self.unchanged = True
                self._finish(RequestState.DONE, [up_already(record)], now)
                return [], []
            case steps.Fail(lines=lines):
                self.differs = step.differs
                return self._fail(list(lines), now), []
            case _:
                assert_never(step)

    def _await(self, step: steps.Await, now: float) -> list[Effect]:
        self._move(step.happening, now + step.within_s)
        for line in step.story:
            if isinstance(line, steps.Once):
                self.tell(now, line.text)
            else:
                self._say(now, line)
        if step.queued:
            self.state, self.answer = RequestState.QUEUED, step.queued
        return list(step.effects)

    # -- waiting

    def kept(self, sender: PeerId, message: RoomKept, now: float) -> None:
        """A host tells for how much of the claims there it has room. Once that is enough, the request tries."""
        at_s = self._waiting.kept(sender, message, now)
        if self._step in RESTING:
            self._due_s = min(self._due_s, at_s)

    def woken(self, now: float, here: bool = False) -> None:
        """Some host tells of more room than before, or this one has other room (`here`)."""
        if self._step is Stage.QUEUED:
            self._waiting.woken(now, here)

    def line_up(self, first: bool) -> None:
        """Says whether it is now the oldest request of its owner that waits here."""
        self._waiting.line_up(first)

    # -- committing

    def name_reply(self, sender: PeerId, reply: NameReply, now: float) -> Answer:
        """A guard of the name says whether another order has it."""
        self._naming.replied(sender, reply)
        if self._step is Stage.HOLDING and self._held:
            return self._named(now)
        return [], []

    def _named(self, now: float) -> Answer:
        """What is held is committed, unless somebody else has the name."""
        self._held = True
        there = self._namesakes.find()
        if there is not None and order_part(there.grid) != self.deployment.order:
            hearsay = self._namesakes.hearsay(there)
            return self.look(Look(steps.Reason.NAME_IS_UP, taken(there), there, hearsay), now)
        match self._naming.word(now):
            case Word.WAIT:
                self._due_s = self._naming.until_s
                return [], []
            case Word.TAKEN:
                another = steps.TryLater("another order is making a grid of that name")
                return self._conclude(another, now)
            case Word.FREE:
                return self._commit(now)

    def _commit(self, now: float) -> Answer:
        assert self.order is not None
        self._move(Happening.PROPOSED)
        stewards = counted(len(self.deployment.stewards), "steward")
        held, wanted = len(self._attempt.held), len(self.deployment.workspaces)
        many = "all" if held == wanted else f"{held} of {wanted}"
        self._say(now, f"{many} held; committing with {stewards}")
        record = self._attempt.draft(self.order)
        files = self.deployment.spec.files
        first = self._surroundings.keep(Attached.of(record, files, now)) if files else []
        return first, [self._propose(Commit(record))]

    def _propose(self, step: Step | None, there: Notice | None = None) -> Propose:
        grid, stewards, order = self.grid_id, self.deployment.stewards, self.order
        key = self.deployment.order
        if self._building is not None:
            key, stewards = order_part(self._building.record.id), self._building.stewards
        elif there is not None:
            key, stewards, order = order_part(there.grid), there.stewards, None
        return Propose(CommitGrid(grid), key, stewards, step, self.id, order)

    def settled(self, decision: Decision | None, now: float) -> Answer:
        """What is decided after the commit, after the vote against it, or now and then."""
        if self._building is not None and self._step is Stage.BUILDING:
            if decision is not None:
                self._end(self._building.audited(decision), now)
        elif self._step in (Stage.LOOKING, *SETTLING):
            look = self._look if self._step is Stage.LOOKING else None
            there = look.there if look is not None else None
            if look is not None and (again := asked_others(look, decision)) is not None:
                return self.look(again, now)
            if there is not None:
                self._namesakes.answered(there, decision)
            elif decision is not None:
                self._gathering.first = decision.register.first
            wanted, cancelled = self.deployment.spec, self._cancelled
            return self._conclude(concluded(decision, self.grid_id, wanted, look, cancelled), now)
        return [], []

    def unsettled(self, why: str, now: float) -> Answer:
        """No majority of stewards answered. Nobody knows, so it votes against the grid until somebody does."""
        if self._look is not None and self._step is Stage.LOOKING:
            self._namesakes.unanswered(self._look)
            return self._conclude(unanswered(self._look), now)
        if self._step in SETTLING:
            self._say(now, f"the stewards did not decide: {why}")
            self._move(Happening.UNSETTLED, now + self._dice.uniform(0.5, 1.5))
        return [], []

    def _conclude(self, conclusion: Conclusion, now: float) -> Answer:
        """Lets go of promises that are not in a grid of this attempt, and takes the step that follows."""
        self._held = False
        released = self._attempt.release(kept_for(conclusion))
        if not isinstance(conclusion, steps.Follow):
            released += self._naming.end()
        effects, outcomes = self._take(conclusion, now)
        return released + effects, outcomes

    # -- building

    def _follow(self, step: steps.Follow, now: float) -> list[Effect]:
        """There is a grid of this order, so the request follows that until it is up."""
        if not step.ours:
            self.warnings = ()
            self.placement = as_made(self.deployment.workspaces, step.record)
            mine = order_part(step.record.id) == self.deployment.order
            self._say(now, "this order has made it already" if mine else up_already(step.record))
        self.state, self.answer, record = RequestState.RUNNING, (), step.record
        effects = self._waiting.end(record.carriers())
        if record.state is GridState.DOWN:
            return effects + self._fail([f"{self.grid} was taken down meanwhile"], now)
        if step.ours:
            many = counted(len(record.assignments), "workspace")
            self._say(now, f"committed: {many}, epoch {record.epoch}")
        spec, wanted = self.deployment.spec, len(self.deployment.workspaces)
        hearing = self._surroundings
        self._building = Building(
            self.id, step.decision, record, spec, wanted, self._say, hearing, now
        )
        self._move(Happening.DECIDED, now + DECIDED_EVERY_S)
        return effects + self._building.announce()

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has the record on disk."""
        if self._building is not None and self.running:
            self._end(self._building.acknowledged(sender, ack, now), now)

    def noticed(self, sender: PeerId, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are."""
        if self._building is not None and self.running:
            self._end(self._building.noticed(sender, notice, now), now)
            if self.running:
                self._due_s = min(self._due_s, self._building.next_s(now))
            self.troubles = self._building.troubles() if self.running else ()
        elif self.queues and self._step in (Stage.QUEUED, Stage.QUOTING):
            mine = order_part(notice.grid) == order_part(self.grid_id)
            # Perhaps its order made it before a restart. Anybody can tell that, so the stewards are asked.
            self._told_made = self._told_made or (mine and notice.state is GridState.UP)

    def _end(self, verdict: Verdict | None, now: float) -> None:
        if verdict is not None:
            down = verdict.state is RequestState.CANCELLED and not self._cancelled
            noted = self.warnings if verdict.state is RequestState.DONE else ()
            lines = [*verdict.lines, *(f"  note: {line}" for line in noted)]
            self._finish(RequestState.FAILED if down else verdict.state, lines, now)

    def _build(self, now: float) -> Answer:
        """Tells hosts again, asks the stewards, or gives the person an answer, as it is time."""
        assert self._building is not None
        if (verdict := self._building.overdue(now)) is not None:
            self._end(verdict, now)
            return [], []
        audits: list[Outcome] = []
        if self._building.audit_due(now):
            audits.append(self._propose(None))
        self._due_s = self._building.next_s(now)
        return self._building.announce(), audits

    # -- time and people

    def cancel(self, now: float) -> list[Effect]:
        """The person changed their mind. Before the commit everything is let go; after it, use `down`."""
        if after(self._step, Happening.CANCELLED) is self._step:
            self._cancelled = True
            return []
        rest = "it waits no more" if self._step is Stage.QUEUED else "nothing is held"
        effects = self._attempt.release() + self._waiting.end() + self._naming.end()
        self._move(Happening.CANCELLED)
        self.end(RequestState.CANCELLED, [f"cancelled; {rest}"], now)
        return effects

    def unsaved(self, why: str, now: float) -> list[Effect]:
        """The store refused to keep the request, so it cannot wait here."""
        return self._fail([f"cannot queue {self.grid}: {why}"], now)

    def tick(self, now: float) -> Answer:
        """Takes what follows when an answer did not come in time."""
        if self._step is Stage.QUEUED and self._told_made and now >= self._ask_s:
            self._told_made, self._ask_s = False, now + AUDIT_EVERY_S
            return self.look(Look(Reason.GIVEN_BEFORE), now)
        if self._step is Stage.QUEUED and self._waiting.again(self._attempt, self._due_s, now):
            return self.start(now), []
        if self._step in RESTING and now >= self._waiting.renew_s:
            return self._waiting.renew(now), []
        if now < self._due_s:
            return [], []
        match self._step:
            case Stage.HEARING:
                return self.begin(now, self._look)
            case Stage.ASKING_SITES:
                return self._await(self._gathering.request_quotes(self._waiting.claimed), now), []
            case Stage.QUOTING:
                return self._take(self._gathering.choose(now), now)
            case Stage.HOLDING:
                return self._hear(self._gathering.overdue(now), now)
            case Stage.BACKING_OFF:
                return self.start(now), []
            case Stage.VOIDING:
                self._due_s = inf
                return [], [self._propose(against(self.grid_id))]
            case Stage.BUILDING:
                return self._build(now)
            case Stage.STARTING | Stage.LOOKING | Stage.QUEUED | Stage.COMMITTING | Stage.OVER:
                return [], []
            case _:
                assert_never(self._step)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        rests = self._step in RESTING
        due_s = min(self._due_s, self._waiting.renew_s) if rests else self._due_s
        due = Deadline(due_s, f"{self.kind} {self._step}") if due_s < inf else None
        if self._step is not Stage.QUEUED:
            return due
        ask = Deadline(self._ask_s, f"{self.kind} told made") if self._told_made else None
        return earliest(due, self._waiting.next_look(), ask)

    # -- parts

    def _fail(self, lines: list[str], now: float) -> list[Effect]:
        state = RequestState.CANCELLED if self._cancelled else RequestState.FAILED
        effects = self._attempt.release() + self._waiting.end() + self._naming.end()
        self._finish(state, lines, now)
        return effects

    def _finish(self, state: RequestState, lines: list[str], now: float) -> None:
        self._move(Happening.ANSWERED)
        self.end(state, lines, now)

    def _say(self, now: float, text: str) -> None:
        """Adds to its story, which does not repeat itself while it waits for room."""
        if self.state is not RequestState.QUEUED:
            self.tell(now, text)

    def _move(self, happening: Happening, due_s: float = inf) -> None:
        """Moves to the stage that follows, which lasts until `due_s` if nothing else happens."""
        self._step, self._due_s = after(self._step, happening), due_s
        if self._step is not Stage.OVER:
            self.stage = self._step
