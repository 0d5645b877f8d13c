"""A verifier that checks the same signature once.

An order is checked by each of its hosts for every hold, record and change that carries it, and its chain with
every order of the same admin. A signature that was right stays right; whether a certificate has ended or was
revoked is asked each time all the same (certificate.py). Only what was right is remembered: what a stranger
makes up costs a check each time, and pushes nothing out.
"""

from hashlib import sha256

from protocol.terms.ids import KeyId
from protocol.terms.limits import SIGNATURES_REMEMBERED
from protocol.trust.signing import Verifier, covered


class Remembering:
    """A Verifier before another one. Keeps digests, not payloads: 100 bytes each."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._right: dict[bytes, None] = {}

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether `key` signed this."""
        mark = _mark(key, domain, payload, signature)
        if mark in self._right:
            return True
        if not self._verifier.verify(key, domain, payload, signature):
            return False
        if len(self._right) >= SIGNATURES_REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[mark] = None
        return True


def _mark(key: KeyId, domain: str, payload: bytes, signature: bytes) -> bytes:
    whole = sha256(f"{len(key)} {len(domain)} {len(signature)} {key}".encode())
    whole.update(signature)
    whole.update(covered(domain, payload))
    return whole.digest()
