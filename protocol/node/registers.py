"""Registers as the node uses them: this peer is a steward of some, and asks the stewards of others.

A steward that is gone is replaced (replacing.py). Once that is decided, the hosts that carry the grid are shown
it, so that they tell everybody.

What arrives is judged before it is kept or read: what does not prove itself is its sender's fault.
"""

from collections.abc import Callable
from typing import assert_never

from protocol.capacity.allotments import Allot
from protocol.contract.authority import Authority
from protocol.contract.messages import Decided
from protocol.contract.outcomes import Propose, Purpose, ReplaceSteward
from protocol.grid.decision import Certificate
from protocol.grid.equivocation import Equivocation
from protocol.node.messages import RegisterMessage
from protocol.node.replacing import Replacing, Sees
from protocol.register.acceptor import Acceptor
from protocol.register.asking import Answer, Askings, Settled, Unsettled
from protocol.register.messages import (
    Accept,
    Accepted,
    Conflict,
    LookAsk,
    Looked,
    Prepare,
    Promise,
    Sealed,
    StepAsk,
    StepDone,
    StepFailed,
)
from protocol.register.slot import TABLE, Opened
from protocol.register.stewarding import Stewarding
from protocol.register.witness import Witness
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Send, earliest
from protocol.terms.ids import PeerId
from protocol.terms.ranges import MOMENT_MOST_S
from protocol.trust.identity import Identity
from protocol.trust.order import Action, SignedOrder
from protocol.trust.own_store import OwnStore
from protocol.trust.signing import Reason, Untrusted

Outcome = Settled[Purpose] | Unsettled[Purpose]
_FORGET_EVERY_S = 3600.0


class Registers:
    """Both sides of registers on one peer."""

    def __init__(
        self,
        identity: Identity,
        life: int,
        dice: Dice,
        rows: dict[str, dict[str, bytes]],
        authority: Authority,
        sees: Sees,
        carried: Callable[[str], Certificate | None],
        now: float,
        store: OwnStore,
    ) -> None:
        """`life` is greater at every start of this peer. Stewards that it sees alive are asked first.

        `carried` has what was decided of a register whose grid this host carries.
        """
        self._carried, self._authority, self._site = carried, authority, sees.site
        signer, verifier, opens = identity.signer, identity.verifier, _opens(authority)
        kept, judges = rows.get(TABLE, {}), authority.judges
        self._witness = witness = Witness(verifier)
        self.acceptor = Acceptor(signer, verifier, opens, judges, kept, store)
        self._stewarding = Stewarding(self.acceptor, verifier, authority, dice, witness)
        self._askings: Askings[Purpose | ReplaceSteward] = Askings(
            life, verifier, authority.decision, sees.alive, witness, sees.stewards
        )
        self._replacing = Replacing(self.acceptor, sees, dice, now)
        self._forget_s = now + _FORGET_EVERY_S

    def propose(self, asked: Propose, now: float) -> Answer[Purpose]:
        """Asks stewards for what a room wants."""
        answer = self._askings.ask(
            asked.purpose,
            asked.register,
            asked.stewards,
            asked.step,
            now,
            asked.cause,
            asked.order,
            asked.evidence,
            asked.shown,
        )
        return self._replaced(answer)

    def handle(self, sender: PeerId, message: RegisterMessage, now: float) -> Answer[Purpose]:
        """Somebody asks this steward, or stewards answer. Raises Untrusted for what does not prove itself.

        Nothing is changed then.
        """
        match message:
            case StepAsk(ask=ask):
                if why := self._unentitled(sender, message):
                    return [Send(sender, StepFailed(ask, why, refused=True))], []
                return self._stewarding.ask(sender, message, now), []
            case LookAsk(ask=ask, register=register, shown=True):
                certificate = self._carried(register)
                if certificate is None:
                    return [Send(sender, Looked(ask, register))], []
                return [Send(sender, StepDone(ask, certificate))], []
            case Prepare() | Accept() | LookAsk():
                return self.acceptor.handle(sender, message, now), []
            case Promise() | Accepted() | Conflict():
                return self._stewarding.handle(sender, message, now), []
            case Sealed(ask=""):
                return self._stewarding.handle(sender, message, now), []
            case StepDone() | StepFailed() | Looked() | Sealed():
                return self._replaced(self._askings.handle(sender, message, now))
            case _:
                assert_never(message)

    def pop_found(self) -> list[Equivocation]:
        """The stewards that were found to lie since the last call."""
        return self._witness.pop_found()

    def tick(self, now: float) -> Answer[Purpose]:
        """Lets go on what has come due."""
        effects = self._stewarding.tick(now)
        if now >= self._forget_s:
            self._forget_s = now + _FORGET_EVERY_S
            effects += self.acceptor.forget(now)
        for purpose, step in self._replacing.due(now):
            me = (self.acceptor.me,)
            asked, _ = self._askings.ask(purpose, purpose.register, me, step, now, "")
            effects += asked
        more, outcomes = self._replaced(self._askings.tick(now))
        return effects + more, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        forget = Deadline(self._forget_s, "forget registers")
        return earliest(
            forget,
            self._stewarding.next_deadline(),
            self._askings.next_deadline(),
            self._replacing.next_deadline(),
        )

    @property
    def seats(self) -> int:
        """In how many registers of living grids this host is a steward."""
        return self._replacing.seats()

    def check(self) -> None:
        """Invariants of the acceptor."""
        self.acceptor.check()

    def _unentitled(self, sender: PeerId, message: StepAsk) -> str:
        """Why that peer may not have that step, by what is known here; empty if it may. Nobody writes yet."""
        kept = self.acceptor.get(message.register)
        record = kept.register.record if kept is not None else None
        order = kept.order if kept is not None else message.order
        # What was decided before is taken in first, and then the step is judged by it.
        learns = message.evidence is not None and record is None
        if isinstance(message.step, Allot):
            # That is by whom it is alone. Nothing that was decided before can allow it.
            learns = False
            if order is None:
                return "who asks for an allotment shows the site's order to count"
        if sender == self.acceptor.me or order is None or learns:
            return ""
        stewards, site = kept.stewards if kept is not None else (), self._site(sender)
        try:
            self._authority.entitles(order, record, stewards, message.step, sender, site)
        except Untrusted as error:
            return error.detail
        return ""

    def _replaced(self, answer: Answer[Purpose | ReplaceSteward]) -> Answer[Purpose]:
        """Shows the hosts of a grid that other stewards keep it. The other outcomes are others'."""
        effects, outcomes = list(answer[0]), list[Outcome]()
        for outcome in answer[1]:
            purpose = outcome.purpose
            if not isinstance(purpose, ReplaceSteward):
                outcomes.append(_typed(outcome, purpose))
            elif isinstance(outcome, Settled) and outcome.decision is not None:
                record = outcome.decision.register.record
                shown = Decided(outcome.decision.certificate)
                carriers = record.carriers() if record is not None else ()
                effects += [Send(peer, shown) for peer in carriers]
        return effects, outcomes


def _typed(
    outcome: Settled[Purpose | ReplaceSteward] | Unsettled[Purpose | ReplaceSteward],
    purpose: Purpose,
) -> Outcome:
    """The same outcome, of which it is known whose purpose it was."""
    if isinstance(outcome, Settled):
        return Settled(purpose, outcome.decision)
    return Unsettled(purpose, outcome.why)


def _opens(authority: Authority) -> Callable[[SignedOrder], Opened]:
    def opens(order: SignedOrder) -> Opened:
        checked = authority.signed(order)
        owner, said = checked.owner, checked.order
        if said.action not in (Action.UP, Action.COUNT) or not said.stewards:
            raise Untrusted(Reason.MALFORMED, "an order that has no register")
        barred = authority.barred(owner)
        # A site's counting is never over.
        until_s = MOMENT_MOST_S if said.action is Action.COUNT else checked.fresh_until_s
        return Opened(owner.key, said.stewards, until_s, said.stores, barred)

    return opens
