"""A signature covers what is signed and what it is signed as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.sim.keys import SimSigner, SimVerifier
from protocol.trust.signing import Reason, Untrusted, covered, require_signature, sign

domains = st.from_regex(r"[a-z-]{1,12}", fullmatch=True)


@given(domains, st.binary(), domains, st.binary())
def test_no_two_things_are_covered_alike(d1: str, p1: bytes, d2: str, p2: bytes) -> None:
    assert (covered(d1, p1) == covered(d2, p2)) == ((d1, p1) == (d2, p2))


def test_signed_says_by_whom() -> None:
    signer = SimSigner("a")
    signed = sign(signer, "order", b"payload")
    assert (signed.by, signed.payload) == (signer.key, b"payload")
    require_signature(SimVerifier(), signed.by, "order", signed.payload, signed.signature)
    with pytest.raises(Untrusted) as error:
        require_signature(SimVerifier(), signed.by, "record", signed.payload, signed.signature)
    assert error.value.reason is Reason.BAD_SIGNATURE


def test_who_is_not_believed_hears_what_and_why() -> None:
    key, other = SimSigner("a").key, SimSigner("b")
    with pytest.raises(Untrusted) as error:
        require_signature(SimVerifier(), key, "order", b"up", other.sign("order", b"up"))
    assert error.value.detail == f"this order is not signed by {key[:16]}"
    assert str(error.value) == f"bad-signature: {error.value.detail}"
