"""Three stewards, whoever asks them, and messages that wait until a test moves them."""

from random import Random

import msgspec

from protocol.grid.decision import (
    Ballot,
    Certificate,
    Decision,
    acceptance,
    check_certificate,
    follow_seals,
)
from protocol.grid.record import Register, read_register, register_key
from protocol.grid.steps import Replace, Step, apply
from protocol.register.acceptor import Acceptor
from protocol.register.asking import Askings, Settled
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
    ToAsker,
    ToSteward,
)
from protocol.register.slot import TABLE, Opened
from protocol.register.stewarding import Stewarding
from protocol.register.witness import Witness
from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.trust.order import SignedOrder, read_order
from protocol.trust.own_store import OwnStore
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed

NOW = 1_000_000.0
SIGNERS = tuple(SimSigner(f"steward-{number}") for number in range(3))
STEWARDS = tuple(PeerId(signer.key) for signer in SIGNERS)
SPARES = tuple(SimSigner(f"spare-{number}") for number in range(3))
HEIRS = tuple(PeerId(signer.key) for signer in SPARES)
"""Peers that may become stewards."""
BY_ID = dict(zip((*STEWARDS, *HEIRS), (*SIGNERS, *SPARES), strict=True))
FEDERATION = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 10_000_000)
STORES = tuple(StoreId(f"{number:016x}") for number in range(1, 7))
"""Of the stewards, then of those that may become some."""
STORE = dict(zip(BY_ID, STORES, strict=True))
ADMIN = Admin(FEDERATION, "s1", Random(1), lambda: STEWARDS)
SEATED = Admin(FEDERATION, "s1", Random(2), lambda: STEWARDS, lambda _: STORES[:3]).up(
    grid_spec("shop"), NOW
)
"""An order that names a store of each steward."""
ORDER = ADMIN.up(grid_spec("shop"), NOW)
KEY = register_key(ORDER)
VERIFIER = SimVerifier()
ASKER = PeerId("a" * 64)

Message = ToSteward | ToAsker


class Plain:
    """A judge that allows everything that makes sense."""

    def judges(self, key: str, value: bytes) -> Register:
        try:
            register = read_register(value)
            if register_key(register.ordered) != key:
                raise Untrusted(Reason.MALFORMED, "another register")
            follow_seals(register.ordered, register.seals, VERIFIER)
        except Malformed as error:
            raise Untrusted(Reason.MALFORMED, str(error)) from None
        return register

    def follows(
        self, order: SignedOrder, register: Register, step: Step, asker: PeerId, now: float
    ) -> Register:
        if register == Register() and isinstance(step, Replace):
            register = Register(order=order)
        after = apply(step, register, now)
        if after.record is None and after != Register():
            return msgspec.structs.replace(after, order=order)
        return after


def opens(order: SignedOrder) -> Opened:
    read = read_order(order)
    return Opened(ADMIN.signer.key, read.stewards, read.issued_at_s + read.valid_s, read.stores)


def accepts(
    by: PeerId,
    key: str,
    ballot: Ballot,
    value: bytes,
    signature: bytes,
    term: int = 0,
    store: StoreId | None = None,
) -> bool:
    """Whether a steward signed, as that store, that it accepted a value that closes nothing."""
    said = acceptance(key, ballot, value, term, store=store or StoreId(""))
    return VERIFIER.verify(KeyId(by), "acceptance", said, signature)


def believed(certificate: Certificate) -> Decision:
    return check_certificate(certificate, VERIFIER)


class Steward:
    """One steward, with its disk."""

    def __init__(self, signer: SimSigner) -> None:
        self.signer, self.store = signer, STORE[PeerId(signer.key)]
        self.rows: dict[str, bytes] = {}
        self.marks: dict[str, bytes] = {}
        """What its store keeps beside its id."""
        self.start()

    def start(self) -> None:
        """Begins a life, with what is on disk."""
        judge = Plain()
        self.own = OwnStore("h", self.marks | {"store": self.store.encode()}, "", Random(8))
        rows, self.witness = dict(self.rows), Witness(VERIFIER)
        self.acceptor = Acceptor(self.signer, VERIFIER, opens, judge.judges, rows, self.own)
        self.stewarding = Stewarding(self.acceptor, VERIFIER, judge, Random(7), self.witness)

    def handle(self, sender: PeerId, message: ToSteward, now: float) -> list[Effect]:
        match message:
            case StepAsk():
                effects = self.stewarding.ask(sender, message, now)
            case Prepare() | Accept() | LookAsk():
                effects = self.acceptor.handle(sender, message, now)
            case Promise() | Accepted() | Conflict() | Sealed():
                effects = self.stewarding.handle(sender, message, now)
        return self.keep(effects)

    def keep(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            for row in effect.rows if isinstance(effect, Persist) else ():
                assert row.table in (TABLE, "self")
                if row.table == TABLE and row.value is None:
                    del self.rows[row.key]
                    continue
                assert row.value is not None
                if row.table == TABLE:
                    self.rows[row.key] = row.value
                elif row.key == "store":
                    self.store = StoreId(row.value.decode())
                else:
                    self.marks[row.key] = row.value
        self.acceptor.check()
        return effects


class Net:
    """The stewards, some that ask, and what is on its way between them."""

    def __init__(self, askers: tuple[PeerId, ...] = (ASKER,), order: SignedOrder = ORDER) -> None:
        self.now, self.order, self.key = NOW, order, register_key(order)
        self.stewards = {PeerId(s.key): Steward(s) for s in SIGNERS}
        self.askings = {
            peer: Askings[str](
                number, VERIFIER, believed, lambda _: True, Witness(VERIFIER), lambda _: self.told
            )
            for number, peer in enumerate((*askers, *STEWARDS, *HEIRS))
        }
        self.told: tuple[PeerId, ...] = ()
        """Who keeps the register, as notices say it."""
        self.waiting: list[tuple[PeerId, PeerId, Message]] = []
        self.settled: dict[str, Decision | None] = {}
        self.unsettled: dict[str, str] = {}
        self.faults = 0

    def ask(
        self,
        what: str,
        step: Step | None,
        by: PeerId = ASKER,
        of: tuple[PeerId, ...] = STEWARDS,
    ) -> None:
        effects, outcomes = self.askings[by].ask(what, self.key, of, step, self.now, "", self.order)
        assert outcomes == []
        self.carry(by, effects)

    def with_heirs(self) -> "Net":
        """The same, with peers that may become stewards."""
        self.stewards |= {PeerId(s.key): Steward(s) for s in SPARES}
        return self

    def replace(self, what: str, gone: PeerId, heir: PeerId, by: PeerId) -> None:
        """A steward has another replaced."""
        store = self.stewards[heir].store if self.order is SEATED else StoreId("")
        self.ask(what, Replace(gone, heir, (), store), by, (by,))

    def carry(self, who: PeerId, effects: list[Effect]) -> None:
        saved = False
        for effect in effects:
            if isinstance(effect, Persist):
                saved = True
            if isinstance(effect, Send):
                message: Message = effect.message  # type: ignore[assignment]
                if isinstance(message, Promise | Accepted | Accept):
                    assert saved, "said before it was on disk"
                self.waiting.append((who, effect.peer, message))

    def deliver(self, index: int = 0, keep: bool = False) -> None:
        at = index % len(self.waiting)
        sender, to, message = self.waiting[at]
        if not keep:
            del self.waiting[at]
        to_asker = isinstance(message, StepDone | StepFailed | Looked)
        if to_asker or (isinstance(message, Sealed) and message.ask):
            self.tell(to, *self.askings[to].handle(sender, message, self.now))
            return
        try:
            self.carry(to, self.stewards[to].handle(sender, message, self.now))
        except Untrusted:
            self.faults += 1

    def tell(self, who: PeerId, effects: list[Effect], outcomes: list[object]) -> None:
        self.carry(who, effects)
        for outcome in outcomes:
            if isinstance(outcome, Settled):
                self.settled[outcome.purpose] = outcome.decision
            else:
                self.unsettled[outcome.purpose] = outcome.why  # type: ignore[attr-defined]

    def run(self, lost: tuple[PeerId, ...] = ()) -> None:
        """Delivers everything; what is for or from the `lost` is lost."""
        while self.waiting:
            sender, to, _ = self.waiting[0]
            if sender in lost or to in lost:
                del self.waiting[0]
            else:
                self.deliver()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for peer, steward in self.stewards.items():
            self.carry(peer, steward.keep(steward.stewarding.tick(self.now)))
        for peer, askings in self.askings.items():
            self.tell(peer, *askings.tick(self.now))

    def until(self, what: str, lost: tuple[PeerId, ...] = (), within_s: float = 60.0) -> None:
        end_s = self.now + within_s
        while what not in self.settled and what not in self.unsettled:
            assert self.now < end_s, "not in time"
            self.run(lost)
            self.pass_time(0.25)
