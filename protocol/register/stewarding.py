"""The proposer's half of CASPaxos, which only stewards have: one step of a register at a time.

Rules. A steward reads what a majority accepted last, judges the step once, from what it read, and has a
majority accept the result. What it proposes it accepts first, so that is on disk before anybody hears of it:
no ballot is ever used for two values, also not by two lives of one steward. Round 0 is the first steward's,
who needs no promise for it while it knows of no other: so a commit is one round. A step that changes nothing
is brought to a majority all the same, since only that shows what is decided. After a conflict it pauses for
about one round trip, jittered: in a model of ten proposers at once that settles with p99 1.5 s, where deep
exponential back-off takes 4.8 s.

A step may close the set of stewards (grid/seal.py). Once that is decided, the steward goes over to the next
set, if it is in that, and brings its step to a majority there; so what the old set decided last is the first
that the new one decides. Otherwise it says who the stewards are by now.

Whoever lies among others can say any round; so a steward goes no further than what a majority of those that
answer needs, and says none that they would refuse.
"""

from typing import Protocol

import msgspec

from protocol.grid.decision import (
    ACCEPTANCE,
    VALUE_BYTES_MOST,
    Ballot,
    Certificate,
    acceptance,
    check_certificate,
    heirs_of,
    majority,
    promise,
)
from protocol.grid.decision import PROMISE as PROMISE_DOMAIN
from protocol.grid.record import Register
from protocol.grid.statement import Word
from protocol.grid.steps import Commit, End, Replace, Step
from protocol.register.acceptor import Acceptor
from protocol.register.messages import (
    WHY_CHARACTERS_MOST,
    Accept,
    Accepted,
    Conflict,
    Prepare,
    Promise,
    Sealed,
    StepAsk,
    StepDone,
    StepFailed,
)
from protocol.register.slot import Kept
from protocol.register.witness import Witness
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send, soonest
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import (
    REGISTER_REPLY_WITHIN_S,
    ROUND_LEAP,
    ROUND_MOST,
    STEPS_OF_ONE,
    STEPS_WAITING,
    STEWARD_TRIES_S,
)
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Reason, Untrusted, Verifier
from protocol.wire.codec import Malformed, encode

_END_BYTES = 16 << 10
"""Room that other steps leave in a value for the order that ends its grid."""


class Judge(Protocol):
    """Whether a step is allowed, and what follows from it."""

    def judges(self, key: str, value: bytes) -> Register:
        """The register that a value of that key says. Raises Untrusted if it does not vouch for itself."""

    def follows(
        self, order: SignedOrder, register: Register, step: Step, asker: PeerId, now: float
    ) -> Register:
        """What the register is after the step. Raises Untrusted if it goes beyond what its owner ordered."""


class _Job:
    """One step on its way; the first of those that wait for its register."""

    def __init__(self, asker: PeerId, ask: StepAsk) -> None:
        self.asker, self.ask = asker, ask
        self.tries = 0
        self.deadline_s = 0.0
        self.until_s = 0.0
        """When it is given up; 0 before its first attempt."""
        self.ballot: Ballot | None = None
        """None while it pauses."""
        self.term = 0
        """Of the stewards that this attempt asks."""
        self.promises: dict[PeerId, tuple[Ballot | None, bytes]] = {}
        self.value: bytes | None = None
        self.after = Register()
        """What that value says."""
        self.votes: dict[PeerId, bytes] = {}
        self.promised: dict[PeerId, int] = {}
        """The rounds that other stewards told of."""


class Stewarding:
    """The steps that this peer has decided, as a steward."""

    def __init__(
        self, acceptor: Acceptor, verifier: Verifier, judge: Judge, dice: Dice, witness: Witness
    ) -> None:
        self._acceptor, self._verifier, self._judge, self._dice = acceptor, verifier, judge, dice
        self._witness = witness
        self._me = acceptor.me
        self._jobs: dict[str, list[_Job]] = {}

    def ask(self, sender: PeerId, message: StepAsk, now: float) -> list[Effect]:
        """Somebody wants a step."""
        key, step = message.register, message.step
        jobs = self._jobs.get(key, [])
        if any((job.asker, job.ask.ask) == (sender, message.ask) for job in jobs):
            return []
        learnt: list[Effect] = []
        try:
            if isinstance(step, Replace) and sender != self._me:
                raise Untrusted(
                    Reason.WRONG_ROLE, "a steward replaces others by what it sees itself"
                )
            if message.evidence is not None:
                learnt = self._evidence(key, message.evidence, now)
            self._open(key, message, now)
        except Untrusted as error:
            return [*learnt, _failed(sender, message, error.detail, refused=True)]
        if len(jobs) >= STEPS_WAITING:
            return [*learnt, _failed(sender, message, f"{STEPS_WAITING} steps wait here already")]
        if sum(job.asker == sender for job in jobs) >= STEPS_OF_ONE:
            why = f"{STEPS_OF_ONE} steps of the same peer wait here already"
            return [*learnt, _failed(sender, message, why)]
        self._jobs[key] = [*jobs, _Job(sender, message)]
        return learnt + (self._begin(key, now) if not jobs else [])

    def _evidence(self, key: str, evidence: Certificate, now: float) -> list[Effect]:
        """What was decided before. It may show that this host forgot what it signed. Raises Untrusted."""
        decision = check_certificate(evidence, self._verifier)
        if evidence.register != key:
            return []
        self._witness.certified(decision)
        order, mine = decision.register.ordered, self._witness.newest(key, self._me)
        reminded = self._acceptor.reminded(key, order, mine, now) if mine is not None else []
        return reminded or self._acceptor.learn(key, evidence, now)

    def handle(
        self, sender: PeerId, message: Promise | Accepted | Conflict | Sealed, now: float
    ) -> list[Effect]:
        """Another steward answers. Answers to older ballots are ignored. Raises Untrusted for a lie."""
        key = message.register
        job = next(iter(self._jobs.get(key, [])), None)
        kept = self._acceptor.get(key)
        if isinstance(message, Accepted) and (job is None or job.ballot != message.ballot):
            self._late(key, kept, sender, message)
        if job is None or kept is None or sender not in kept.stewards:
            return []
        if isinstance(message, Sealed):
            moved = self._acceptor.follow(message, now)
            return moved + self._begin(key, now) if moved else []
        if job.ballot is None or job.ballot != message.ballot:
            return []
        if job.term != kept.term:
            self._pause(job, now)
            return []
        match message:
            case Promise():
                return self._promised(key, kept, job, sender, message, now)
            case Accepted():
                if job.value is None:
                    return []
                self._require_vote(key, kept, job, sender, job.value, message)
                job.votes[sender] = message.signature
                return self._decided(key, kept, job, now)
            case Conflict(promised=promised):
                job.promised[sender] = promised.round
                self._pause(job, now)
                return []

    def tick(self, now: float) -> list[Effect]:
        """Tries steps again whose time has come, or gives up on them."""
        effects: list[Effect] = []
        for key, jobs in list(self._jobs.items()):
            job = jobs[0]
            if now < job.deadline_s:
                continue
            if now >= job.until_s:
                effects += self._give_up(key, job, now)
            elif job.ballot is None:
                effects += self._begin(key, now)
            else:
                self._pause(job, now)
        return effects

    def next_deadline(self) -> Deadline | None:
        """When a step must go on."""
        if not self._jobs:
            return None
        return soonest((jobs[0].deadline_s for jobs in self._jobs.values()), "steward")

    # -- one attempt

    def _begin(self, key: str, now: float) -> list[Effect]:
        """Tries the first step of that register, under a ballot that was never used."""
        job = self._jobs[key][0]
        try:
            kept = self._open(key, job.ask, now)
        except Untrusted as error:
            return self._end(key, _failed(job.asker, job.ask, error.detail, refused=True), now)
        if self._me not in kept.stewards:
            return self._end(key, Send(job.asker, kept.sealed(job.ask.ask, key)), now)
        job.tries += 1
        job.until_s = job.until_s or now + STEWARD_TRIES_S
        job.deadline_s = now + REGISTER_REPLY_WITHIN_S
        job.promises, job.votes, job.value, job.term = {}, {}, None, kept.term
        slot, stewards = kept.slot, kept.stewards
        first = Ballot(0, self._me)
        if slot.accepted is None and slot.promised == first and not kept.term:
            job.ballot = first
            return self._propose(key, kept, job, b"", now)
        round_ = self._round(kept, job)
        if round_ > ROUND_MOST:
            return self._end(key, _failed(job.asker, job.ask, "this register is used up"), now)
        job.ballot = Ballot(round_, self._me)
        save = self._acceptor.promise_own(key, kept, job.ballot)
        job.promises[self._me] = (slot.accepted, slot.value)
        prepare = Prepare(register=key, ballot=job.ballot, order=kept.order, seals=slot.seals)
        others = [
            Send(peer, msgspec.structs.replace(prepare, yours=self._witness.newest(key, peer)))
            for peer in stewards
            if peer != self._me
        ]
        return [*save, *others, *self._read(key, kept, job, now)]

    def _round(self, kept: Kept, job: _Job) -> int:
        """The next round: above this steward's, and above those of as many others as it needs, if they told.

        While not all others told, it leaps only so far that one that missed a leap still follows.
        """
        own, needed = kept.slot.promised.round, majority(kept.stewards) - 1
        told = sorted(job.promised.values())
        most = told[min(needed, len(told)) - 1] if needed and told else 0
        if len(told) < len(kept.stewards) - 1:
            most = min(most, own + ROUND_LEAP // 2)
        return max(own, most) + 1

    def _open(self, key: str, ask: StepAsk, now: float) -> Kept:
        """The register that a step is of. Raises Untrusted if this peer is not its steward, or never was."""
        kept, step = self._acceptor.get(key), ask.step
        if kept is not None and len(ask.seals) <= kept.term:
            return kept
        order = step.record.order if isinstance(step, Commit) else ask.order
        if order is None and kept is not None:
            order = kept.order
        if order is None and ask.evidence is not None:
            order = check_certificate(ask.evidence, self._verifier).register.ordered
        if order is None:
            raise Untrusted(Reason.MALFORMED, "this steward knows nothing of that order")
        return self._acceptor.open(key, order, now, ask.seals)

    def _promised(
        self, key: str, kept: Kept, job: _Job, sender: PeerId, message: Promise, now: float
    ) -> list[Effect]:
        store = kept.seats.store_of(sender)
        said = promise(key, message.ballot, message.accepted, message.value, kept.term, store)
        if not self._verifier.verify(KeyId(sender), PROMISE_DOMAIN, said, message.signature):
            raise Untrusted(Reason.BAD_SIGNATURE, "a promise that is not signed")
        if message.accepted is not None:
            if message.accepted > message.ballot:
                raise Untrusted(Reason.MALFORMED, "a promise below what was accepted")
            if self._judge.judges(key, message.value).term != kept.term:
                raise Untrusted(Reason.MALFORMED, "a promise with what other stewards decided")
        self._witness.saw(sender, Word.PROMISE, said, message.signature)
        job.promises[sender] = (message.accepted, message.value)
        return self._read(key, kept, job, now)

    def _require_vote(
        self, key: str, kept: Kept, job: _Job, by: PeerId, value: bytes, told: Accepted
    ) -> None:
        """A steward signed that it accepted the value. Raises Untrusted."""
        heirs, store = heirs_of(job.after), kept.seats.store_of(by)
        said = acceptance(key, told.ballot, value, kept.term, heirs, store)
        if not self._verifier.verify(KeyId(by), ACCEPTANCE, said, told.signature):
            raise Untrusted(Reason.BAD_SIGNATURE, "an acceptance that is not signed")
        self._witness.saw(by, Word.ACCEPTANCE, said, told.signature)

    def _late(self, key: str, kept: Kept | None, sender: PeerId, told: Accepted) -> None:
        """It is needed no more, and remembered all the same, if it is of what this steward accepted too."""
        if kept is None or sender not in kept.stewards or kept.slot.accepted != told.ballot:
            return
        value, heirs, store = kept.slot.value, heirs_of(kept.register), kept.seats.store_of(sender)
        said = acceptance(key, told.ballot, value, kept.term, heirs, store)
        if self._verifier.verify(KeyId(sender), ACCEPTANCE, said, told.signature):
            self._witness.saw(sender, Word.ACCEPTANCE, said, told.signature)

    def _read(self, key: str, kept: Kept, job: _Job, now: float) -> list[Effect]:
        """A majority told what it accepted last: the newest of that is what the step is judged from."""
        if job.value is not None or len(job.promises) < majority(kept.stewards):
            return []
        newest: tuple[Ballot, bytes] | None = None
        for accepted, value in job.promises.values():
            if accepted is not None and (newest is None or accepted > newest[0]):
                newest = (accepted, value)
        before = newest[1] if newest is not None else self._acceptor.begins(kept)
        if before is None:
            # Another steward of this set knows what it begins with, and has it decided.
            self._pause(job, now)
            return []
        return self._propose(key, kept, job, before, now)

    def _propose(self, key: str, kept: Kept, job: _Job, before: bytes, now: float) -> list[Effect]:
        """Judges the step from what was read, accepts what follows, and asks the others to."""
        assert job.ballot is not None
        kept = self._acceptor.get(key) or kept
        # Two that lie may have shown a certificate under this steward's own ballot, which it learnt.
        used = kept.slot.accepted == job.ballot
        lost = kept.term != job.term or not self._acceptor.sits(kept.seats)
        if used or lost or kept.slot.promised > job.ballot:
            self._pause(job, now)
            return []
        try:
            value, after = self._after(key, kept, job, before, now)
            # Whoever asked answers for a value that no steward would take, not who has just promised.
            empty = after == Register()
            save = self._acceptor.accept_own(key, kept, job.ballot, value) if not empty else []
        except (Untrusted, Malformed) as error:
            return self._end(key, _failed(job.asker, job.ask, error.detail, refused=True), now)
        if empty:
            return self._end(key, _failed(job.asker, job.ask, "nothing is decided of it"), now)
        job.value, job.after = value, after
        again = self._acceptor.get(key)
        assert again is not None
        job.votes[self._me] = again.slot.signature
        ask = Accept(register=key, ballot=job.ballot, value=value)
        others = [Send(peer, ask) for peer in kept.stewards if peer != self._me]
        return [*save, *others, *self._decided(key, kept, job, now)]

    def _after(
        self, key: str, kept: Kept, job: _Job, before: bytes, now: float
    ) -> tuple[bytes, Register]:
        """What follows from the step, and what that says. Raises Untrusted, or Malformed."""
        read = self._judge.judges(key, before) if before else Register()
        after = self._judge.follows(kept.order, read, job.ask.step, job.asker, now)
        if after == read:
            return before, after
        value = encode(after)
        most = VALUE_BYTES_MOST - (0 if isinstance(job.ask.step, End) else _END_BYTES)
        if len(value) > most:
            why = f"what is kept of the grid would have {len(value)} bytes, at most {most} may be"
            raise Untrusted(Reason.MALFORMED, why)
        return value, after

    def _decided(self, key: str, kept: Kept, job: _Job, now: float) -> list[Effect]:
        if job.value is None or len(job.votes) < majority(kept.stewards):
            return []
        assert job.ballot is not None
        certificate = Certificate(key, job.ballot, job.value, tuple(job.votes.items()))
        if job.after.closed is not None:
            job.until_s = now + STEWARD_TRIES_S
            return [*self._acceptor.learn(key, certificate, now), *self._begin(key, now)]
        return self._end(key, Send(job.asker, StepDone(job.ask.ask, certificate)), now)

    def _pause(self, job: _Job, now: float) -> None:
        job.ballot = None
        job.deadline_s = now + self._dice.uniform(0.02, 0.02 + 0.05 * min(job.tries, 6))

    def _give_up(self, key: str, job: _Job, now: float) -> list[Effect]:
        kept = self._acceptor.get(key)
        stewards = kept.stewards if kept is not None else ()
        heard = len(job.promises if job.value is None else job.votes)
        why = f"{heard} of {len(stewards)} stewards answered, {majority(stewards)} needed"
        return self._end(key, _failed(job.asker, job.ask, why), now)

    def _end(self, key: str, last: Effect, now: float) -> list[Effect]:
        """The first step has its answer, and the next begins."""
        left = self._jobs[key][1:]
        if not left:
            del self._jobs[key]
            return [last]
        self._jobs[key] = left
        return [last, *self._begin(key, now)]


def _failed(asker: PeerId, ask: StepAsk, why: str, *, refused: bool = False) -> Send:
    return Send(asker, StepFailed(ask.ask, why[:WHY_CHARACTERS_MOST], refused))
