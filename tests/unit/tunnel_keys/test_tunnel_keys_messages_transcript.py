"""What makes an offer or an answer believed: every part of it."""

import msgspec
import pytest
from two_hosts import AES, FED, identity

from protocol.terms.ids import KeyId, PeerId
from protocol.trust.signing import Untrusted
from protocol.tunnel_keys.messages import TunnelAnswer, TunnelConfirm, TunnelOffer
from protocol.tunnel_keys.transcript import (
    Answered,
    Offered,
    check_answer,
    check_offer,
    digest_of,
    sign_answer,
    sign_offer,
)
from protocol.wire.codec import Malformed, decode, encode

A, B, C = (identity(name) for name in ("h1", "h2", "h3"))
OFFERED = Offered(FED.key, A.peer, B.peer, 3, 7, 4711, b"k" * 32, ("aes-256-gcm", "newer"))
OFFER = sign_offer(OFFERED, A.signer)
ANSWERED = Answered(digest_of(OFFER.payload), A.peer, B.peer, 815, b"p" * 32, AES)
ANSWER = sign_answer(ANSWERED, B.signer)


def hears_offer(message: TunnelOffer, sender: PeerId = A.peer, me: PeerId = B.peer) -> Offered:
    return check_offer(message, sender, me, FED.key, B.verifier).said


def test_an_offer_is_believed_as_it_was_signed() -> None:
    checked = check_offer(OFFER, A.peer, B.peer, FED.key, B.verifier)
    assert checked.said == OFFERED
    assert checked.number == (3, 7)
    assert checked.digest == digest_of(OFFER.payload)


@pytest.mark.parametrize(
    "bent",
    [
        {"federation": KeyId("00" * 32)},
        {"by": C.peer},
        {"to": C.peer},
        {"index": 0},
        {"index": 1 << 32},
        {"key": b"k" * 31},
        {"key": b"k" * 33},
        {"life": -1},
        {"round": -1},
        {"ciphers": ("x",) * 5},
    ],
)
def test_an_offer_with_one_part_wrong_is_not_believed(bent: dict) -> None:
    with pytest.raises(Untrusted):
        hears_offer(sign_offer(msgspec.structs.replace(OFFERED, **bent), A.signer))


def test_an_offer_is_for_one_host_of_one_host() -> None:
    for sender, me in ((C.peer, B.peer), (A.peer, C.peer), (B.peer, A.peer)):
        with pytest.raises(Untrusted):
            hears_offer(OFFER, sender, me)


def test_no_bit_of_an_offer_may_be_otherwise() -> None:
    for place in range(0, len(OFFER.payload) * 8, 7):
        payload = bytearray(OFFER.payload)
        payload[place // 8] ^= 1 << (place % 8)
        with pytest.raises(Untrusted):
            hears_offer(TunnelOffer(bytes(payload), OFFER.signature))
    for forged in (b"", bytes(32), ANSWER.signature, C.signer.sign("tunnel-offer", OFFER.payload)):
        with pytest.raises(Untrusted):
            hears_offer(TunnelOffer(OFFER.payload, forged))


def test_an_offer_does_not_pass_for_an_answer_nor_back() -> None:
    with pytest.raises(Untrusted):
        hears_offer(TunnelOffer(OFFER.payload, A.signer.sign("tunnel-answer", OFFER.payload)))
    with pytest.raises(Untrusted):
        hears_offer(TunnelOffer(ANSWER.payload, B.signer.sign("tunnel-offer", ANSWER.payload)))


def test_an_answer_is_to_one_offer() -> None:
    offer = digest_of(OFFER.payload)
    checked = check_answer(ANSWER, B.peer, A.peer, offer, A.verifier)
    assert checked is not None
    assert (checked.said, checked.digest) == (ANSWERED, digest_of(ANSWER.payload))
    assert check_answer(ANSWER, B.peer, A.peer, b"x" * 32, A.verifier) is None
    for sender, me in ((C.peer, A.peer), (B.peer, C.peer)):
        with pytest.raises(Untrusted):
            check_answer(ANSWER, sender, me, offer, A.verifier)
    for forged in (b"", A.signer.sign("tunnel-answer", ANSWER.payload)):
        with pytest.raises(Untrusted):
            check_answer(TunnelAnswer(ANSWER.payload, forged), B.peer, A.peer, offer, A.verifier)


def test_what_is_too_long_is_no_message() -> None:
    for bad in (
        TunnelOffer(b"x" * 1025, b""),
        TunnelOffer(b"", b"x" * 65),
        TunnelConfirm(b"x" * 31),
    ):
        with pytest.raises(Malformed):
            decode(encode(bad), type(bad))
