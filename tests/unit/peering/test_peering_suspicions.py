"""A suspicion is about the peer that its record is named after, or it is nobody's."""

import pytest

from protocol.membership.messages import Suspicion
from protocol.peering.suspicions import KIND, TAKEN_BACK, read_suspicion, readable
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.record import Record
from protocol.wire.codec import Malformed, encode

ONE, OTHER = PeerId("1" * 64), PeerId("2" * 64)


def record(body: bytes) -> Record:
    return Record(KeyId("a" * 64), KIND, ONE, 1, 1, body, 60.0)


def test_what_has_no_body_is_taken_back() -> None:
    assert read_suspicion(record(b"")) == Suspicion(ONE, TAKEN_BACK)


@pytest.mark.parametrize("body", [b"\xc1", encode(Suspicion(OTHER, 3))])
def test_what_is_about_nobody_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_suspicion(record(body))


def test_what_cannot_be_read_hides_nothing_of_the_rest() -> None:
    said = [record(b"\xc1"), record(encode(Suspicion(ONE, 3)))]
    assert list(readable(said)) == [(PeerId("a" * 64), Suspicion(ONE, 3))]
