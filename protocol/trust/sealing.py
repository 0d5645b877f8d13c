"""Sealing, without saying how it is done: a Sealer is handed to the machines that need one.

One peer makes a box for another, by their keys alone. Nobody else can open it, alter it, or make one that
passes for it. Each direction has a key of its own, so a box that is sent back to its maker does not open. A
seal says nothing of when: the peer that opens a box must know an old one by what is inside.
"""

from typing import Protocol

from protocol.terms.ids import PeerId


class Sealer(Protocol):
    """Holds one peer's private key."""

    def seal(self, to: PeerId, plain: bytes) -> bytes | None:
        """A box for that peer, at most 40 bytes longer: XSalsa20-Poly1305's nonce and tag.

        None if the peer's id is no key.
        """

    def open(self, origin: PeerId, box: bytes) -> bytes | None:
        """What `origin` sealed for this peer; None if it did not, or the box was altered."""
