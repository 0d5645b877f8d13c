"""Signatures, without saying how they are made: a Signer or Verifier is handed to the code that needs one.

A signature covers `overlayd/1/`, the domain, a zero byte and the payload. The domain names the kind of
thing that is signed, so that an order can never pass for a certificate, even if its bytes would.
"""

from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from protocol.terms.ids import KeyId
from protocol.wire.codec import Malformed, decode
from protocol.wire.limits import MAX_FRAME_BYTES

T = TypeVar("T")

PREFIX = b"overlayd/1/"


class Reason(StrEnum):
    """Why something signed was not believed; the label it is counted under."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad-signature"
    WRONG_FEDERATION = "wrong-federation"
    BROKEN_CHAIN = "broken-chain"
    WRONG_ROLE = "wrong-role"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    SHUT_OUT = "shut-out"
    """It holds, and is not heard for a while all the same."""
    EQUIVOCATED = "equivocated"
    NOT_GRANTED = "not-granted"
    """A grant does not go so far."""


class Untrusted(Exception):
    """Something signed was not believed. No state was changed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Signer(Protocol):
    """Holds one private key."""

    @property
    def key(self) -> KeyId:
        """The public key that checks what this signs."""

    def sign(self, domain: str, payload: bytes) -> bytes:
        """The signature over `covered(domain, payload)`."""


class Verifier(Protocol):
    """Checks signatures of anybody."""

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether `key` signed this. A key or signature of the wrong size gives False, no error."""


class Signed(msgspec.Struct, frozen=True):
    """Any bytes, and the key that signed them. The payload stays as it was signed: nothing is re-encoded."""

    payload: bytes
    signature: bytes
    by: KeyId


def covered(domain: str, payload: bytes) -> bytes:
    """The bytes a signature covers. A domain is ASCII without a zero byte."""
    return b"".join((PREFIX, domain.encode("ascii"), b"\0", payload))


def sign(signer: Signer, domain: str, payload: bytes) -> Signed:
    """`payload`, signed in that domain."""
    return Signed(payload=payload, signature=signer.sign(domain, payload), by=signer.key)


def require_signature(
    verifier: Verifier, key: KeyId, domain: str, payload: bytes, signature: bytes
) -> None:
    """Raises Untrusted(bad-signature) unless `key` signed it."""
    if not verifier.verify(key, domain, payload, signature):
        raise Untrusted(Reason.BAD_SIGNATURE, f"this {domain} is not signed by {key[:16]}")


def read_signed(
    payload: bytes, kind: type[T], what: str, *, limit_bytes: int = MAX_FRAME_BYTES
) -> T:
    """What a payload says, before anything is believed. Raises Untrusted(malformed)."""
    try:
        return decode(payload, kind, limit_bytes=limit_bytes)
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"{what}: {error}") from None
