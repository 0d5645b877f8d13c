"""Records on their way, announcements of records, and comparisons of directories."""

import msgspec

from protocol.terms.ids import KeyId
from protocol.trust.record import Record, SignedRecord


class Version(msgspec.Struct, frozen=True, array_like=True):
    """Which record, and how new: enough to know whether one has it."""

    owner: KeyId
    kind: str
    name: str
    incarnation: int
    sequence: int

    @property
    def key(self) -> tuple[KeyId, str, str]:
        """What a newer version replaces."""
        return (self.owner, self.kind, self.name)

    @property
    def number(self) -> tuple[int, int]:
        """How new."""
        return (self.incarnation, self.sequence)


def version_of(record: Record) -> Version:
    """The version of a record."""
    return Version(record.owner, record.kind, record.name, record.incarnation, record.sequence)


class Gossip(msgspec.Struct, frozen=True, tag="gossip"):
    """News, pushed along the tree."""

    record: SignedRecord


class Announce(msgspec.Struct, frozen=True, tag="announce"):
    """IHAVE of Plumtree: news that comes to you along another branch, or from me if it does not."""

    versions: tuple[Version, ...]


class Graft(msgspec.Struct, frozen=True, tag="graft"):
    """Send me these, and from now on push to me."""

    versions: tuple[Version, ...]


class Prune(msgspec.Struct, frozen=True, tag="prune"):
    """I had that already: announce to me instead of pushing."""


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """A directory's digest: one 63-bit number per bucket of keys."""

    buckets: tuple[int, ...]


class Differ(msgspec.Struct, frozen=True, tag="differ"):
    """My versions in the buckets that differ."""

    buckets: tuple[int, ...]
    versions: tuple[Version, ...]


class Want(msgspec.Struct, frozen=True, tag="want"):
    """Send me these, once."""

    versions: tuple[Version, ...]


class Records(msgspec.Struct, frozen=True, tag="records"):
    """What was wanted."""

    records: tuple[SignedRecord, ...]


BroadcastMessage = Gossip | Announce | Graft | Prune | Compare | Differ | Want | Records
