"""Keys for the simulator: fast, deterministic, and worthless outside it.

A signature is a hash keyed with the *public* key. Anyone could forge one, but nothing in a
simulation does so by accident, and it is far faster than Ed25519. A key is the hash of a seed.
"""

from hashlib import blake2b, sha256

from protocol.terms.ids import KeyId
from protocol.trust.signing import covered


class SimSigner:
    """A Signer whose key follows from `seed`."""

    def __init__(self, seed: str) -> None:
        self._key = KeyId(sha256(seed.encode()).hexdigest())

    @property
    def key(self) -> KeyId:
        """Its public key, which is all the key there is."""
        return self._key

    def sign(self, domain: str, payload: bytes) -> bytes:
        """32 bytes."""
        return _tag(self._key, domain, payload)


class SimVerifier:
    """A Verifier of what SimSigner signs."""

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether `key` signed this."""
        try:
            return len(key) == 64 and signature == _tag(key, domain, payload)
        except ValueError:
            return False


def _tag(key: KeyId, domain: str, payload: bytes) -> bytes:
    return blake2b(covered(domain, payload), key=bytes.fromhex(key), digest_size=32).digest()
