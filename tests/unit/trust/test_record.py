"""Records are their owner's alone, and merging them does not depend on order."""

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.sim.keys import SimSigner, SimVerifier
from protocol.trust.record import (
    DOMAIN,
    MAX_TTL_S,
    Record,
    SignedRecord,
    check_record,
    newer,
    read_record,
    sign_record,
)
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode
from protocol.wire.limits import MAX_RECORD_BYTES

OWNER, OTHER = SimSigner("owner"), SimSigner("other")
ADVERT = Record(
    owner=OWNER.key,
    kind="advert",
    name="",
    incarnation=1,
    sequence=7,
    body=b"\x00\xff",
    ttl_s=300.0,
)


def but(**changes: Any) -> SignedRecord:
    """Signed by the owner, also when no honest one would."""
    payload = encode(msgspec.structs.replace(ADVERT, **changes))
    return SignedRecord(payload=payload, signature=OWNER.sign(DOMAIN, payload))


def test_what_the_owner_signed_is_believed() -> None:
    signed = sign_record(ADVERT, OWNER)
    assert check_record(signed, SimVerifier()) == ADVERT
    assert read_record(signed).key == (OWNER.key, "advert", "")


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (msgspec.structs.replace(but(), signature=bytes(32)), Reason.BAD_SIGNATURE),
        (msgspec.structs.replace(but(), payload=but(sequence=8).payload), Reason.BAD_SIGNATURE),
        (but(owner=OTHER.key), Reason.BAD_SIGNATURE),
        (but(owner="x" * 64), Reason.MALFORMED),
        (but(kind=""), Reason.MALFORMED),
        (but(kind="Advert!"), Reason.MALFORMED),
        (but(name="with space"), Reason.MALFORMED),
        (but(name="x" * 129), Reason.MALFORMED),
        (but(incarnation=-1), Reason.MALFORMED),
        (but(sequence=2**63), Reason.MALFORMED),
        (but(ttl_s=0.0), Reason.MALFORMED),
        (but(ttl_s=MAX_TTL_S + 1), Reason.MALFORMED),
        (but(ttl_s=float("inf")), Reason.MALFORMED),
        (but(body=b"x" * MAX_RECORD_BYTES), Reason.MALFORMED),
        (SignedRecord(payload=b"", signature=b""), Reason.MALFORMED),
    ],
    ids=range(15),
)
def test_each_fault_has_its_reason(signed: SignedRecord, reason: Reason) -> None:
    with pytest.raises(Untrusted) as error:
        check_record(signed, SimVerifier())
    assert error.value.reason is reason


def test_only_the_owner_signs() -> None:
    with pytest.raises(ValueError, match="owner"):
        sign_record(ADVERT, OTHER)
    with pytest.raises(ValueError, match="at most"):
        sign_record(msgspec.structs.replace(ADVERT, body=b"x" * MAX_RECORD_BYTES), OWNER)


def test_incarnation_goes_before_sequence() -> None:
    later = msgspec.structs.replace(ADVERT, sequence=8)
    reborn = msgspec.structs.replace(ADVERT, incarnation=2, sequence=0)
    assert newer(later, ADVERT)
    assert newer(reborn, later)
    assert not newer(ADVERT, ADVERT)


@given(
    st.lists(
        st.builds(
            Record,
            owner=st.just(OWNER.key),
            kind=st.just("advert"),
            name=st.just(""),
            incarnation=st.integers(0, 2),
            sequence=st.integers(0, 2),
            body=st.sampled_from([b"", b"a", b"b"]),
            ttl_s=st.sampled_from([1.0, 2.0]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_order_of_arrival_leaves_the_same_record(records: list[Record]) -> None:
    def merged(arrivals: tuple[Record, ...]) -> Record:
        kept = arrivals[0]
        for record in arrivals[1:]:
            kept = record if newer(record, kept) else kept
        return kept

    assert len({encode(merged(order)) for order in permutations(records)}) == 1
