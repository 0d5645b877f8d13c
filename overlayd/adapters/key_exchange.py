"""X25519 by PyNaCl and HKDF-SHA256 (RFC 5869): the keys of tunnels."""

from hashlib import sha256
from hmac import digest

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError
from nacl.utils import random

from protocol.terms.sealed import Secret
from protocol.trust.exchange import KEY_BYTES, PUBLIC_BYTES

INFO = b"overlayd/1/tunnel-keys"


class NaclPair:
    """An Ephemeral: a key pair on Curve25519."""

    def __init__(self, secret: bytes) -> None:
        self._secret = Secret(secret)
        self._public: bytes = crypto_scalarmult_base(secret)

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._public

    def keys(self, theirs: bytes, transcript: bytes) -> tuple[Secret, Secret] | None:
        """HKDF of the shared secret; `transcript` is the salt. None for a point of small order."""
        if len(theirs) != PUBLIC_BYTES:
            return None
        try:
            shared = crypto_scalarmult(self._secret.reveal(), theirs)
        except (CryptoError, ValueError):
            return None
        made = hkdf(shared, transcript, INFO, 2 * KEY_BYTES)
        return Secret(made[:KEY_BYTES]), Secret(made[KEY_BYTES:])


class NaclExchange:
    """An Exchange by the system's randomness."""

    def ephemeral(self) -> NaclPair:
        """A new pair."""
        return NaclPair(random(PUBLIC_BYTES))


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256: `length` bytes, at most 8,160."""
    key, made, block = digest(salt, secret, sha256), b"", b""
    while len(made) < length:
        block = digest(key, block + info + bytes([len(made) // 32 + 1]), sha256)
        made += block
    return made[:length]
