"""A verifier that checks the same signature once.

Each host checks an order for every hold, record and change that carries it, and the order's chain with every
order of the same admin. A signature that was right stays right; certificate.py still asks each time whether a
certificate has ended or was revoked. Only right signatures are remembered: what a stranger makes up costs a
check each time, and pushes nothing out.
"""

from hashlib import sha256

from protocol.terms.ids import KeyId
from protocol.terms.limits import SIGNATURES_REMEMBERED
from protocol.trust.signing import Verifier, covered


class Remembering:
    """A Verifier in front of another one. It keeps digests, not payloads: 100 bytes each."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._right: dict[bytes, None] = {}

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether `key` signed this payload in this domain."""
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
