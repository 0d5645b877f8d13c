"""A record as the directory keeps it."""

import msgspec

from protocol.terms.kinds import RECORD_COST_BYTES
from protocol.trust.record import Record, SignedRecord


class Held(msgspec.Struct, frozen=True, gc=False):
    """A record, as it was signed, and when it came, by this peer's clock."""

    record: Record
    signed: SignedRecord
    received_s: float
    bucket: int
    mark: int
    """What the record adds to the digest of its bucket."""
    site: str = ""
    """The site in whose budget it counts: its owner's."""

    @property
    def cost_bytes(self) -> int:
        """What it takes of its owner's budget, and its site's."""
        return len(self.signed.payload) + RECORD_COST_BYTES

    @property
    def age(self) -> tuple[int, int, str]:
        """Orders one owner's records of a kind, the oldest first."""
        return (self.record.incarnation, self.record.sequence, self.record.name)
