"""What is said of a register: by who wants a step or its value, and among its stewards."""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.grid.decision import Ballot, Certificate, RegisterKey, Signature, Value
from protocol.grid.seal import Seal
from protocol.grid.statement import Statement
from protocol.grid.steps import Step
from protocol.terms.ids import StoreId
from protocol.terms.limits import SEALS_MOST
from protocol.trust.order import SignedOrder

WHY_CHARACTERS_MOST = 400

Seals = Annotated[tuple[Seal, ...], Meta(max_length=SEALS_MOST)]

Ask = Annotated[str, Meta(max_length=80)]
"""Tells one asking from another. It is said back."""


class StepAsk(msgspec.Struct, frozen=True, tag="step-ask"):
    """To a steward: have this step decided. Asking again is the same as asking once."""

    ask: Ask
    register: RegisterKey
    step: Step
    order: SignedOrder | None = None
    """The order of the register, for a steward that may not know it. A commit has it in its record."""
    evidence: Certificate | None = None
    """What was decided of it before, for stewards that may have lost that."""
    seals: Seals = ()
    """How the steward asked came to be one, if the order does not name it."""


class StepDone(msgspec.Struct, frozen=True, tag="step-done"):
    """What is decided now. Whether the step made a difference is to be seen there."""

    ask: Ask
    certificate: Certificate


class StepFailed(msgspec.Struct, frozen=True, tag="step-failed"):
    """Why a steward did not have a step decided."""

    ask: Ask
    why: Annotated[str, Meta(max_length=WHY_CHARACTERS_MOST)]
    refused: bool = False
    """Whether the step goes beyond what the owner ordered, or this is no steward of that register."""


class Sealed(msgspec.Struct, frozen=True, tag="sealed"):
    """The stewards of that register are others by now; or they are these, and nobody knows here what they begin
    with. It answers everything that who was replaced is told."""

    ask: Ask
    """Empty if it answers a steward."""
    register: RegisterKey
    order: SignedOrder
    seals: Seals


class LookAsk(msgspec.Struct, frozen=True, tag="look-ask"):
    """To a steward: what have you accepted last?

    With `shown`, to a host of the grid: which certificate do you carry it by? The answer is that, or nothing
    at all.
    """

    ask: Ask
    register: RegisterKey
    shown: bool = False


class Looked(msgspec.Struct, frozen=True, tag="looked"):
    """This, signed when it was accepted. Nothing at all if `ballot` is null."""

    ask: Ask
    register: RegisterKey
    ballot: Ballot | None = None
    value: Value = b""
    signature: Signature = b""
    store: StoreId = StoreId("")
    """The store that says so. If it is not the one whose the seat is, it says nothing of the register."""
    seated: bool = True
    """Whether this host has a seat in the register, as far as it knows."""


class RegisterMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What stewards say to each other has the register and the attempt it is about."""

    register: RegisterKey
    ballot: Ballot


class Prepare(RegisterMessage, frozen=True, tag="prepare"):
    """May I? Asks for the value last accepted and for a promise to take no older ballot."""

    order: SignedOrder
    """The order of the register, which says who its stewards are."""
    seals: Seals = ()
    """And how those that it names were replaced since."""
    yours: Statement | None = None
    """What the receiver signed of this register last, as far as the sender heard. One that was restored from a
    backup sees there that it is behind, before it answers."""


class Promise(RegisterMessage, frozen=True, tag="promise"):
    """Yes; this is what I accepted last, at `accepted` (null: nothing yet). Signed."""

    accepted: Ballot | None
    value: Value
    signature: Signature


class Accept(RegisterMessage, frozen=True, tag="accept"):
    """Take this value."""

    value: Value


class Accepted(RegisterMessage, frozen=True, tag="accepted"):
    """Taken, and on disk. Signed."""

    signature: Signature


class Conflict(RegisterMessage, frozen=True, tag="conflict"):
    """No: I have promised a newer ballot."""

    promised: Ballot


ToSteward = StepAsk | LookAsk | Prepare | Promise | Accept | Accepted | Conflict
"""What a steward is told."""
ToAsker = StepDone | StepFailed | Looked | Sealed
"""What it answers to who asks; the last also to another steward."""
