"""What each owner, and each site, may have in everybody's directory. Whoever has used it up loses its own.

Directories must become equal by exchanging what differs, in any order. So it does not count who came first.
Of one owner's records of a kind the newest stay, by its own numbers. Of one site's, the owner that takes most
gives up its oldest, until the rest fits (of equals the greater key). So a host that fills its site's budget has
as much of it as the others leave, and takes nothing from them. Nobody outside the site notices.

Owners with one record of a kind, as all hosts have a presence and an advert, cost no entry here.
"""

from collections.abc import Iterable

import msgspec

from protocol.broadcast.held import Held
from protocol.terms.ids import KeyId
from protocol.terms.kinds import KINDS, KindLimit
from protocol.trust.record import Record, RecordKey


def fault(record: Record, size_bytes: int) -> str:
    """Why a record is kept of nobody, as a word to count; empty if it may be."""
    limit = KINDS.get(record.kind)
    if limit is None:
        return "unknown-kind"
    if size_bytes > limit.size_bytes:
        return "oversized-record"
    if record.ttl_s > limit.life_s:
        return "record-lives-too-long"
    return "named-record" if limit.number == 1 and record.name else ""


class _Owned(msgspec.Struct):
    """One owner's records of a kind that it may have several of."""

    site: str
    bytes: int = 0
    records: dict[RecordKey, Held] = {}

    def copied(self) -> "_Owned":
        return _Owned(self.site, self.bytes, self.records.copy())


class Budgets:
    """How much everybody has, and whose record is to go."""

    def __init__(self) -> None:
        self._owned: dict[tuple[KeyId, str], _Owned] = {}
        self._site_bytes: dict[tuple[str, str], int] = {}
        self._owners: dict[tuple[str, str], dict[KeyId, None]] = {}
        """The owners in `_owned` of each (site, kind)."""

    def add(self, held: Held) -> None:
        """A record is kept."""
        owner, kind = held.record.owner, held.record.kind
        where, cost_bytes = (held.site, kind), held.cost_bytes
        self._site_bytes[where] = self._site_bytes.get(where, 0) + cost_bytes
        if KINDS[kind].number == 1:
            return
        owned = self._owned.get((owner, kind))
        if owned is None:
            owned = self._owned[owner, kind] = _Owned(held.site)
            self._owners.setdefault(where, {})[owner] = None
        owned.records[held.record.key] = held
        owned.bytes += cost_bytes

    def remove(self, held: Held) -> None:
        """A record is kept no more."""
        owner, kind = held.record.owner, held.record.kind
        where = (held.site, kind)
        self._site_bytes[where] -= held.cost_bytes
        if not self._site_bytes[where]:
            del self._site_bytes[where]
        owned = self._owned.get((owner, kind))
        if owned is None:
            return
        del owned.records[held.record.key]
        owned.bytes -= held.cost_bytes
        if not owned.records:
            del self._owned[owner, kind]
            del self._owners[where][owner]
            if not self._owners[where]:
                del self._owners[where]

    def too_much(self, held: Held, all_of_kind: Iterable[Held]) -> Held | None:
        """Whose record goes, now that `held` was added; None if all budgets hold. Ask until it is None."""
        record = held.record
        limit, owned = KINDS[record.kind], self._owned.get((record.owner, record.kind))
        if owned is not None and _exceeds(owned, limit):
            return min(owned.records.values(), key=_age)
        if self._site_bytes.get((held.site, record.kind), 0) <= limit.site_bytes:
            return None
        if limit.number == 1:
            same = (other for other in all_of_kind if other.site == held.site)
            return max(same, key=lambda other: (other.cost_bytes, other.record.owner))
        owners = self._owners[held.site, record.kind]
        largest = max(owners, key=lambda owner: (self._owned[owner, record.kind].bytes, owner))
        return min(self._owned[largest, record.kind].records.values(), key=_age)

    def site_of(self, owner: KeyId, kind: str) -> str | None:
        """The site in whose budget that owner's records of a kind count; None if it has none that are counted
        one by one."""
        owned = self._owned.get((owner, kind))
        return owned.site if owned is not None else None

    def like(self) -> "Budgets":
        """Another with the same numbers."""
        other = Budgets()
        other._site_bytes = self._site_bytes.copy()
        other._owners = {where: owners.copy() for where, owners in self._owners.items()}
        other._owned = {key: owned.copied() for key, owned in self._owned.items()}
        return other

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same numbers, and the same records."""
        return (
            isinstance(other, Budgets)
            and self._site_bytes == other._site_bytes
            and self._owned == other._owned
            and self._owners == other._owners
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def check(self, every: Iterable[Held]) -> None:
        """Asserts that the running numbers are what a recomputation gives, and that no budget is exceeded."""
        fresh = Budgets()
        for held in every:
            fresh.add(held)
        assert fresh == self
        assert not any(_exceeds(owned, KINDS[kind]) for (_, kind), owned in self._owned.items())
        for (_, kind), site_bytes in self._site_bytes.items():
            assert site_bytes <= KINDS[kind].site_bytes


def _exceeds(owned: _Owned, limit: KindLimit) -> bool:
    return len(owned.records) > limit.number or owned.bytes > limit.owner_bytes


def _age(held: Held) -> tuple[int, int, str]:
    return held.age
