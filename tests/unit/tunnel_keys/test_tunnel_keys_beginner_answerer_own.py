"""What one end refuses of the other."""

from hashlib import blake2b

import msgspec
import pytest
from two_hosts import AES, NOW, End, Pair, refused

from protocol.terms.effects import Effect
from protocol.terms.sealed import Cipher, Secret
from protocol.tunnel_keys.keys import TunnelKeys
from protocol.tunnel_keys.limits import OFFERS_BURST, SESSIONS_MOST
from protocol.tunnel_keys.messages import (
    TunnelAnswer,
    TunnelAsk,
    TunnelConfirm,
    TunnelConfirmed,
    TunnelKeysMessage,
    TunnelOffer,
)
from protocol.tunnel_keys.own import Own
from protocol.tunnel_keys.transcript import Answered, Offered, sign_answer, sign_offer
from protocol.wire.codec import decode


def offered(pair: Pair) -> tuple[TunnelOffer, Offered]:
    (message,) = (m for _, m in pair.a.out if isinstance(m, TunnelOffer))
    return message, decode(message.payload, Offered)


def answered(pair: Pair) -> tuple[TunnelAnswer, Answered]:
    message, _ = offered(pair)
    pair.b.does(pair.b.keys.handle(pair.a.id, message, NOW))
    (answer,) = (m for _, m in pair.b.out if isinstance(m, TunnelAnswer))
    return answer, decode(answer.payload, Answered)


@pytest.mark.parametrize("message", [TunnelOffer(b"", b""), TunnelConfirm(b"x" * 32)])
def test_the_host_with_the_lesser_key_is_offered_nothing(message: TunnelKeysMessage) -> None:
    pair = Pair()
    assert "lesser key begins" in refused(pair.a, pair.b.id, message, NOW)


@pytest.mark.parametrize(
    "message", [TunnelAsk(1, 1), TunnelAnswer(b"", b""), TunnelConfirmed(b"x" * 32)]
)
def test_the_host_with_the_greater_key_is_asked_for_nothing(message: TunnelKeysMessage) -> None:
    pair = Pair()
    assert "greater key answers" in refused(pair.b, pair.a.id, message, NOW)


NO_POINT = b"\x01" * 32


def test_an_offer_without_a_public_half_is_a_fault_and_makes_no_keys() -> None:
    pair = Pair()
    _, said = offered(pair)
    bad = sign_offer(msgspec.structs.replace(said, key=NO_POINT), pair.a.identity.signer)
    assert "no point" in refused(pair.b, pair.a.id, bad, NOW)
    assert pair.b.sessions(pair.a) == ()


@pytest.mark.parametrize(
    ("bent", "why"),
    [
        ({"key": NO_POINT}, "no point"),
        ({"cipher": Cipher.CHACHA20_POLY1305}, "was not offered"),
        ({"to": "00" * 32}, "of or for another"),
        ({"by": "00" * 32}, "of or for another"),
    ],
)
def test_an_answer_that_is_none_is_a_fault_and_makes_no_keys(bent: dict, why: str) -> None:
    pair = Pair(forwarders=False)
    for end in pair.both:
        end.does(end.keys.began("one", (AES,), NOW))
    good, said = answered(pair)
    bad = sign_answer(msgspec.structs.replace(said, **bent), pair.b.identity.signer)
    assert why in refused(pair.a, pair.b.id, bad, NOW)
    assert pair.a.sessions(pair.b) == ()
    pair.a.does(pair.a.keys.handle(pair.b.id, good, NOW))
    assert pair.match()


def test_an_answer_to_another_offer_is_left_aside() -> None:
    pair = Pair()
    _, said = answered(pair)
    late = sign_answer(msgspec.structs.replace(said, offer=b"x" * 32), pair.b.identity.signer)
    assert refused(pair.a, pair.b.id, late, NOW) == ""
    assert pair.a.sessions(pair.b) == ()
    assert pair.carry()[0] == "TunnelOffer" or pair.match()


def test_an_answer_signed_by_another_is_a_fault() -> None:
    pair = Pair()
    _, said = answered(pair)
    forged = sign_answer(said, pair.a.identity.signer)
    assert "not signed" in refused(pair.a, pair.b.id, forged, NOW)


def test_many_offers_are_not_all_answered_and_sessions_are_few() -> None:
    pair = Pair()
    _, said = offered(pair)
    for number in range(200):
        more = msgspec.structs.replace(said, round=said.round + number, index=1 + number)
        message = sign_offer(more, pair.a.identity.signer)
        pair.b.does(pair.b.keys.handle(pair.a.id, message, NOW))
        assert pair.b.keys.made(pair.a.id) <= SESSIONS_MOST
    assert len(pair.b.out) == OFFERS_BURST
    pair.carry()
    pair.again(pair.a, life=True)
    pair.wait(60.0)
    assert pair.match()


def test_ciphers_with_unknown_names_are_left_aside() -> None:
    pair = Pair()
    _, said = offered(pair)
    more = msgspec.structs.replace(said, ciphers=("rot13", AES.value), round=said.round + 1)
    pair.b.does(pair.b.keys.handle(pair.a.id, sign_offer(more, pair.a.identity.signer), NOW))
    assert [s.cipher for s in pair.b.sessions(pair.a)] == [AES]


class _Same:
    """Makes pairs whose public halves begin alike, until the third."""

    def __init__(self) -> None:
        self.made = 0

    def ephemeral(self) -> "_Same":
        self.made += 1
        return self

    @property
    def public(self) -> bytes:
        return (b"\0" * 4 if self.made == 1 else bytes([0, 0, 0, self.made])) + b"x" * 28

    def keys(self, theirs: bytes, transcript: bytes) -> tuple[Secret, Secret]:
        both = blake2b(theirs + transcript).digest()
        return Secret(both[:32]), Secret(both[32:])


def test_an_index_is_above_nothing_and_of_one_session() -> None:
    pair = Pair()
    own = Own(pair.a.identity, _Same(), (AES,), lambda: (1, 1), lambda index: index < 4)
    assert own.pair()[1] == 4


def test_a_host_that_makes_no_pairs_has_no_keys() -> None:
    end = End("h1")
    bare = msgspec.structs.replace(end.identity, exchange=None)
    keys, none = TunnelKeys(bare, lambda: 1, lambda _: None), list[Effect]()
    assert keys.began("one", (AES,), NOW) == none
    assert keys.next_deadline() is None
