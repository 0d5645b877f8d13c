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
from typing import NamedTuple

import msgspec

from protocol.broadcast.budgets import Budgets
from protocol.broadcast.held import Held
from protocol.broadcast.messages import Root, Version, version_of
from protocol.terms.effects import Deadline
from protocol.terms.ids import KeyId
from protocol.terms.kinds import KINDS
from protocol.terms.limits import COMPARE_BUCKETS, TOMBSTONE_S, TOMBSTONES_PER_SITE
from protocol.trust.record import Record, RecordKey, SignedRecord, newer

_SWEEP_EVERY_S = 5.0
_SPARE_ENDS = 64
"""Ends of records that are there no more are let go when there are more of them than records, and these."""
_PRESENCE = "presence"


class _Scope(msgspec.Struct):
    """The digests of one scope."""

    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * COMPARE_BUCKETS)
    root: int = 0
    count: int = 0

    def toggle(self, held: Held, by: int) -> None:
        self.buckets[held.bucket] ^= held.mark
        self.root ^= held.mark
        self.count += by

    def copied(self) -> "_Scope":
        return _Scope(self.buckets.copy(), self.root, self.count)


class _Tomb(NamedTuple):
    """What is remembered of a record that has ended."""

    version: Version
    until_s: float
    site: str


_Judged = tuple[
    list[Held],
    int,
    dict[str, _Scope],
    Budgets,
    dict[RecordKey, _Tomb],
    dict[str, dict[RecordKey, None]],
]
"""All that `Directory.check` reads: the records, how many there are, and what is counted of them."""


class Directory:
    """Everything that is known. Each owner and each site has a budget (budgets.py)."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[RecordKey, Held]] = {}
        self._count = 0
        self._tombs: dict[RecordKey, _Tomb] = {}
        self._tombs_of: dict[str, dict[RecordKey, None]] = {}
        """The keys of a site's tombstones, the oldest first."""
        self._budgets = Budgets()
        self._scopes: dict[str, _Scope] = {}
        self._ends: list[tuple[float, RecordKey]] = []
        """When each record would end as it was when it came, or sooner if it was renewed for less time. If it
        was renewed for more, it is looked at again."""
        self._sweep_s: float | None = None
        self._evicted: list[Record] = []
        self._judged: _Judged | None = None

    def __len__(self) -> int:
        return self._count

    def get(self, owner: KeyId, kind: str, name: str = "") -> Held | None:
        """The record under a key; None if there is none."""
        return self._held((owner, kind, name))

    def of_kind(self, kind: str) -> list[Held]:
        """All records of a kind, in the order in which their keys were first seen."""
        return list(self._kinds.get(kind, {}).values())

    def named(self, kind: str, name: str) -> list[Held]:
        """All owners' records of that kind and name."""
        return [held for key, held in self._kinds.get(kind, {}).items() if key[2] == name]

    def has(self, version: Version) -> bool:
        """Whether this version, or a newer one, is or was here."""
        held = self._held(version.key)
        if held is not None:
            record = held.record
            return (record.incarnation, record.sequence) >= version.number
        tomb = self._tombs.get(version.key)
        return tomb is not None and tomb.version.number >= version.number

    def put(
        self,
        record: Record,
        signed: SignedRecord,
        now: float,
        site: str = "",
        *,
        own: bool = False,
    ) -> bool:
        """Takes a checked record of a known kind, whose owner is of that site. False if it is not news, if its
        scope is no site that is known here (but for this peer's `own`), or if its owner's budget is used up.

        What must go for it is in `pop_evicted`.
        """
        key = record.key
        old = self._held(key)
        if record.kind not in KINDS or not (own or self._known_scope(record, site)):
            return False
        if old is not None:
            if not newer(record, old.record):
                return False
            self._toggle(old, -1)
            self._budgets.remove(old)
        else:
            tomb = self._tombs.get(key)
            if tomb is not None and tomb.version.number >= (record.incarnation, record.sequence):
                return False
            self._unbury(key)
            self._count += 1
        ends_s = now + record.ttl_s
        if old is None or ends_s < old.received_s + old.record.ttl_s:
            heappush(self._ends, (ends_s, key))
        site = self._budgets.site_of(record.owner, record.kind) or site
        held = Held(record, signed, now, bucket_of(key), _hash(record), site)
        self._kinds.setdefault(record.kind, {})[key] = held
        self._toggle(held, +1)
        self._budgets.add(held)
        self._make_room(held)
        soon_s = now + _SWEEP_EVERY_S
        self._sweep_s = soon_s if self._sweep_s is None else min(self._sweep_s, max(soon_s, ends_s))
        kept = self._held(key) is held
        if not kept and old is None:
            self._evicted.remove(record)
        return kept

    def pop_evicted(self) -> list[Record]:
        """The records that had to go since the last call, since their owner or its site said too much."""
        evicted, self._evicted = self._evicted, []
        return evicted

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
            self._bury(held, now + max(TOMBSTONE_S, record.ttl_s))
            over.append(record)
        self._tidy_ends()
        for key in [key for key, tomb in self._tombs.items() if tomb.until_s <= now]:
            self._unbury(key)
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
        self._tidy_ends()
        return [held.record for held in gone]

    def narrow(self, keep: str) -> None:
        """Forgets records of any scope but `keep` and everybody's. They may come back."""
        for held in [h for h in self._all() if h.record.scope not in ("", keep)]:
            self._drop(held)
        self._tidy_ends()

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
        """Asserts that the running digests are what a recomputation gives.

        It is called after every step, and few steps change anything here. What is as it was when it was
        right is right, and looking whether it is costs a tenth.
        """
        assert len(self._ends) <= 2 * self._count + _SPARE_ENDS
        if self._judged is not None and self._numbers() == self._judged:
            return
        fresh: dict[str, _Scope] = {}
        for held in self._all():
            scope = fresh.get(held.record.scope)
            if scope is None:
                scope = fresh[held.record.scope] = _Scope()
            scope.toggle(held, +1)
        assert fresh == self._scopes
        assert self._count == sum(len(held) for held in self._kinds.values())
        self._budgets.check(self._all())
        buried = {key: site for site, keys in self._tombs_of.items() for key in keys}
        assert buried == {key: tomb.site for key, tomb in self._tombs.items()}
        self._judged = self._copied()

    def _numbers(self) -> _Judged:
        """All that `check` reads. The same objects, so it changes with them."""
        kept = list(self._all())
        return kept, self._count, self._scopes, self._budgets, self._tombs, self._tombs_of

    def _copied(self) -> _Judged:
        """The same, and it stays as it is."""
        return (
            list(self._all()),
            self._count,
            {name: scope.copied() for name, scope in self._scopes.items()},
            self._budgets.like(),
            self._tombs.copy(),
            {site: keys.copy() for site, keys in self._tombs_of.items()},
        )

    def _held(self, key: RecordKey) -> Held | None:
        there = self._kinds.get(key[1])
        return there.get(key) if there is not None else None

    def _all(self) -> Iterator[Held]:
        return chain.from_iterable(held.values() for held in self._kinds.values())

    def _drop(self, held: Held) -> None:
        record = held.record
        self._toggle(held, -1)
        self._budgets.remove(held)
        del self._kinds[record.kind][record.key]
        self._count -= 1

    def _make_room(self, newest: Held) -> None:
        kind = self._kinds[newest.record.kind]
        while (gone := self._budgets.too_much(newest, kind.values())) is not None:
            self._drop(gone)
            self._evicted.append(gone.record)
        self._tidy_ends()

    def _tidy_ends(self) -> None:
        """Forgets the ends of records that went before their time, if they are many."""
        if len(self._ends) <= 2 * self._count + _SPARE_ENDS:
            return
        self._ends = [(h.received_s + h.record.ttl_s, h.record.key) for h in self._all()]
        heapify(self._ends)

    # -- scopes

    def _known_scope(self, record: Record, site: str) -> bool:
        """Whether a record may have its scope: everybody, its owner's site, or a site with a presence here.

        Each scope costs digests. Only presences, which certificates vouch for, begin a new one.
        """
        scope = record.scope
        return scope in ("", site) or record.kind == _PRESENCE or scope in self._scopes

    def _toggle(self, held: Held, by: int) -> None:
        name = held.record.scope
        scope = self._scopes.get(name)
        if scope is None:
            scope = self._scopes[name] = _Scope()
        scope.toggle(held, by)
        if not scope.count:
            del self._scopes[name]

    # -- tombstones

    def _bury(self, held: Held, until_s: float) -> None:
        """Remembers that a record has ended. Of one site so many are remembered, the newest."""
        key = held.record.key
        self._tombs[key] = _Tomb(version_of(held.record), until_s, held.site)
        keys = self._tombs_of.setdefault(held.site, {})
        keys[key] = None
        if len(keys) > TOMBSTONES_PER_SITE:
            self._unbury(next(iter(keys)))

    def _unbury(self, key: RecordKey) -> None:
        tomb = self._tombs.pop(key, None)
        if tomb is None:
            return
        keys = self._tombs_of[tomb.site]
        del keys[key]
        if not keys:
            del self._tombs_of[tomb.site]


def bucket_of(key: RecordKey) -> int:
    """The bucket of the digest in which a key counts."""
    return blake2b("\0".join(key).encode(), digest_size=2).digest()[0] % COMPARE_BUCKETS


def _hash(record: Record) -> int:
    key = (*record.key, str(record.incarnation), str(record.sequence))
    return int.from_bytes(blake2b("\0".join(key).encode(), digest_size=8).digest(), "big") >> 1
