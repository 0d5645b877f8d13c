"""Decisions: what a majority of an order's stewards said alike, with their signatures.

A steward signs what it promises and what it accepts. Alike acceptances (one ballot, one digest) of a majority
of the stewards that the order names are a *certificate*: it proves itself, whoever shows it.
`check_certificate` is the only function that makes a `Decision`, and nothing acts on anything else.

A certificate says *decided*, never *newest*: an old one can be shown again.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.grid.record import GridRecord, Register, Void, read_register, register_key
from protocol.terms.ids import GridId, KeyId, PeerId, digest_of
from protocol.terms.limits import ROUND_MOST, STEWARDS_MOST
from protocol.trust.order import read_order
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier
from protocol.wire.codec import Malformed, encode
from protocol.wire.limits import MAX_FRAME_BYTES

ACCEPTANCE = "acceptance"
PROMISE = "promise"
_KEY_CHARACTERS = 20

ALL_ASKED = 2
"""So few stewards are all needed for a majority. If they know nothing of a record, nobody does."""

RegisterKey = Annotated[str, Meta(min_length=_KEY_CHARACTERS, max_length=_KEY_CHARACTERS)]
Value = Annotated[bytes, Meta(max_length=MAX_FRAME_BYTES - 8192)]
"""Bounded so that whatever is accepted fits in one frame with what is said of it."""
Signature = Annotated[bytes, Meta(max_length=128)]


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Orders the attempts of stewards to have something accepted. A steward uses none for two values.

    Round 0 is the first steward's.
    """

    round: Annotated[int, Meta(ge=0, le=ROUND_MOST)]
    steward: PeerId


class _Accepted(msgspec.Struct, frozen=True, array_like=True):
    register: str
    ballot: Ballot
    digest: str


class _Promised(msgspec.Struct, frozen=True, array_like=True):
    register: str
    ballot: Ballot
    accepted: Ballot | None
    digest: str


class Certificate(msgspec.Struct, frozen=True):
    """A value, and the signatures of the stewards that accepted it under one ballot."""

    register: RegisterKey
    ballot: Ballot
    value: Value
    votes: Annotated[tuple[tuple[PeerId, Signature], ...], Meta(max_length=STEWARDS_MOST)]


class Proof(msgspec.Struct, frozen=True):
    """What a certificate has beside its record: for who keeps the record anyway."""

    ballot: Ballot
    first: int
    declined: tuple[tuple[str, float], ...]
    votes: tuple[tuple[PeerId, Signature], ...]


class Decision(msgspec.Struct, frozen=True):
    """What was decided of an order. Only `check_certificate` makes one."""

    register: Register
    certificate: Certificate

    @property
    def digest(self) -> str:
        """By which notices name it: of the value, 64 hexadecimal digits."""
        return digest_of(self.certificate.value)


def acceptance(register: str, ballot: Ballot, value: bytes) -> bytes:
    """What a steward signs that accepts a value: MessagePack of [register, ballot, SHA-256 of the value]."""
    return encode(_Accepted(register, ballot, digest_of(value)))


def promise(register: str, ballot: Ballot, accepted: Ballot | None, value: bytes) -> bytes:
    """What a steward signs that promises a ballot: the same, and what it accepted last; null and "" if
    nothing."""
    digest = digest_of(value) if accepted is not None else ""
    return encode(_Promised(register, ballot, accepted, digest))


def accepts(
    verifier: Verifier, by: PeerId, register: str, ballot: Ballot, value: bytes, signature: bytes
) -> bool:
    """Whether that steward signed that it accepted the value."""
    return verifier.verify(KeyId(by), ACCEPTANCE, acceptance(register, ballot, value), signature)


def sign_acceptance(signer: Signer, register: str, ballot: Ballot, value: bytes) -> bytes:
    """The signature of a steward that accepts a value, which must be on its disk."""
    return signer.sign(ACCEPTANCE, acceptance(register, ballot, value))


def majority(stewards: tuple[PeerId, ...]) -> int:
    """How many of them decide."""
    return len(stewards) // 2 + 1


def check_certificate(certificate: Certificate, verifier: Verifier) -> Decision:
    """What was decided. Raises Untrusted if the stewards that its order names did not say it.

    Whether they decided more than the owner ordered is not looked at.
    """
    try:
        register = read_register(certificate.value)
        order = register.ordered
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a decision: {error}") from None
    if register_key(order) != certificate.register:
        raise Untrusted(Reason.MALFORMED, "a decision about another order")
    stewards = read_order(order).stewards
    needed, voices = majority(stewards), dict(certificate.votes)
    said = acceptance(certificate.register, certificate.ballot, certificate.value)
    right = 0
    for steward in dict.fromkeys(stewards):
        vote = voices.get(steward)
        if vote is not None and verifier.verify(KeyId(steward), ACCEPTANCE, said, vote):
            right += 1
        if right == needed:
            return Decision(register, certificate)
    why = f"a decision that {right} of {len(stewards)} stewards signed, {needed} needed"
    raise Untrusted(Reason.BAD_SIGNATURE, why)


def proof_of(decision: Decision) -> Proof:
    """What is kept of a decision beside its record."""
    certificate, register = decision.certificate, decision.register
    declined = tuple((void.extension, void.until_s) for void in register.declined)
    return Proof(certificate.ballot, register.first, declined, certificate.votes)


def certificate_of(record: GridRecord, proof: Proof) -> Certificate:
    """The certificate, from a record and the proof that was kept beside it."""
    register = Register(record, proof.first, _voids(proof))
    return Certificate(register_key(record.order), proof.ballot, encode(register), proof.votes)


def _voids(proof: Proof) -> tuple[Void, ...]:
    return tuple(Void(GridId(extension), until_s) for extension, until_s in proof.declined)
