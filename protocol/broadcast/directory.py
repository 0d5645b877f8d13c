"""The directory: the newest record under each key, its digest, and when records end.

Merging is order-free (newest wins by the owner's numbers), so any two directories that have exchanged
what differs are equal. The digest is kept up to date record by record: each bucket is the exclusive
or of its versions' hashes, so that a comparison costs one frame whatever the size.

A record ends `ttl_s` after it came here. Its version stays as a tombstone for a while, so that a copy
still travelling, or a neighbour whose copy ends later, does not bring it back.
"""

from hashlib import blake2b

import msgspec

from protocol.broadcast.messages import Version, version_of
from protocol.terms.effects import Deadline
from protocol.terms.ids import KeyId
from protocol.terms.limits import (
    COMPARE_BUCKETS,
    RECORDS,
    RECORDS_PER_OWNER,
    TOMBSTONE_S,
)
from protocol.trust.record import Record, RecordKey, SignedRecord, newer

_SWEEP_EVERY_S = 5.0


class Held(msgspec.Struct, frozen=True):
    """A record, as signed, and when it came (this peer's clock)."""

    record: Record
    signed: SignedRecord
    received_s: float
    bucket: int
    mark: int
    """What it adds to the digest of its bucket."""


class Directory:
    """Everything known, bounded in all and per owner."""

    def __init__(self) -> None:
        self._held: dict[RecordKey, Held] = {}
        self._tombs: dict[RecordKey, tuple[Version, float]] = {}
        self._per_owner: dict[KeyId, int] = {}
        self._by_kind: dict[str, dict[RecordKey, Held]] = {}
        self._buckets = [0] * COMPARE_BUCKETS
        self._sweep_s: float | None = None

    def __len__(self) -> int:
        return len(self._held)

    def get(self, owner: KeyId, kind: str, name: str = "") -> Held | None:
        """The record under a key."""
        return self._held.get((owner, kind, name))

    def of_kind(self, kind: str) -> list[Held]:
        """All records of a kind, in the order their keys were first seen."""
        return list(self._by_kind.get(kind, {}).values())

    def has(self, version: Version) -> bool:
        """Whether this version, or a newer one, is or was here."""
        held = self._held.get(version.key)
        if held is not None:
            return version_of(held.record).number >= version.number
        tomb = self._tombs.get(version.key)
        return tomb is not None and tomb[0].number >= version.number

    def room_for(self, record: Record) -> bool:
        """Whether the limits admit it."""
        if record.key in self._held:
            return True
        mine = self._per_owner.get(record.owner, 0)
        return len(self._held) < RECORDS and mine < RECORDS_PER_OWNER

    def put(self, record: Record, signed: SignedRecord, now: float) -> bool:
        """Takes a checked record; False if it is not news or there is no room for it."""
        old = self._held.get(record.key)
        if old is not None:
            if not newer(record, old.record):
                return False
            self._toggle(old)
        else:
            tomb = self._tombs.get(record.key)
            if tomb is not None and tomb[0].number >= (record.incarnation, record.sequence):
                return False
            if not self.room_for(record):
                return False
            self._tombs.pop(record.key, None)
            self._per_owner[record.owner] = self._per_owner.get(record.owner, 0) + 1
        held = Held(record, signed, now, bucket_of(record.key), _hash(version_of(record)))
        self._held[record.key] = held
        self._by_kind.setdefault(record.kind, {})[record.key] = held
        self._toggle(held)
        if self._sweep_s is None:
            self._sweep_s = now + _SWEEP_EVERY_S
        return True

    def sweep(self, now: float) -> list[Record]:
        """Ends what has outlived its time; answers what ended."""
        if self._sweep_s is None or now < self._sweep_s:
            return []
        self._sweep_s = now + _SWEEP_EVERY_S if self._held or self._tombs else None
        over = [h for h in self._held.values() if h.received_s + h.record.ttl_s <= now]
        for held in over:
            record = held.record
            self._remove(held)
            # A copy handed on at its very end elsewhere lives for another `ttl_s` there.
            until_s = now + max(TOMBSTONE_S, record.ttl_s)
            self._tombs[record.key] = (version_of(record), until_s)
        for key in [key for key, (_, until_s) in self._tombs.items() if until_s <= now]:
            del self._tombs[key]
        return [held.record for held in over]

    def drop(self, owner: KeyId) -> list[Record]:
        """Everything of an owner who is no member any more; without tombstones, should it come back."""
        gone = [held for held in self._held.values() if held.record.owner == owner]
        for held in gone:
            self._remove(held)
        return [held.record for held in gone]

    def _remove(self, held: Held) -> None:
        record = held.record
        self._toggle(held)
        del self._held[record.key]
        del self._by_kind[record.kind][record.key]
        self._per_owner[record.owner] -= 1

    def next_deadline(self) -> Deadline | None:
        """When something may have ended."""
        return None if self._sweep_s is None else Deadline(self._sweep_s, "directory sweep")

    def digest(self) -> tuple[int, ...]:
        """One number per bucket; equal directories have equal digests."""
        return tuple(self._buckets)

    def versions_in(self, buckets: list[int]) -> list[Version]:
        """All versions in some buckets."""
        wanted = dict.fromkeys(buckets)
        return [version_of(h.record) for h in self._held.values() if h.bucket in wanted]

    def check(self) -> None:
        """The running digest is the digest."""
        fresh = [0] * COMPARE_BUCKETS
        for held in self._held.values():
            fresh[held.bucket] ^= held.mark
        assert fresh == self._buckets
        assert sum(self._per_owner.values()) == len(self._held)

    def _toggle(self, held: Held) -> None:
        self._buckets[held.bucket] ^= held.mark


def bucket_of(key: RecordKey) -> int:
    """Which bucket of the digest a key counts in."""
    return blake2b("\0".join(key).encode(), digest_size=2).digest()[0] % COMPARE_BUCKETS


def _hash(version: Version) -> int:
    text = "\0".join((*version.key, str(version.incarnation), str(version.sequence)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
