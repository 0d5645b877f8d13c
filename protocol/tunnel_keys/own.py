"""What this host brings to every exchange of keys."""

from collections.abc import Callable

from protocol.terms.ids import PeerId
from protocol.terms.sealed import Cipher
from protocol.trust.exchange import Ephemeral, Exchange
from protocol.trust.identity import Identity


class Own:
    """This host with one instance of its forwarder."""

    def __init__(
        self,
        identity: Identity,
        exchange: Exchange,
        ciphers: tuple[Cipher, ...],
        number: Callable[[], tuple[int, int]],
        taken: Callable[[int], bool],
    ) -> None:
        """`ciphers` are the forwarder's, the best first. `number` answers one that is above all before.

        `taken` says whether a session of this host has that index.
        """
        self.me: PeerId = identity.peer
        self.federation = identity.federation
        self.signer, self.verifier = identity.signer, identity.verifier
        self.ciphers, self.number = ciphers, number
        self._exchange, self._taken = exchange, taken

    def pair(self) -> tuple[Ephemeral, int]:
        """A new key pair, and the index of the session that is to come of it.

        The index is the beginning of the public half: it needs no other randomness, and tells nothing.
        """
        while True:
            pair = self._exchange.ephemeral()
            index = int.from_bytes(pair.public[:4], "big")
            if index and not self._taken(index):
                return pair, index
