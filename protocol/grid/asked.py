"""The word of the peer that an order is for, that it asked a host to hold an attempt to make the order's grid.

A host whose hold is over votes against the attempt, and stewards cannot know whom a requester asked. So it
shows this. Who was not asked has none, though it may have seen the order; and it is about one attempt and one
host.
"""

import msgspec

from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.signing import Signer, Verifier
from protocol.wire.codec import encode

DOMAIN = "asked"


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What is signed."""

    attempt: GridId
    host: PeerId


def sign_asked(signer: Signer, attempt: GridId, host: PeerId) -> bytes:
    """That who signs asked that host to hold that attempt."""
    return signer.sign(DOMAIN, encode(Asked(attempt, host)))


def was_asked(
    verifier: Verifier, by: PeerId, attempt: GridId, host: PeerId, signature: bytes
) -> bool:
    """Whether `by` signed that it asked that host."""
    said = encode(Asked(attempt, host))
    return bool(signature) and verifier.verify(KeyId(by), DOMAIN, said, signature)
