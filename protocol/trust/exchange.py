"""Key exchange, without saying how it is done: an Exchange is handed to the machine that needs one.

Two peers each make a key pair for one exchange and tell each other its public half. Both then have the same
keys. Nobody who only listened has them, not even with both peers' own keys, once the private halves are gone.
"""

from typing import Protocol

from protocol.terms.sealed import Secret

PUBLIC_BYTES = 32
KEY_BYTES = 32
"""What the public half of a pair, and each of the keys that are made, has."""


class Ephemeral(Protocol):
    """A key pair for one exchange. Whoever drops it has forgotten the private half."""

    @property
    def public(self) -> bytes:
        """The public half, PUBLIC_BYTES."""

    def keys(self, theirs: bytes, transcript: bytes) -> tuple[Secret, Secret] | None:
        """The two keys that follow from this pair, the other end's public half, and what was said.

        Both ends get them in the same order. None if `theirs` is no public half that anybody can mean.
        """


class Exchange(Protocol):
    """Makes key pairs."""

    def ephemeral(self) -> Ephemeral:
        """A new pair, of true randomness."""
