"""Keys: this process's identity, and how it checks the identity of others.

Signer and Verifier are the protocol's own words for that. The transport needs more.
"""

from typing import Protocol

from protocol.terms.ids import PeerId
from protocol.trust.signing import Signer, Verifier

__all__ = ["Identity", "KeyFileError", "Signer", "Verifier"]


class KeyFileError(Exception):
    """A key or certificate file cannot be used. The text says which, why, and what would help."""


class Identity(Signer, Protocol):
    """A private key that signs and authenticates connections."""

    @property
    def transport_secret(self) -> bytes:
        """Its Curve25519 private key, 32 bytes."""

    @property
    def transport_public(self) -> bytes:
        """Its Curve25519 public key, 32 bytes."""

    def transport_key_of(self, peer: PeerId) -> bytes | None:
        """The Curve25519 public key, 32 bytes, that belongs to a peer; None if `peer` is no key."""
