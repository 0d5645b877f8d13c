"""One attempt to make an elastic grid larger: quotes, holds, one step of its register.

A host that carries the grid asks for it (growth.py says which one, and when), as a requester does for a change.
What does not fit is left for another time. It ends when it is decided and its hosts know, or when nothing came
of it; then nobody is told, because nobody asked.
"""

from enum import StrEnum
from math import inf

import msgspec

from protocol.contract.authority import Authority
from protocol.contract.messages import Decided, DecidedAck, HoldReply, Quote
from protocol.contract.outcomes import Answer, ChangeGrid, Propose
from protocol.grid.decision import Decision
from protocol.grid.elastic import missing
from protocol.grid.expand import names
from protocol.grid.record import ApplyTerms, order_part, was_decided
from protocol.grid.steps import Decline, Rescale, Step
from protocol.requesting import steps
from protocol.requesting.by_room import AsMuchAsFits, Grown
from protocol.requesting.change import ByRoom, Change
from protocol.requesting.gathering import Answered, Gathering
from protocol.requesting.request import Request, RequestState
from protocol.requesting.surroundings import Surroundings
from protocol.requesting.transitions import Happening
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import DECIDED_EVERY_S
from protocol.terms.quantities import counted

_TOLD_WITHIN_S = 20.0
"""How long hosts that are heard may take to say that they have the record."""


class Stage(StrEnum):
    """Where it is, in the words that people see."""

    ASKING_SITES = "asking other sites"
    QUOTING = "asking for quotes"
    HOLDING = "asking hosts to hold"
    COMMITTING = "asking stewards"
    VOIDING = "asking stewards what became of it"
    TELLING = "telling hosts"
    OVER = "over"


_STAGES = {
    Happening.SITES_ASKED: Stage.ASKING_SITES,
    Happening.QUOTES_REQUESTED: Stage.QUOTING,
    Happening.HOLDS_REQUESTED: Stage.HOLDING,
}


class Growing(Request):
    """One attempt at more of one grid."""

    kind = "grow"

    def __init__(
        self,
        request: RequestId,
        seen: Grown,
        me: PeerId,
        stewards: tuple[PeerId, ...],
        surroundings: Surroundings,
        authority: Authority,
        dice: Dice,
        now: float,
    ) -> None:
        """Raises Untrusted if the grid's owner could not order it now."""
        record = seen.record
        super().__init__(request, record.name, now)
        self.grid_id, self.epoch = record.id, record.epoch
        self._record, self._stewards, self._dice = record, stewards, dice
        self._surroundings = surroundings
        self._step, self._due_s = Stage.QUOTING, inf
        self._told_until_s = inf
        self._unacked: dict[PeerId, None] = {}
        self._decided: Decided | None = None
        whole = authority.to_grow(record, me, now)
        spec = whole.spec
        more = missing(record, spec)
        named = {*(a.workspace for a in record.assignments), *more}
        without = tuple(name for name in names(spec) if name not in named)
        by_room = ByRoom(more, seen.certificate, seen.ends_s, now, me, surroundings.asked)
        self._change = Change(
            record, spec, ApplyTerms(spec, record.epoch, without), by_room=by_room
        )
        members = tuple(w for w in whole.workspaces if w.name in named)
        deployment = msgspec.structs.replace(whole, workspaces=members)
        policy = AsMuchAsFits(record.carriers())
        self._gathering = Gathering(
            request, deployment, record.standing, surroundings, dice, policy, self._change
        )
        self.quiet = True
        """Whether nothing came of it, so that there is nothing to tell."""

    @property
    def attempt(self) -> str:
        """The id under which hosts hold for it."""
        return self._gathering.attempt.grid

    def start(self, now: float) -> Answer:
        """Asks hosts for quotes."""
        self.tell(now, f"epoch {self._record.epoch}: room may have come for more of it")
        return self._take(self._gathering.start((), now), now)

    # -- promises

    def quote(self, sender: PeerId, quote: Quote, now: float) -> Answer:
        """A host gives its quote."""
        if self._step is not Stage.QUOTING:
            return [], []
        step = self._gathering.quote(sender, quote, now)
        return ([], []) if step is None else self._take(step, now)

    def hold_reply(self, sender: PeerId, reply: HoldReply, now: float) -> Answer:
        """A host holds, or says why not."""
        if self._step is not Stage.HOLDING:
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
        match step:
            case steps.Await():
                for line in step.story:
                    self.tell(now, line.text if isinstance(line, steps.Once) else line)
                self._move(_STAGES[step.happening], now + step.within_s)
                return list(step.effects), []
            case steps.Commit():
                record = self._gathering.attempt.draft(self._record.standing)
                self.placement = self._gathering.placement
                self.tell(now, f"committing with {counted(len(self._stewards), 'steward')}")
                self._move(Stage.COMMITTING)
                return [], [self._propose(Rescale(record))]
            case steps.NoRoom(lines=lines) | steps.Fail(lines=lines) | steps.Look(lines=lines):
                return self._give_up(list(lines), now)
            case steps.TryLater(line=line) | steps.Keep(line=line):
                return self._give_up([line or "no room yet"], now)
            case steps.Shown() | steps.NotAsQuoted():
                return self._give_up(["no room yet"], now)

    def _give_up(self, lines: list[str], now: float) -> Answer:
        released = self._gathering.attempt.release()
        self._move(Stage.OVER)
        self.end(RequestState.FAILED, lines, now)
        return released, []

    def _propose(self, step: Step) -> Propose:
        key = order_part(self.grid_id)
        return Propose(ChangeGrid(self.id), key, self._stewards, step, self.id)

    # -- what stewards say

    def settled(self, decision: Decision | None, now: float) -> Answer:
        """The stewards have decided this, or something else."""
        if self._step not in (Stage.COMMITTING, Stage.VOIDING):
            return [], []
        record = decision.register.record if decision is not None else None
        mine = self._gathering.attempt.grid
        if decision is None or record is None or not was_decided(record, mine):
            return self._give_up(["another change was first"], now)
        self.quiet, self.epoch = False, record.epoch
        self.tell(now, f"decided, epoch {record.epoch}: {self._change.said_of(record)}")
        self._decided = Decided(decision.certificate)
        self._unacked = dict.fromkeys(record.carriers())
        self._told_until_s = now + _TOLD_WITHIN_S
        self._move(Stage.TELLING, now + DECIDED_EVERY_S)
        return self._announce(), []

    def unsettled(self, why: str, now: float) -> Answer:
        """No majority of stewards answered: it votes against itself until they do."""
        if self._step in (Stage.COMMITTING, Stage.VOIDING):
            self.tell(now, f"the stewards did not decide: {why}")
            self._move(Stage.VOIDING, now + self._dice.uniform(0.5, 1.5))
        return [], []

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has the record on disk."""
        if self._step is Stage.TELLING and ack.epoch >= self.epoch:
            self._unacked.pop(sender, None)
            self._over(now)

    def _announce(self) -> list[Effect]:
        assert self._decided is not None
        return [Send(peer, self._decided, self.id) for peer in self._unacked]

    def _over(self, now: float) -> bool:
        waits = [p for p in self._unacked if self._surroundings.silence(p, now) is None]
        if waits and now < self._told_until_s:
            return False
        self._move(Stage.OVER)
        said = f"{self.grid} is larger by room that came: epoch {self.epoch}"
        self.end(RequestState.DONE, [said], now)
        return True

    # -- time

    def tick(self, now: float) -> Answer:
        """Takes what follows when an answer did not come in time."""
        if now < self._due_s or not self.running:
            return [], []
        match self._step:
            case Stage.ASKING_SITES:
                return self._take(self._gathering.request_quotes(()), now)
            case Stage.QUOTING:
                return self._take(self._gathering.choose(now), now)
            case Stage.HOLDING:
                return self._hear(self._gathering.overdue(now), now)
            case Stage.VOIDING:
                self._due_s = inf
                mine = self._gathering.attempt.grid
                return [], [self._propose(Decline(self.grid_id, mine, self._record.standing))]
            case Stage.TELLING:
                if self._over(now):
                    return [], []
                self._due_s = now + DECIDED_EVERY_S
                return self._announce(), []
            case Stage.COMMITTING | Stage.OVER:
                return [], []

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._due_s, f"grow {self._step}") if self._due_s < inf else None

    def _move(self, stage: Stage, due_s: float = inf) -> None:
        self._step, self._due_s = stage, due_s
        if stage is not Stage.OVER:
            self.stage = stage
