"""Records on their way, announcements of records, and comparisons of directories."""

from typing import Annotated

import msgspec

from protocol.terms.ids import KeyId
from protocol.terms.limits import COMPARE_BUCKETS, RECORDS_PER_FRAME, SCOPES
from protocol.terms.ranges import Count, Name, Number
from protocol.trust.record import Record, SignedRecord


class Version(msgspec.Struct, frozen=True, array_like=True):
    """Which record, and how new: enough for a peer to know whether it has it."""

    owner: KeyId
    kind: Name
    name: Name
    incarnation: Number
    sequence: Number

    @property
    def key(self) -> tuple[KeyId, str, str]:
        """What a newer version replaces."""
        return (self.owner, self.kind, self.name)

    @property
    def number(self) -> tuple[int, int]:
        """How new the version is: (incarnation, sequence)."""
        return (self.incarnation, self.sequence)


def version_of(record: Record) -> Version:
    """The version of a record."""
    return Version(record.owner, record.kind, record.name, record.incarnation, record.sequence)


Batch = Annotated[tuple[SignedRecord, ...], msgspec.Meta(max_length=RECORDS_PER_FRAME)]
Mark = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Gossip(msgspec.Struct, frozen=True, tag="gossip"):
    """News, pushed along the tree. Presences of owners that the receiver may not know come first."""

    records: Batch


class Announce(msgspec.Struct, frozen=True, tag="announce"):
    """IHAVE of Plumtree: news that comes to you along another branch, or from me if it does not."""

    versions: tuple[Version, ...]


class Graft(msgspec.Struct, frozen=True, tag="graft"):
    """GRAFT of Plumtree: send me these, and push to me from now on."""

    versions: tuple[Version, ...]


class Prune(msgspec.Struct, frozen=True, tag="prune"):
    """PRUNE of Plumtree: I had that already. Announce to me instead of pushing."""


class Root(msgspec.Struct, frozen=True, array_like=True):
    """The digest of all records of one scope. Equal directories have equal roots."""

    scope: Name
    mark: Mark


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Roots of what the sender keeps. `everything`: it keeps all scopes, and has nothing of those it does
    not name."""

    roots: Annotated[tuple[Root, ...], msgspec.Meta(max_length=SCOPES)]
    everything: bool


class Digest(msgspec.Struct, frozen=True, tag="digest"):
    """Our roots of that scope differ. These are my marks, one for each bucket of keys."""

    scope: Name
    buckets: Annotated[
        tuple[Mark, ...], msgspec.Meta(min_length=COMPARE_BUCKETS, max_length=COMPARE_BUCKETS)
    ]


class Differ(msgspec.Struct, frozen=True, tag="differ"):
    """My versions in the buckets that differ."""

    scope: Name
    buckets: Annotated[tuple[Count, ...], msgspec.Meta(max_length=COMPARE_BUCKETS)]
    versions: tuple[Version, ...]


class Want(msgspec.Struct, frozen=True, tag="want"):
    """Send me these, once."""

    versions: tuple[Version, ...]


class Records(msgspec.Struct, frozen=True, tag="records"):
    """The records that were asked for."""

    records: Batch


class DetailAsk(msgspec.Struct, frozen=True, tag="detail-ask"):
    """Send me what there is to know of the roomiest hosts of your site: presences and adverts."""


BroadcastMessage = (
    Gossip | Announce | Graft | Prune | Compare | Digest | Differ | Want | Records | DetailAsk
)
Comparison = Compare | Digest | Differ | Want | Graft
"""Messages that are small to say and large to answer."""
