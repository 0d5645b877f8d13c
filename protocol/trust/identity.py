"""Who this peer is."""

import msgspec

from protocol.terms.ids import KeyId, PeerId
from protocol.terms.reach import Reach
from protocol.trust.certificate import Chain
from protocol.trust.exchange import Exchange
from protocol.trust.sealing import Sealer
from protocol.trust.signing import Signer, Verifier
from protocol.wire.versions import SPOKEN, Span


class Identity(msgspec.Struct, frozen=True):
    """Keys, certificates and names. Others dial `address`; it is empty for a peer that listens nowhere."""

    signer: Signer
    verifier: Verifier
    sealer: Sealer
    chain: Chain
    federation: KeyId
    name: str
    site: str
    address: str
    reach: Reach | None = None
    """What its configuration says; None if it is to be found out."""
    speaks: Span = SPOKEN
    exchange: Exchange | None = None
    """Makes key pairs for tunnels; without it there are no keys for any."""

    def with_chain(self, chain: Chain) -> "Identity":
        """The same peer with another certificate."""
        return msgspec.structs.replace(self, chain=chain)

    def at(self, address: str) -> "Identity":
        """The same peer, dialled at another address."""
        return msgspec.structs.replace(self, address=address)

    @property
    def peer(self) -> PeerId:
        """This peer's id."""
        return PeerId(self.signer.key)
