"""Who wants something of a register: a step, or what was decided of it last. Answers are believed as
certificates.

A step goes to one steward, and to the next if that one is silent; each step is safe to be made twice. To look
needs no ballot: a steward says what it accepted last, signed, and if a majority says the same, their
signatures are the certificate. If they differ, a steward is asked to finish.

Whom to ask may be out of date: stewards are replaced. Who was answers with seals that lead to others, and these
are asked then. If nobody answers at all, those are asked that others say the stewards are by now. What these do
not know counts for nothing: whoever said so may have lied.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import msgspec

from protocol.grid.decision import (
    ACCEPTANCE,
    Ballot,
    Certificate,
    Decision,
    acceptance,
    follow_seals,
    heirs_of,
    majority,
)
from protocol.grid.record import Register, read_register, register_key
from protocol.grid.seal import Seats, seats_of
from protocol.grid.statement import Word
from protocol.grid.steps import Finish, Step, apply
from protocol.register.messages import (
    LookAsk,
    Looked,
    Sealed,
    Seals,
    StepAsk,
    StepDone,
    StepFailed,
    ToAsker,
)
from protocol.register.witness import Witness
from protocol.terms.effects import Deadline, Effect, Send, soonest
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.terms.limits import REGISTER_REPLY_WITHIN_S, REGISTER_TRIES, STEWARD_WITHIN_S
from protocol.trust.order import SignedOrder, read_order
from protocol.trust.signing import Reason, Untrusted, Verifier
from protocol.wire.codec import Malformed

P = TypeVar("P", bound=Hashable)
"""What it is for. The caller says it, and gets it back with the outcome."""

Believes = Callable[[Certificate], Decision]
"""What a certificate says was decided. Raises Untrusted."""


class Settled(msgspec.Struct, Generic[P], frozen=True):
    """What is decided now. None: a majority of the stewards that were asked says that nothing is."""

    purpose: P
    decision: Decision | None


class Unsettled(msgspec.Struct, Generic[P], frozen=True):
    """No majority answered. A step may still take effect later: only another asking can tell."""

    purpose: P
    why: str


Outcome = Settled[P] | Unsettled[P]
Answer = tuple[list[Effect], list[Settled[P] | Unsettled[P]]]


class _Asking(Generic[P]):
    """One asking on its way."""

    def __init__(
        self,
        purpose: P,
        ask: str,
        register: str,
        stewards: tuple[PeerId, ...],
        step: Step | None,
        order: SignedOrder | None,
        evidence: Certificate | None,
        cause: str,
        shown: bool,
    ) -> None:
        self.shown = shown
        self.purpose, self.ask, self.register, self.stewards = purpose, ask, register, stewards
        self.step, self.order, self.evidence, self.cause = step, order, evidence, cause
        self.looks = step is None
        self.tries = 0
        self.deadline_s = 0.0
        self.looked: dict[PeerId, Looked] = {}
        self.unseated: dict[PeerId, None] = {}
        """Stewards whose seat is another store's than the one that they have now."""
        self.silent: dict[PeerId, None] = {}
        self.asked: PeerId | None = None
        self.why = ""
        self.seals: Seals = ()
        self.term = -1
        """The latest to which seals have led; -1 while whom to ask is the caller's word."""
        self.hearsay = False
        """Whether those that are asked are so by others' word, and no seal says it."""
        self.begun = False
        """Whether a steward said that something was decided before its time."""

    @property
    def majority(self) -> int:
        return majority(self.stewards)

    def seat(self, steward: PeerId) -> StoreId:
        """The store that has that steward's seat; empty if that is not known, or is whichever it has."""
        if self.seals:
            return self.seals[-1].seats.store_of(steward)
        order = self.order
        if order is None and self.evidence is not None:
            order = read_register(self.evidence.value).ordered
        return (seats_of(read_order(order)) if order is not None else Seats()).store_of(steward)


class Askings(Generic[P]):
    """Everything that this peer asks of registers, by what it is for."""

    def __init__(
        self,
        life: int,
        verifier: Verifier,
        believes: Believes,
        alive: Callable[[PeerId], bool],
        witness: Witness,
        elsewhere: Callable[[str], tuple[PeerId, ...]] = lambda register: (),
    ) -> None:
        """`life` is greater at every start of this peer. Stewards that are not `alive` are asked last.

        `elsewhere` answers who others say keeps a register by now.
        """
        self._verifier, self._believes, self._alive = verifier, believes, alive
        self._witness, self._elsewhere = witness, elsewhere
        self._life, self._count = life, 0
        self._askings: dict[P, _Asking[P]] = {}

    def ask(
        self,
        purpose: P,
        register: str,
        stewards: tuple[PeerId, ...],
        step: Step | None,
        now: float,
        cause: str,
        order: SignedOrder | None = None,
        evidence: Certificate | None = None,
        shown: bool = False,
    ) -> Answer[P]:
        """Begins; without a step it only looks. If that is under way already, nothing happens.

        With `shown` those asked are hosts of a grid, and the first certificate that one shows ends the look.
        """
        if purpose in self._askings:
            return [], []
        if not stewards:
            return [], [Unsettled(purpose, "its order names no stewards")]
        self._count += 1
        ask = f"{self._life}.{self._count}"
        each = tuple(dict.fromkeys(stewards))
        asking = _Asking(purpose, ask, register, each, step, order, evidence, cause, shown)
        self._askings[purpose] = asking
        return (self._look(asking, now) if step is None else self._step(asking, now)), []

    def busy(self, purpose: P) -> bool:
        """Whether something is asked for that purpose."""
        return purpose in self._askings

    def handle(self, sender: PeerId, message: ToAsker, now: float) -> Answer[P]:
        """A steward answers. Raises Untrusted if what it says does not prove itself."""
        asking = next((a for a in self._askings.values() if a.ask == message.ask), None)
        if asking is None or sender not in asking.stewards:
            return [], []
        match message:
            case StepDone() if asking.step is None and not asking.shown:
                # One steward alone may show what was decided long ago.
                return [], []
            case StepDone(certificate=certificate):
                return self._stepped(asking, sender, certificate, now)
            case StepFailed(why=why):
                return self._next(asking, sender, why, now)
            case Looked():
                return self._looked(asking, sender, message, now)
            case Sealed():
                return self._sealed(asking, sender, message, now)

    def tick(self, now: float) -> Answer[P]:
        """Asks on where nobody answered, or gives up."""
        effects: list[Effect] = []
        outcomes: list[Settled[P] | Unsettled[P]] = []
        for asking in list(self._askings.values()):
            if now < asking.deadline_s:
                continue
            if asking.asked is not None:
                more, ended = self._next(asking, asking.asked, "", now)
            else:
                more, ended = self._overlooked(asking, now)
            effects, outcomes = effects + more, outcomes + ended
        return effects, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        if not self._askings:
            return None
        return soonest((asking.deadline_s for asking in self._askings.values()), "register")

    # -- steps

    def _step(self, asking: _Asking[P], now: float) -> list[Effect]:
        """Asks one steward: the first of those that are alive and did not fail."""
        asking.tries += 1
        if all(steward in asking.silent for steward in asking.stewards):
            asking.silent = {}
        left = [steward for steward in asking.stewards if steward not in asking.silent]
        asking.asked = min(left, key=lambda peer: not self._alive(peer))
        heard = self._alive(asking.asked)
        asking.deadline_s = now + (STEWARD_WITHIN_S if heard else REGISTER_REPLY_WITHIN_S)
        step = asking.step if asking.step is not None else Finish()
        key, evidence, seals = asking.register, asking.evidence, asking.seals
        # What was decided has the order in it, and a large grid's fits into a frame once.
        order = asking.order if evidence is None else None
        ask = StepAsk(asking.ask, key, step, order, evidence, seals)
        return [Send(asking.asked, ask, asking.cause)]

    def _stepped(
        self, asking: _Asking[P], sender: PeerId, certificate: Certificate, now: float
    ) -> Answer[P]:
        """A steward says that it is done: the step, made once more, would change nothing. Or a host shows what
        it has."""
        decision = self._believed(certificate)
        register, step = decision.register, asking.step
        if step is not None and (register.closed or apply(step, register, now) != register):
            return self._next(asking, sender, "a steward shows what was decided before", now)
        return [], self._done(asking, decision)

    def _believed(self, certificate: Certificate) -> Decision:
        """What a certificate says was decided. Raises Untrusted."""
        decision = self._believes(certificate)
        self._witness.certified(decision)
        return decision

    def _done(self, asking: _Asking[P], decision: Decision) -> list[Settled[P] | Unsettled[P]]:
        key = decision.certificate.register
        if key != asking.register or asking.purpose not in self._askings:
            return []
        if decision.register.term < asking.term:
            # It was on its way while these were replaced, or is shown again. Others say what is decided now.
            return []
        del self._askings[asking.purpose]
        return [Settled(asking.purpose, decision)]

    def _next(self, asking: _Asking[P], steward: PeerId, why: str, now: float) -> Answer[P]:
        """That steward did not do it: another is asked, or all were asked often enough."""
        asking.why = why or asking.why
        if steward != asking.asked:
            return [], []
        asking.silent[steward] = None
        if asking.tries < REGISTER_TRIES // 2 or len(asking.silent) < len(asking.stewards):
            return self._step(asking, now), []
        if others := self._others(asking):
            return self._turn(asking, others, now), []
        del self._askings[asking.purpose]
        many = len(asking.stewards)
        why = asking.why or f"0 of {many} stewards answered, {asking.majority} needed"
        return [], [Unsettled(asking.purpose, why)]

    # -- other stewards than were asked

    def _sealed(self, asking: _Asking[P], sender: PeerId, told: Sealed, now: float) -> Answer[P]:
        """A steward says who they are by now. Raises Untrusted."""
        if told.register != asking.register or register_key(told.order) != told.register:
            raise Untrusted(Reason.MALFORMED, "a seal of another register")
        if others := self._follow(asking, told.order, told.seals):
            return self._turn(asking, others, now), []
        if asking.asked is not None:
            return self._next(asking, sender, "a steward that was replaced says no more", now)
        asking.looked[sender] = Looked(told.ask, told.register, store=asking.seat(sender))
        asking.begun = True
        return self._weigh(asking, now)

    def _follow(self, asking: _Asking[P], order: SignedOrder, seals: Seals) -> tuple[PeerId, ...]:
        """The stewards of a later term than is known, if they are others than those that are asked.

        Raises Untrusted.
        """
        if len(seals) <= asking.term:
            return ()
        members = follow_seals(order, seals, self._verifier).members
        asking.term, asking.seals, asking.order = len(seals), seals, asking.order or order
        return members if members != asking.stewards else ()

    def _others(self, asking: _Asking[P]) -> tuple[PeerId, ...]:
        """Whom to ask instead of those that do not answer, by hearsay; nobody if that is all the same."""
        again = asking.hearsay or asking.shown
        others = self._elsewhere(asking.register) if not again else ()
        asking.hearsay = True
        return others if others != asking.stewards else ()

    def _turn(self, asking: _Asking[P], stewards: tuple[PeerId, ...], now: float) -> list[Effect]:
        """Asks others, from the beginning."""
        asking.stewards, asking.tries, asking.begun = stewards, 0, False
        asking.looked, asking.unseated, asking.silent, asking.asked = {}, {}, {}, None
        if asking.looks:
            asking.step = None
            return self._look(asking, now)
        return self._step(asking, now)

    # -- looks

    def _look(self, asking: _Asking[P], now: float) -> list[Effect]:
        asking.tries += 1
        asking.deadline_s = now + REGISTER_REPLY_WITHIN_S
        told = (*asking.looked, *asking.unseated)
        left = [steward for steward in asking.stewards if steward not in told]
        look = LookAsk(asking.ask, asking.register, asking.shown)
        return [Send(steward, look, asking.cause) for steward in left]

    def _looked(self, asking: _Asking[P], sender: PeerId, told: Looked, now: float) -> Answer[P]:
        if asking.step is not None or told.register != asking.register:
            return [], []
        if told.ballot is not None:
            register = self._signed(sender, told, told.ballot)
            order, key = register.ordered, told.register
            if register_key(order) == key and (
                others := self._follow(asking, order, register.seals)
            ):
                return self._turn(asking, others, now), []
            if register.term < asking.term:
                # It does not know yet that it was replaced, or others beside it.
                told, asking.begun = Looked(told.ask, key, store=told.store), True
            if asking.order is None and register_key(order) == key:
                asking.order = order
        asking.looked[sender] = told
        return self._weigh(asking, now)

    def _signed(self, steward: PeerId, told: Looked, ballot: Ballot) -> Register:
        """What a steward accepted last, as the store that had its seat then. Raises Untrusted."""
        try:
            register = read_register(told.value)
            heirs, store = heirs_of(register), register.seats.store_of(steward)
        except Malformed as error:
            raise Untrusted(Reason.MALFORMED, f"a last acceptance: {error}") from None
        said = acceptance(told.register, ballot, told.value, register.term, heirs, store)
        if not self._verifier.verify(KeyId(steward), ACCEPTANCE, said, told.signature):
            raise Untrusted(Reason.BAD_SIGNATURE, "a last acceptance that is not signed")
        self._witness.saw(steward, Word.ACCEPTANCE, said, told.signature)
        return register

    def _weigh(self, asking: _Asking[P], now: float) -> Answer[P]:
        """What follows from what was told so far. Whose seat is another store's told nothing."""
        for steward, told in list(asking.looked.items()) if not asking.shown else ():
            if not told.seated or asking.seat(steward) not in ("", told.store):
                del asking.looked[steward]
                asking.unseated[steward] = None
        nothing = sum(one.ballot is None for one in asking.looked.values())
        by_word = asking.shown or (asking.hearsay and asking.term < 0)
        begun = asking.begun or asking.term > 0
        if nothing >= asking.majority and not begun and not by_word:
            del self._askings[asking.purpose]
            return [], [Settled(asking.purpose, None)]
        alike: dict[tuple[Ballot, bytes], list[tuple[PeerId, bytes]]] = {}
        for steward, one in asking.looked.items():
            if one.ballot is not None:
                alike.setdefault((one.ballot, one.value), []).append((steward, one.signature))
        for (ballot, value), votes in alike.items():
            if len(votes) >= asking.majority:
                certificate = Certificate(asking.register, ballot, value, tuple(votes))
                try:
                    return [], self._done(asking, self._believed(certificate))
                except Untrusted:
                    # Who was asked may not be the order's stewards, which is nobody's fault who answered.
                    continue
        lost, many = len(asking.unseated), len(asking.stewards)
        if len(asking.looked) + lost < many:
            return [], []
        if asking.shown:
            del self._askings[asking.purpose]
            return [], [Settled(asking.purpose, None)]
        if begun or not lost or any(told.ballot is not None for told in asking.looked.values()):
            return self._differ(asking, now), []
        del self._askings[asking.purpose]
        return [], [Unsettled(asking.purpose, f"{lost} of {many} stewards lost what they knew")]

    def _overlooked(self, asking: _Asking[P], now: float) -> Answer[P]:
        """Not all stewards told in time."""
        if len(asking.looked) >= asking.majority and not asking.shown:
            return self._differ(asking, now), []
        if asking.tries < REGISTER_TRIES:
            return self._look(asking, now), []
        if others := self._others(asking):
            return self._turn(asking, others, now), []
        del self._askings[asking.purpose]
        heard, many = len(asking.looked), len(asking.stewards)
        why = f"{heard} of {many} stewards answered, {asking.majority} needed"
        return [], [Unsettled(asking.purpose, why)]

    def _differ(self, asking: _Asking[P], now: float) -> list[Effect]:
        """They accepted different values, so one of them, which has something, is asked to finish."""
        asking.step, asking.tries = Finish(), 0
        nothing = [p for p, told in asking.looked.items() if told.ballot is None]
        asking.silent = dict.fromkeys([*asking.unseated, *([] if asking.begun else nothing)])
        return self._step(asking, now)
