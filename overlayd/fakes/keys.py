"""Identities without cryptography: the simulator's keys, with what a transport asks of one."""

from hashlib import sha256

from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.ids import PeerId
from protocol.trust.certificate import is_key

__all__ = ["FakeIdentity", "SimVerifier"]


class FakeIdentity(SimSigner):
    """An Identity whose keys follow from a seed. Its transport keys authenticate nothing."""

    @property
    def peer(self) -> PeerId:
        """The public key as a peer's name."""
        return PeerId(self.key)

    @property
    def transport_secret(self) -> bytes:
        """32 bytes."""
        return sha256(b"secret" + self.key.encode()).digest()

    @property
    def transport_public(self) -> bytes:
        """32 bytes."""
        return sha256(self.key.encode()).digest()

    def transport_key_of(self, peer: PeerId) -> bytes | None:
        """32 bytes; None if it is no key."""
        return sha256(peer.encode()).digest() if is_key(peer) else None
