"""The directory: the newest record under each key, its digests, and when records end.

Merging is order-free (newest wins by the owner's numbers), so any two directories that have exchanged their
differences are equal. Digests are kept up to date record by record, by scope. Each bucket is the exclusive or
of its versions' hashes, and a scope's root is that of its buckets. So a comparison costs a few bytes whatever
the size, and two steps find the difference (a Merkle tree of two levels).

A record ends `ttl_s` after it came here. Its version stays as a tombstone for a while, so that a copy that
still travels, or a neighbour whose copy ends later, does not bring it back.
"""

from collections.abc import Iterator
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from itertools import chain

import msgspec

from protocol.broadcast.messages import Root, Version, version_of
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
_ONE_EACH = ("presence", "advert")
"""Kinds of which an owner has only one. They are not counted: that would cost an entry for every peer."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """A record, as it was signed, and when it came, by this peer's clock."""

    record: Record
    signed: SignedRecord
    received_s: float
    bucket: int
    mark: int
    """What the record adds to the digest of its bucket."""


class _Scope:
    """The digests of one scope."""

    __slots__ = ("buckets", "count", "root")

    def __init__(self) -> None:
        self.buckets = [0] * COMPARE_BUCKETS
        self.root = 0
        self.count = 0

    def toggle(self, held: Held, by: int) -> None:
        self.buckets[held.bucket] ^= held.mark
        self.root ^= held.mark
        self.count += by


class Directory:
    """Everything that is known, bounded in all and for each owner."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[RecordKey, Held]] = {}
        self._count = 0
        self._tombs: dict[RecordKey, tuple[Version, float]] = {}
        self._per_owner: dict[KeyId, int] = {}
        """How many records of an owner there are, without those of kinds in _ONE_EACH."""
        self._scopes: dict[str, _Scope] = {}
        self._ends: list[tuple[float, RecordKey]] = []
        """When each record would end as it was when it came. If it was renewed since, it is looked at again."""
        self._sweep_s: float | None = None

    def __len__(self) -> int:
        return self._count

    def get(self, owner: KeyId, kind: str, name: str = "") -> Held | None:
        """The record under a key; None if there is none."""
        return self._held((owner, kind, name))

    def of_kind(self, kind: str) -> list[Held]:
        """All records of a kind, in the order in which their keys were first seen."""
        return list(self._kinds.get(kind, {}).values())

    def has(self, version: Version) -> bool:
        """Whether this version, or a newer one, is or was here."""
        held = self._held(version.key)
        if held is not None:
            record = held.record
            return (record.incarnation, record.sequence) >= version.number
        tomb = self._tombs.get(version.key)
        return tomb is not None and tomb[0].number >= version.number

    def room_for(self, record: Record) -> bool:
        """Whether the limits admit the record."""
        if self._held(record.key) is not None:
            return True
        mine = self._per_owner.get(record.owner, 0)
        return self._count < RECORDS and mine < RECORDS_PER_OWNER

    def put(self, record: Record, signed: SignedRecord, now: float) -> bool:
        """Takes a checked record; False if it is not news or there is no room for it."""
        key = record.key
        old = self._held(key)
        if old is not None:
            if not newer(record, old.record):
                return False
            self._scopes[old.record.scope].toggle(old, -1)
        else:
            tomb = self._tombs.get(key)
            if tomb is not None and tomb[0].number >= (record.incarnation, record.sequence):
                return False
            if not self.room_for(record):
                return False
            self._tombs.pop(key, None)
            self._count += 1
            if _counted(record):
                self._per_owner[record.owner] = self._per_owner.get(record.owner, 0) + 1
            heappush(self._ends, (now + record.ttl_s, key))
        held = Held(record, signed, now, bucket_of(key), _hash(record))
        self._kinds.setdefault(record.kind, {})[key] = held
        scope = self._scopes.get(record.scope)
        if scope is None:
            scope = self._scopes[record.scope] = _Scope()
        scope.toggle(held, +1)
        if self._sweep_s is None:
            self._sweep_s = now + _SWEEP_EVERY_S
        return True

    def sweep(self, now: float) -> list[Record]:
        """Ends the records that have outlived their time, and answers them."""
        if self._sweep_s is None or now < self._sweep_s:
            return []
        over: list[Record] = []
        while self._ends and self._ends[0][0] <= now:
            _, key = heappop(self._ends)
            held = self._held(key)
            if held is None:
                continue
            ends_s = held.received_s + held.record.ttl_s
            if ends_s > now:
                heappush(self._ends, (ends_s, key))
                continue
            self._drop(held)
            record = held.record
            # A copy that is handed on at its very end lives for another `ttl_s` elsewhere.
            self._tombs[key] = (version_of(record), now + max(TOMBSTONE_S, record.ttl_s))
            over.append(record)
        for key in [key for key, (_, until_s) in self._tombs.items() if until_s <= now]:
            del self._tombs[key]
        first_s = min(self._ends[0][0] if self._ends else now + TOMBSTONE_S, now + TOMBSTONE_S)
        some = self._count or self._tombs
        self._sweep_s = max(now + _SWEEP_EVERY_S, first_s) if some else None
        return over

    def drop(self, owner: KeyId) -> list[Record]:
        """Drops, and answers, every record of an owner that is no longer a member.

        There are no tombstones, since the owner may come back.
        """
        gone = [held for held in self._all() if held.record.owner == owner]
        for held in gone:
            self._drop(held)
        return [held.record for held in gone]

    def narrow(self, keep: str) -> None:
        """Forgets records of any scope but `keep` and everybody's. They may come back."""
        for held in [h for h in self._all() if h.record.scope not in ("", keep)]:
            self._drop(held)
        self._ends = [end for end in self._ends if self._held(end[1]) is not None]
        heapify(self._ends)

    def next_deadline(self) -> Deadline | None:
        """When something may have ended."""
        return None if self._sweep_s is None else Deadline(self._sweep_s, "directory sweep")

    def roots(self) -> tuple[Root, ...]:
        """A root for each scope of which anything is here, sorted by name. Equal contents have equal roots."""
        return tuple(
            Root(s, scope.root) for s, scope in sorted(self._scopes.items()) if scope.count
        )

    def root(self, scope: str) -> int:
        """The root of one scope; 0 if it has no records."""
        found = self._scopes.get(scope)
        return found.root if found is not None else 0

    def buckets(self, scope: str) -> tuple[int, ...]:
        """One number for each bucket of a scope, COMPARE_BUCKETS of them."""
        found = self._scopes.get(scope)
        return tuple(found.buckets) if found is not None else (0,) * COMPARE_BUCKETS

    def versions_in(self, scope: str, buckets: list[int]) -> list[Version]:
        """All versions in some buckets of a scope."""
        wanted = dict.fromkeys(buckets)
        return [
            version_of(h.record)
            for h in self._all()
            if h.bucket in wanted and h.record.scope == scope
        ]

    def check(self) -> None:
        """Asserts that the running digests are what a recomputation gives."""
        fresh: dict[str, _Scope] = {}
        for held in self._all():
            fresh.setdefault(held.record.scope, _Scope()).toggle(held, +1)
        for name, scope in self._scopes.items():
            is_ = fresh.get(name, _Scope())
            assert (is_.buckets, is_.root, is_.count) == (scope.buckets, scope.root, scope.count)
        assert all(name in self._scopes for name in fresh)
        assert self._count == sum(len(held) for held in self._kinds.values())
        assert sum(self._per_owner.values()) == sum(_counted(held.record) for held in self._all())

    def _held(self, key: RecordKey) -> Held | None:
        there = self._kinds.get(key[1])
        return there.get(key) if there is not None else None

    def _all(self) -> Iterator[Held]:
        return chain.from_iterable(held.values() for held in self._kinds.values())

    def _drop(self, held: Held) -> None:
        record = held.record
        self._scopes[record.scope].toggle(held, -1)
        del self._kinds[record.kind][record.key]
        self._count -= 1
        if not _counted(record):
            return
        left = self._per_owner[record.owner] - 1
        if left:
            self._per_owner[record.owner] = left
        else:
            del self._per_owner[record.owner]


def _counted(record: Record) -> bool:
    return bool(record.name) or record.kind not in _ONE_EACH


def bucket_of(key: RecordKey) -> int:
    """The bucket of the digest in which a key counts."""
    return blake2b("\0".join(key).encode(), digest_size=2).digest()[0] % COMPARE_BUCKETS


def _hash(record: Record) -> int:
    key = (*record.key, str(record.incarnation), str(record.sequence))
    return int.from_bytes(blake2b("\0".join(key).encode(), digest_size=8).digest(), "big") >> 1
