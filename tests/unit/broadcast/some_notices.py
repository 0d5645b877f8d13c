"""Records of kind `grid`, signed, for the tests of directories."""

from protocol.sim.keys import SimSigner
from protocol.trust.record import Record, SignedRecord, sign_record

SIGNERS = [SimSigner(name) for name in ("a", "b", "c")]


def notice(
    owner: int, name: str, sequence: int = 1, size: int = 100, signer: SimSigner | None = None
) -> tuple[Record, SignedRecord]:
    """One of the first, second or third signer, or of another."""
    signer = signer or SIGNERS[owner]
    made = Record(signer.key, "grid", name, 1, sequence, bytes(size), ttl_s=60.0)
    return made, sign_record(made, signer)
