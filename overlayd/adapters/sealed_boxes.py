"""Boxes that only one peer can open, whoever carries them: NaCl's sealed boxes, for its CURVE key."""

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from overlayd.ports.keys import Identity
from protocol.terms.ids import PeerId


class SealedBoxes:
    """Seals for others, and opens what was sealed for this peer. A box is 48 bytes longer than what is in it.

    It does not say who sealed it: what is inside is checked against a digest.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._mine = SealedBox(PrivateKey(identity.transport_secret))

    def seal(self, to: PeerId, plain: bytes) -> bytes | None:
        """A box for `to`; None if `to` is no key."""
        key = self._identity.transport_key_of(to)
        return bytes(SealedBox(PublicKey(key)).encrypt(plain)) if key is not None else None

    def open(self, box: bytes) -> bytes | None:
        """What is in a box; None if it is not for this peer, or damaged."""
        try:
            return bytes(self._mine.decrypt(box))
        except (CryptoError, ValueError, TypeError):
            return None
