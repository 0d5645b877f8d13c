"""Records on their way, announcements of records, and comparisons of directories."""

from typing import Annotated

import msgspec

from protocol.terms.ids import KeyId
from protocol.terms.limits import COMPARE_BUCKETS, RECORDS_PER_FRAME, SCOPES
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


Batch = Annotated[tuple[SignedRecord, ...], msgspec.Meta(max_length=RECORDS_PER_FRAME)]
Mark = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Gossip(msgspec.Struct, frozen=True, tag="gossip"):
    """News, pushed along the tree; presences of owners the receiver may not know come first."""

    records: Batch


class Announce(msgspec.Struct, frozen=True, tag="announce"):
    """IHAVE of Plumtree: news that comes to you along another branch, or from me if it does not."""

    versions: tuple[Version, ...]


class Graft(msgspec.Struct, frozen=True, tag="graft"):
    """Send me these, and from now on push to me."""

    versions: tuple[Version, ...]


class Prune(msgspec.Struct, frozen=True, tag="prune"):
    """I had that already: announce to me instead of pushing."""


class Root(msgspec.Struct, frozen=True, array_like=True):
    """The digest of all records of one scope: equal directories have equal roots."""

    scope: str
    mark: Mark


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Roots of what the sender keeps. `everything`: a scope it does not name it keeps, too, and has
    nothing of."""

    roots: Annotated[tuple[Root, ...], msgspec.Meta(max_length=SCOPES)]
    everything: bool


class Digest(msgspec.Struct, frozen=True, tag="digest"):
    """Our roots of that scope differ: one mark per bucket of its keys."""

    scope: str
    buckets: Annotated[
        tuple[Mark, ...], msgspec.Meta(min_length=COMPARE_BUCKETS, max_length=COMPARE_BUCKETS)
    ]


class Differ(msgspec.Struct, frozen=True, tag="differ"):
    """My versions in the buckets that differ."""

    scope: str
    buckets: Annotated[tuple[int, ...], msgspec.Meta(max_length=COMPARE_BUCKETS)]
    versions: tuple[Version, ...]


class Want(msgspec.Struct, frozen=True, tag="want"):
    """Send me these, once."""

    versions: tuple[Version, ...]


class Records(msgspec.Struct, frozen=True, tag="records"):
    """What was wanted."""

    records: Batch


class DetailAsk(msgspec.Struct, frozen=True, tag="detail-ask"):
    """Send me what there is to know of some hosts of your site, the roomiest: presences and adverts."""


BroadcastMessage = (
    Gossip | Announce | Graft | Prune | Compare | Digest | Differ | Want | Records | DetailAsk
)
Comparison = Compare | Digest | Differ | Want | Graft
"""Of these, what is small to say and large to answer."""
