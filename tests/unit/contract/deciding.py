"""Decisions for tests: any register, signed by stewards whoever they are."""

from collections.abc import Callable

import msgspec

from protocol.contract.outcomes import Propose
from protocol.grid.decision import (
    Ballot,
    Certificate,
    Decision,
    check_certificate,
    heirs_of,
    seal_of,
    sign_acceptance,
)
from protocol.grid.record import GridRecord, Register, attempt_of, register_key
from protocol.grid.steps import (
    Commit,
    Decline,
    End,
    Extend,
    Finish,
    Lapse,
    Remove,
    Replace,
    Step,
    Vote,
    apply,
    opened,
)
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.certificate import Chain
from protocol.trust.order import SignedOrder
from protocol.wire.codec import encode


class Steward(SimSigner):
    """A signer with any key."""

    def __init__(self, key: PeerId) -> None:
        self._key = KeyId(key)


def certificate(register: Register, round_: int = 1) -> Certificate:
    """The register, as all the stewards that keep it have signed it."""
    key, value, stewards = register_key(register.ordered), encode(register), register.keepers
    ballot, term, heirs = Ballot(round_, stewards[0]), register.term, heirs_of(register)
    votes = tuple(
        (s, sign_acceptance(Steward(s), key, ballot, value, term, heirs, store))
        for s, store in register.seats.pairs
    )
    return Certificate(key, ballot, value, votes)


def closed(register: Register, gone: PeerId, heir: PeerId, chain: Chain = ()) -> Register:
    """The register, closed in favour of a set with another steward."""
    return apply(Replace(gone, heir, chain), register, 0.0)


def handed_over(register: Register, gone: PeerId, heir: PeerId, chain: Chain = ()) -> Register:
    """The register as the heirs begin with it."""
    last = closed(register, gone, heir, chain)
    return opened(last, (*last.seals, seal_of(decision(last))))


def decision(register: Register, round_: int = 1) -> Decision:
    """The same, believed."""
    return check_certificate(certificate(register, round_), SimVerifier())


def decided(record: GridRecord, first: int = 0) -> Decision:
    """That record, decided."""
    return decision(Register(record, first))


def void(order: SignedOrder, first: int = 1) -> Decision:
    """All attempts of an order below that one, voted down."""
    return decision(Register(None, first, (), order))


Change = Callable[[Decision | None], Decision]


def proposed(propose: Propose, before: Decision | None = None, now_s: float = 0.0) -> Decision:
    """What is decided when stewards do what was asked of them."""
    return stepped(propose.step or Finish(), before, propose.order, now_s)


def stepped(
    step: Step, before: Decision | None, order: SignedOrder | None = None, now_s: float = 0.0
) -> Decision:
    """What is decided after a step, whether or not it is allowed."""
    register = before.register if before is not None else Register()
    after = apply(step, register, now_s)
    if after.record is None and after.order is None:
        after = msgspec.structs.replace(after, order=order)
    if after.record is not None or after.order is not None:
        return decision(after)
    return Decision(after, Certificate("0" * 20, Ballot(1, PeerId("s")), b"", ()))


def ending(grid: GridId, order: SignedOrder) -> Change:
    return lambda before: stepped(End(grid, order), before)


def voiding(grid: GridId, now_s: float) -> Change:
    return lambda before: stepped(Vote(attempt_of(grid) + 1), before, now_s=now_s)


def declining(grid: GridId, extension: GridId, now_s: float) -> Change:
    return lambda before: stepped(Decline(grid, extension), before, now_s=now_s)


def extending(grid: GridId, order: SignedOrder) -> Change:
    return lambda before: stepped(Extend(grid, order), before)


def lapsing(grid: GridId) -> Change:
    return lambda before: stepped(Lapse(grid), before)


def removing(grid: GridId, workspace: str, order: SignedOrder) -> Change:
    return lambda before: stepped(Remove(grid, workspace, order), before)


def committing(record: GridRecord) -> Change:
    return lambda before: stepped(Commit(record), before)


def read_register(decided: Decision | None) -> Register:
    """What was decided; an empty register if nothing was."""
    return decided.register if decided is not None else Register()
