"""Allotments: how a ceiling at a site is split among its hosts. A bounded counter (Balegas et al. 2015).

What a host's line says it may use without asking anybody. All lines of a site are one value, in a register that
its stewards decide by majority. A host changes only its own line, by a step that names the line's serial,
so each step is decided once or never. What it wants beyond what is free it does not get, so the sum never
passes the ceiling; where a ceiling was lowered, no line grows until the sum is below it.

A line belongs to one store of its host. It goes when the host is removed, or when the host, which has another
store now, says that nothing of the old one's work is left.
"""

from collections.abc import Collection, Iterable
from operator import le
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.terms.ranges import AMOUNT_MOST, Number, Size

LINES_MOST = 1024
"""Hosts of one site, with a little for stores whose work is not over."""
OWNERS_MOST = 128
"""Of which a site counts, as many as its policy may name."""
STORES_MOST = 8
"""Of one host that a step ends."""


class Amounts(msgspec.Struct, frozen=True, array_like=True):
    """So much of everything of which ceilings say how much there may be at once."""

    cpus_milli: Size = 0
    memory_bytes: Size = 0
    disk_bytes: Size = 0
    workspaces: Size = 0
    devices: Size = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            *(min(a + b, AMOUNT_MOST) for a, b in zip(self.each, other.each, strict=True))
        )

    def __sub__(self, other: "Amounts") -> "Amounts":
        """What is left, by component; nothing where that is less."""
        return Amounts(*(max(0, a - b) for a, b in zip(self.each, other.each, strict=True)))

    @property
    def each(self) -> tuple[int, ...]:
        """Its components, in the order of the fields."""
        return (
            self.cpus_milli,
            self.memory_bytes,
            self.disk_bytes,
            self.workspaces,
            self.devices,
        )

    def least(self, other: "Amounts") -> "Amounts":
        """The smaller of each component."""
        return Amounts(*map(min, self.each, other.each))

    def most(self, other: "Amounts") -> "Amounts":
        """The larger of each component."""
        return Amounts(*map(max, self.each, other.each))

    def shared(self, among: int) -> "Amounts":
        """An equal part of it, rounded down."""
        return Amounts(*(amount // max(1, among) for amount in self.each))

    def fits(self, room: "Amounts") -> bool:
        """Whether it fits, in every component."""
        return all(map(le, self.each, room.each))


NONE = Amounts()


Parts = Annotated[tuple[tuple[KeyId, Amounts], ...], Meta(max_length=OWNERS_MOST)]
"""(owner, so much for it), each owner once."""


class Line(msgspec.Struct, frozen=True, array_like=True):
    """What one store of a host may use."""

    host: PeerId
    store: StoreId
    serial: Number
    """How often it was changed."""
    life: Number = 0
    """The lot that the life of the host drew which changed it last."""
    parts: Parts = ()


class Allotments(msgspec.Struct, frozen=True):
    """All lines of a site, and the ceilings by which they were decided."""

    version: Number = 0
    """How often it was changed."""
    policy: Number = 0
    """The number of the policy that has the ceilings."""
    ceilings: Parts = ()
    lines: Annotated[tuple[Line, ...], Meta(max_length=LINES_MOST)] = ()

    def of(self, host: PeerId, store: StoreId) -> Line:
        """The line of a store. What has none begins with an empty one."""
        mine = (line for line in self.lines if (line.host, line.store) == (host, store))
        return next(mine, Line(host, store, 0))

    def sum(self, owner: KeyId) -> Amounts:
        """What all lines have of an owner's ceiling."""
        return _sum(self.lines, owner)

    def ceiling(self, owner: KeyId) -> Amounts:
        """The most that its lines may have together; nothing for an owner that the policy does not count."""
        return dict(self.ceilings).get(owner, NONE)


class Allot(msgspec.Struct, frozen=True, tag="allot"):
    """A host wants its own line to be this, unless it is not at that serial any more."""

    host: PeerId
    store: StoreId
    serial: Number
    life: Number
    wants: Parts = ()
    """What it is to have: of what is more than now, as much as is free. Owners that are not named have none."""
    gone: Annotated[tuple[StoreId, ...], Meta(max_length=STORES_MOST)] = ()
    """Stores that the host had before, of whose work nothing is left."""


def allotted(before: Allotments, step: Allot) -> Allotments:
    """The value after a step; the same if it does not apply, or came before."""
    line = before.of(step.host, step.store)
    if line.serial != step.serial:
        return before
    ends = [one for one in before.lines if one.host == step.host and one.store in step.gone]
    ends.append(line)
    kept = tuple(one for one in before.lines if one not in ends)
    if len(kept) >= LINES_MOST:
        return before
    others, parts = msgspec.structs.replace(before, lines=kept), list[tuple[KeyId, Amounts]]()
    for owner, wanted in dict(step.wants).items():
        had = _sum(ends, owner)
        given = wanted.least(had.most(before.ceiling(owner) - others.sum(owner)))
        if given != NONE:
            parts.append((owner, given))
    mine = Line(step.host, step.store, step.serial + 1, step.life, tuple(parts))
    return _next(others, lines=(*kept, mine))


def governed(
    before: Allotments, number: int, ceilings: Parts, removed: Collection[PeerId] = ()
) -> Allotments:
    """The value under the ceilings of a policy, unless it has those of a newer one, and without hosts that were
    removed from the site."""
    after = before
    if number > before.policy:
        after = _next(after, policy=number, ceilings=ceilings)
    left = tuple(line for line in after.lines if line.host not in removed)
    return _next(after, lines=left) if left != after.lines else after


def _sum(lines: Iterable[Line], owner: KeyId) -> Amounts:
    return sum((amounts for line in lines for key, amounts in line.parts if key == owner), NONE)


def _next(before: Allotments, **changed: object) -> Allotments:
    return msgspec.structs.replace(before, version=before.version + 1, **changed)
