"""A signature that was right is not checked again. Another one, or one that was wrong, is."""

from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.ids import KeyId
from protocol.terms.limits import SIGNATURES_REMEMBERED
from protocol.trust.remembering import Remembering


class Counting(SimVerifier):
    """Counts what it is asked."""

    asked = 0

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether the signature is right, as its parent says."""
        self.asked += 1
        return super().verify(key, domain, payload, signature)


def test_what_was_right_is_checked_once() -> None:
    signer, real = SimSigner("a"), Counting()
    verifier = Remembering(real)
    signature = signer.sign("order", b"up")
    assert all(verifier.verify(signer.key, "order", b"up", signature) for _ in range(3))
    assert real.asked == 1


def test_another_key_domain_payload_or_signature_is_another_question() -> None:
    signer, other, verifier = SimSigner("a"), SimSigner("b"), Remembering(SimVerifier())
    signature = signer.sign("order", b"up")
    assert verifier.verify(signer.key, "order", b"up", signature)
    assert not verifier.verify(other.key, "order", b"up", signature)
    assert not verifier.verify(signer.key, "record", b"up", signature)
    assert not verifier.verify(signer.key, "order", b"down", signature)
    assert not verifier.verify(signer.key, "order", b"up", signature[:-1] + b"\0")
    assert not verifier.verify(signer.key, "order", b"up", b"")


def test_what_is_wrong_is_checked_each_time_and_pushes_nothing_out() -> None:
    signer, real = SimSigner("a"), Counting()
    verifier = Remembering(real)
    good = signer.sign("order", b"up")
    verifier.verify(signer.key, "order", b"up", good)
    for number in range(SIGNATURES_REMEMBERED + 1):
        assert not verifier.verify(signer.key, "order", b"%d" % number, good)
    asked = real.asked
    assert verifier.verify(signer.key, "order", b"up", good)
    assert real.asked == asked


def test_it_remembers_a_bounded_number() -> None:
    signer, real = SimSigner("a"), Counting()
    verifier = Remembering(real)
    first = signer.sign("order", b"0")
    for number in range(SIGNATURES_REMEMBERED + 1):
        payload = b"%d" % number
        assert verifier.verify(signer.key, "order", payload, signer.sign("order", payload))
    asked = real.asked
    assert verifier.verify(signer.key, "order", b"0", first)
    assert real.asked == asked + 1
