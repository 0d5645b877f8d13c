"""The contract of key exchanges: X25519 with HKDF, and the simulator's stand-in."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from overlayd.adapters.key_exchange import INFO, NaclExchange, NaclPair, hkdf
from protocol.sim.keys import SimExchange
from protocol.trust.exchange import Exchange

MAKERS: dict[str, Callable[[str], Exchange]] = {
    "fake": SimExchange,
    "nacl": lambda _: NaclExchange(),
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest) -> tuple[Exchange, Exchange]:
    maker = MAKERS[request.param]
    return maker("a"), maker("b")


def test_both_ends_have_the_same_keys_in_the_same_order(made: tuple[Exchange, Exchange]) -> None:
    a, b = (exchange.ephemeral() for exchange in made)
    mine, yours = a.keys(b.public, b"t"), b.keys(a.public, b"t")
    assert mine is not None
    assert mine == yours
    there, back = mine
    assert there != back
    assert len(there.reveal()) == len(back.reveal()) == len(a.public) == 32


def test_keys_follow_from_both_pairs_and_from_what_was_said(
    made: tuple[Exchange, Exchange],
) -> None:
    a, b = made
    one, two, other = a.ephemeral(), a.ephemeral(), b.ephemeral()
    assert one.public != two.public
    keys = [
        one.keys(other.public, b"t"),
        two.keys(other.public, b"t"),
        one.keys(two.public, b"t"),
        one.keys(other.public, b"u"),
    ]
    assert all(x != y for n, x in enumerate(keys) for y in keys[:n])


@pytest.mark.parametrize("theirs", [b"", b"\0" * 32, b"\0" * 31, b"x" * 33, b"\x01" + bytes(31)])
def test_what_is_no_public_half_makes_no_keys(
    theirs: bytes, made: tuple[Exchange, Exchange]
) -> None:
    assert made[0].ephemeral().keys(theirs, b"t") is None


def test_hkdf_is_that_of_its_standard() -> None:
    made = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert made.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_another_library_makes_the_same_keys() -> None:
    mine, theirs = NaclPair(b"s" * 32), X25519PrivateKey.generate()
    shared = theirs.exchange(X25519PublicKey.from_public_bytes(mine.public))
    made = HKDF(SHA256(), 64, b"transcript", INFO).derive(shared)
    keys = mine.keys(theirs.public_key().public_bytes_raw(), b"transcript")
    assert keys is not None
    assert keys[0].reveal() + keys[1].reveal() == made


def test_a_pair_shows_no_private_half() -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    pair = NaclPair(secret)
    assert secret not in repr(vars(pair)).encode()
