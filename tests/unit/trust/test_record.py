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
    """The record with changes, signed by the owner, even when no honest one would."""
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
        (but(kind=""), Reason.MALFORMED),
        (but(kind="Advert!"), Reason.MALFORMED),
        (but(name="with space"), Reason.MALFORMED),
        (but(ttl_s=float("inf")), Reason.MALFORMED),
        (but(body=b"x" * MAX_RECORD_BYTES), Reason.MALFORMED),
        (SignedRecord(payload=b"", signature=b""), Reason.MALFORMED),
    ],
    ids=range(9),
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


def sized(size: int) -> Record:
    """A record whose payload has that many bytes."""
    body = b"x" * (size - len(encode(msgspec.structs.replace(ADVERT, body=b"x" * 1000))) + 1000)
    return msgspec.structs.replace(ADVERT, body=body)


AT_A_LIMIT: dict[str, dict[str, Any]] = {
    "the first incarnation": {"incarnation": 0},
    "the last incarnation": {"incarnation": 2**63 - 1},
    "the first sequence": {"sequence": 0},
    "the last sequence": {"sequence": 2**63 - 1},
    "the longest time to live": {"ttl_s": 3660 * 86400.0},
    "less than a second to live": {"ttl_s": 0.5},
    "the longest kind": {"kind": "k" * 32},
    "the longest name": {"name": "!" * 64 + "~" * 64},
    "a site's own": {"scope": "ams"},
}
BEYOND: dict[str, tuple[dict[str, Any], str]] = {
    "before the first incarnation": ({"incarnation": -1}, "a number is"),
    "beyond the last incarnation": ({"incarnation": 2**63}, "a number is"),
    "before the first sequence": ({"sequence": -1}, "a number is"),
    "beyond the last sequence": ({"sequence": 2**63}, "a number is"),
    "a longer time to live": (
        {"ttl_s": 3660 * 86400.0 + 1},
        "a time to live of 316224001 s, at most 316224000 s",
    ),
    "no time to live": ({"ttl_s": 0.0}, "a time to live of 0 s"),
    "a longer kind": ({"kind": "k" * 33}, "a kind is"),
    "a longer name": ({"name": "n" * 129}, "a name is"),
    "nobody's key": ({"owner": "x" * 64}, "an owner is"),
    "no site's": ({"scope": "AMS"}, "a scope is a site's name, or empty"),
}


@pytest.mark.parametrize("name", list(AT_A_LIMIT))
def test_up_to_its_limits_a_record_is_signed_and_believed(name: str) -> None:
    record = msgspec.structs.replace(ADVERT, **AT_A_LIMIT[name])
    assert check_record(sign_record(record, OWNER), SimVerifier()) == record


@pytest.mark.parametrize("name", list(BEYOND))
def test_beyond_a_limit_its_rule_is_named_to_who_checks(name: str) -> None:
    changes, words = BEYOND[name]
    with pytest.raises(Untrusted, match=f"malformed: record: {words}"):
        check_record(but(**changes), SimVerifier())


def test_what_would_not_be_believed_is_not_signed() -> None:
    with pytest.raises(ValueError, match="a scope is"):
        sign_record(msgspec.structs.replace(ADVERT, scope="AMS"), OWNER)


def test_the_largest_record_is_signed_and_believed_and_no_larger_one() -> None:
    largest = sign_record(sized(MAX_RECORD_BYTES), OWNER)
    assert len(largest.payload) == MAX_RECORD_BYTES
    assert check_record(largest, SimVerifier()) == sized(MAX_RECORD_BYTES)
    with pytest.raises(ValueError, match=f"{MAX_RECORD_BYTES + 1} bytes, at most"):
        sign_record(sized(MAX_RECORD_BYTES + 1), OWNER)
