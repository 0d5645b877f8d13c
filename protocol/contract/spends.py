"""What a grid takes of ceilings that count at several sites: what anybody can prove, whoever says it.

A ceiling in a grant that names several sites, or none, counts what was made under it at all of them. Nobody
counts that in the middle, and no host is believed on how much a member has: it could name anybody, who would be
refused everywhere. So a grid counts on three proofs. Its decision has the member's own signed order, and is of
the stewards that this order names. The decision has each host's signed grant. And each host's own notice, which
it signs, says that it holds its part now. So nobody makes more of a member than it ordered there itself.
"""

from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from protocol.capacity.allotments import NONE, Amounts
from protocol.contract.notices import Notice
from protocol.grid.expand import member, names_of
from protocol.grid.lease import kept_s
from protocol.grid.lifecycle import Phase
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import GridRecord, GridState
from protocol.policy.allowing import counted_everywhere
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.terms.limits import ORDER_LATE_S
from protocol.terms.ranges import AMOUNT_MOST
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import claimed, read_order

_FOREVER = float("inf")


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A workspace, as its order has it."""

    host: PeerId
    """Who carries it."""
    workspace: str
    amounts: Amounts


class Spends(msgspec.Struct, frozen=True):
    """What a decided grid may take, at most."""

    grid: GridId
    line: tuple[KeyId, ...]
    """The keys of which it takes: from its owner's to that of who ordered it."""
    ceilings: tuple[tuple[KeyId, Ceilings], ...]
    """Those of its order that count at several sites."""
    given_until_s: float
    """Until when its order could be given, Unix seconds."""
    over_s: float
    """When nothing of it can be left any more, Unix seconds."""
    parts: tuple[Part, ...]

    @property
    def place(self) -> tuple[float, str]:
        """What the grids of a key are ordered by (overspending.py)."""
        return self.given_until_s, self.grid

    def ceiling(self, key: KeyId) -> Ceilings | None:
        """The ceiling of a key, if its order has one that counts at several sites."""
        return dict(self.ceilings).get(key)

    def on(self, host: PeerId, notice: Notice, now: float) -> Amounts:
        """What one of its hosts has of it, as far as both the decision and that host's notice say so."""
        if now >= self.over_s:
            return NONE
        there = {status.workspace: status.phase for status in notice.mine}
        has = partial(_left, over=0 < notice.ends_s <= now)
        mine = ((part, there.get(part.workspace)) for part in self.parts if part.host == host)
        return total(has(part.amounts, phase) for part, phase in mine)


def total(amounts: Iterable[Amounts]) -> Amounts:
    """All of them together."""
    return sum(amounts, NONE)


def spends_of(record: GridRecord, spec: GridSpec) -> Spends | None:
    """What a decided grid may take of ceilings; None if it is down, or no member's. `spec` is its standing
    order's."""
    owner = claimed(record.order)
    if not owner.people or record.state is not GridState.UP:
        return None
    each = dict(_sizes(spec))
    until_s = read_order(record.standing).fresh_until_s
    lasts_s = spec.lease_s + record.extra_s + kept_s(spec.lease) + ORDER_LATE_S
    over_s = max(record.start_s, until_s) + lasts_s
    everywhere = counted_everywhere(claimed(record.standing))
    return Spends(
        grid=record.id,
        line=owner.line,
        ceilings=tuple((key, link.ceilings) for key, link in everywhere),
        given_until_s=until_s,
        # The time of best-effort work stands still while it makes room, so nobody knows when it is over.
        over_s=_FOREVER if spec.lease.best_effort else over_s,
        parts=tuple(
            Part(a.host, a.workspace, each[a.workspace])
            for a in record.assignments
            if a.workspace in each
        ),
    )


def amounts_of(workspace: Workspace) -> Amounts:
    """What a workspace takes of what ceilings count. An order that makes no sense takes nothing away."""
    plain = (workspace.cpus_milli, workspace.memory_bytes, workspace.disk_bytes)
    devices = sum(device.count for device in workspace.devices)
    return Amounts(*(min(max(0, each), AMOUNT_MOST) for each in (*plain, 1, devices)))


def _sizes(spec: GridSpec) -> Iterator[tuple[str, Amounts]]:
    """What each workspace takes, by name, also of a grid that makes no sense."""
    for cluster in spec.clusters:
        alike = amounts_of(member(spec, msgspec.structs.replace(cluster, sizes=()), 1))
        own = {size.workspace for size in cluster.sizes}
        for index, name in enumerate(names_of(cluster), start=1):
            yield name, amounts_of(member(spec, cluster, index)) if name in own else alike


def _left(amounts: Amounts, phase: Phase | None, *, over: bool) -> Amounts:
    """What is taken of a workspace in that phase. Of one whose lease is over that is its disk."""
    if phase in (None, Phase.GONE):
        return NONE
    if over and phase in (Phase.EXPIRED, Phase.SUSPENDED):
        return Amounts(disk_bytes=amounts.disk_bytes)
    return amounts
