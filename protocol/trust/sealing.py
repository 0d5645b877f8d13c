"""Sealing, without saying how it is done: a Sealer is handed to who needs one.

A box is made by one peer for another, by their keys alone: nobody else can open it, alter it, or make one that
looks as if it were. Each direction has a key of its own, so a box sent back to its maker does not open. That a
box is sealed says nothing of when: who opens it must know an old one by what is inside.
"""

from typing import Protocol

from protocol.terms.ids import PeerId

OVERHEAD_BYTES = 40
"""How much longer a box may be than what is in it: XSalsa20-Poly1305's nonce and tag."""


class Sealer(Protocol):
    """Holds one peer's private key."""

    def seal(self, to: PeerId, plain: bytes) -> bytes | None:
        """A box for that peer; None if its id is no key."""

    def open(self, origin: PeerId, box: bytes) -> bytes | None:
        """What that peer sealed for this one; None if it did not, or the box was altered."""
