"""A peer is its key; its certificates come and go."""

import msgspec

from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.ids import PeerId
from protocol.trust.identity import Identity

OURS = SimFederation("ours", from_s=1000.0, until_s=3000.0)
SIGNER = OURS.host("ams", "h1")
H1 = Identity(
    signer=SIGNER,
    verifier=SimVerifier(),
    sealer=SimSealer(SIGNER.key),
    chain=OURS.host_chain("ams", "h1"),
    federation=OURS.key,
    name="h1",
    site="ams",
    address="192.0.2.1:7000",
)


def test_a_renewed_certificate_leaves_all_else_as_it_was() -> None:
    renewed = OURS.host_chain("ams", "h1", serial="0123456789abcdef", until_s=4000.0)
    after = H1.with_chain(renewed)
    assert after.chain == renewed
    assert after.peer == PeerId(SIGNER.key)
    assert msgspec.structs.replace(after, chain=H1.chain) == H1
