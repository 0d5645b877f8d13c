"""Directory records: small, signed by their owner, newest wins.

Nobody can forge another's record, and merging is order-free: of two records under one key the one with
the greater (incarnation, sequence) stays. An owner that signs two of the same number (a bug, a restored
disk, malice) causes no endless argument: the greater bytes stay, the same everywhere.
"""

import re

import msgspec

from protocol.terms.ids import KeyId
from protocol.terms.ranges import Moment
from protocol.trust.certificate import is_key, is_label
from protocol.trust.signing import (
    Reason,
    Signer,
    Untrusted,
    Verifier,
    read_signed,
    require_signature,
)
from protocol.wire.codec import encode
from protocol.wire.limits import MAX_RECORD_BYTES

DOMAIN = "record"
MAX_TTL_S = 3660 * 86400.0
"""A revocation must outlive the longest certificate there is, ten years."""

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_NAME = re.compile(r"[\x21-\x7e]{0,128}")
_MAX_NUMBER = (1 << 63) - 1

RecordKey = tuple[KeyId, str, str]
"""(owner, kind, name): what a newer record replaces."""


class Record(msgspec.Struct, frozen=True):
    """One statement of its owner. `name` may be empty if the owner has only one of its kind."""

    owner: KeyId
    kind: str
    name: str
    incarnation: int
    sequence: int
    body: bytes
    ttl_s: Moment
    """How long it is believed after it was last refreshed."""
    scope: str = ""
    """Who is to have it when there are too many peers for everybody to have everything: one site's
    hosts, or everybody (empty)."""

    @property
    def key(self) -> RecordKey:
        """What a newer record replaces."""
        return (self.owner, self.kind, self.name)

    @property
    def rank(self) -> tuple[int, int, bytes, float, str]:
        """A total order of the records under one key."""
        return (self.incarnation, self.sequence, self.body, self.ttl_s, self.scope)


class SignedRecord(msgspec.Struct, frozen=True):
    """An encoded Record and its owner's signature."""

    payload: bytes
    signature: bytes


def newer(a: Record, b: Record) -> bool:
    """Whether `a` replaces `b`. False for equal ones. Both must be under the same key."""
    return a.rank > b.rank


def sign_record(record: Record, signer: Signer) -> SignedRecord:
    """`record`, signed by its owner. Raises ValueError for another signer, or a record that breaks a rule."""
    if record.owner != signer.key:
        raise ValueError("a record is signed by the owner it names")
    payload = encode(record)
    if fault := _fault(record, payload):
        raise ValueError(fault)
    return SignedRecord(payload=payload, signature=signer.sign(DOMAIN, payload))


def read_record(signed: SignedRecord) -> Record:
    """What it says, its signature unchecked: enough to see that it is old. Raises Untrusted(malformed)."""
    record = read_signed(signed.payload, Record, "record", limit_bytes=MAX_RECORD_BYTES)
    if fault := _fault(record, signed.payload):
        raise Untrusted(Reason.MALFORMED, fault)
    return record


def check_record(signed: SignedRecord, verifier: Verifier) -> Record:
    """The record, signed by the owner it names. This does not say whether that owner is a member.

    Raises Untrusted if it is malformed or the signature is another's.
    """
    record = read_record(signed)
    require_signature(verifier, record.owner, DOMAIN, signed.payload, signed.signature)
    return record


def _fault(record: Record, payload: bytes) -> str:
    if len(payload) > MAX_RECORD_BYTES:
        return f"record: {len(payload)} bytes, at most {MAX_RECORD_BYTES} are accepted"
    if not is_key(record.owner):
        return "record: an owner is 64 hexadecimal digits"
    if _KIND.fullmatch(record.kind) is None:
        return "record: a kind is 1 to 32 of a-z, 0-9 and hyphens"
    if _NAME.fullmatch(record.name) is None:
        return "record: a name is at most 128 visible characters"
    if record.scope and not is_label(record.scope):
        return "record: a scope is a site's name, or empty"
    if not (0 <= record.incarnation <= _MAX_NUMBER and 0 <= record.sequence <= _MAX_NUMBER):
        return "record: a number is negative or above 63 bits"
    if not 0 < record.ttl_s <= MAX_TTL_S:
        return f"record: a time to live of {record.ttl_s:.0f} s, at most {MAX_TTL_S:.0f} s"
    return ""
