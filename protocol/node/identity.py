"""Who this peer is."""

import msgspec

from protocol.terms.ids import KeyId, PeerId
from protocol.trust.certificate import Chain
from protocol.trust.signing import Signer, Verifier


class Identity(msgspec.Struct, frozen=True):
    """Keys, certificates and names; `address` is what others dial."""

    signer: Signer
    verifier: Verifier
    chain: Chain
    federation: KeyId
    name: str
    site: str
    address: str

    @property
    def peer(self) -> PeerId:
        """This peer's id."""
        return PeerId(self.signer.key)
