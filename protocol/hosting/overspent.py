"""Which of a member's grids go when they have more than its ceiling at all sites: each host judges its own.

Two sites that cannot see each other, or are asked within the second, may both say yes. When they hear each
other, both know the same (contract/spends.py), and have one rule: what does not fit beside the grids before it
goes (contract/overspending.py). Its owner is told, and has ten minutes to choose otherwise: to take another
down, or to make one smaller. If it does not fit then, its lease ends here, as leases end: guests are asked to
shut down, and disks are kept. What is judged is what there is, again and again. So whoever fits again stays,
and a host that was away does the same when it is back. Nothing goes for what is told and not proved.
"""

import msgspec

from protocol.capacity.allotments import Amounts
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer, NoticeDue, Outcome, RoomChanged
from protocol.contract.overspending import kept
from protocol.contract.spends import Spends, total
from protocol.contract.told import Notices
from protocol.grid.record import GridState
from protocol.hosting.across import Across
from protocol.hosting.lease import Lease, is_over
from protocol.hosting.leases import Leases
from protocol.hosting.spending import Spending
from protocol.hosting.surroundings import HostSurroundings
from protocol.terms.effects import Deadline, Effect, Note, earliest
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.quantities import format_moment

GOES_AFTER_S = 600.0
"""So long an owner has to choose which of its grids go: as long as an order to do so is fresh."""
_EVERY_S = 30.0
_SOON_S = 1.0
"""After something was told: what it means is known by then."""


class Overspent:
    """The leases of one host that are more than their member's ceiling at all sites."""

    def __init__(
        self,
        me: PeerId,
        notices: Notices,
        spending: Spending,
        leases: Leases,
        around: HostSurroundings,
    ) -> None:
        """`notices` has what hosts tell of grids, `spending` what is used here."""
        self.across = Across(me, notices, spending, around)
        self._leases, self._around = leases, around
        self._look_s: float | None = None
        """When to judge; None while nothing is carried that such a ceiling counts."""
        self._keys: dict[KeyId, None] = {}
        """Those with such a ceiling by which something is carried here."""

    def noticed(self, notice: Notice, now: float) -> None:
        """A host, perhaps this one, tells of a grid."""
        self.across.noticed(notice, now)
        here = bool(notice.line) and self._leases.row(notice.grid) is not None
        if here or any(key in self._keys for key in notice.line):
            soon_s = now + _SOON_S
            self._look_s = soon_s if self._look_s is None else min(self._look_s, soon_s)

    def tick(self, now: float) -> Answer:
        """Judges what is carried here."""
        if self._look_s is None or now < self._look_s:
            return [], []
        grids: dict[KeyId, list[tuple[Spends, Amounts]]] = {}
        effects: list[Effect] = []
        due: list[Outcome] = []
        for row in self._leases.rows():
            spends = self.across.spends(row.record.id)
            if spends is None or row.record.state is not GridState.UP or row.halted is not None:
                continue
            keys = [key for key, _ in spends.ceilings]
            grids |= {key: self.across.of(key, now) for key in keys if key not in grids}
            over = any(not self._fits(row, spends, key, grids[key], now) for key in keys)
            if more := self._judged(row, now, over=over):
                effects += more
                due += [NoticeDue(row.record.id), RoomChanged()]
        self._keys = dict.fromkeys(grids)
        for key in self._keys:
            self.across.look(key, now)
        self._look_s = now + _EVERY_S if self._keys else None
        return effects, due

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        at_s = self._look_s
        judge = Deadline(at_s, "ceilings at all sites") if at_s is not None else None
        return earliest(self.across.next_deadline(), judge)

    # -- parts

    def _fits(
        self,
        row: Lease,
        spends: Spends,
        key: KeyId,
        grids: list[tuple[Spends, Amounts]],
        now: float,
    ) -> bool:
        """Whether a grid that is carried here is within a ceiling, beside those of the key before it."""
        before = [each for each in grids if each[0].place < spends.place]
        if is_over(self._leases.stage(row)):
            # Nothing of it runs. Whether it could again is what is asked then.
            has = total(part.amounts for part in spends.parts)
        else:
            has = self.across.has(spends, now)
        return row.record.id in kept(key, [*before, (spends, has)])

    def _judged(self, row: Lease, now: float, *, over: bool) -> list[Effect]:
        """What follows for a lease. Nothing if that is as it was."""
        grid, name, runs = row.record.id, row.record.name, not is_over(self._leases.stage(row))
        if not over:
            if not row.goes_s:
                return []
            stays = msgspec.structs.replace(row, goes_s=0.0)
            note = Note("grid.within", name, "its owner is within its ceilings again", grid)
            return [self._leases.put(stays), note]
        if not row.goes_s and runs:
            goes_s = now + GOES_AFTER_S
            asked = msgspec.structs.replace(row, goes_s=goes_s)
            why = (
                "at all sites its owner has more than a grant allows, and this came last: it ends at"
                f" {format_moment(goes_s)}, unless as much is taken down before"
            )
            return [self._leases.put(asked), Note("grid.overspent", name, why, grid)]
        if not runs or now < row.goes_s or self._around.clock().doubt:
            return []
        # The time of what made room for others stands still since then.
        ended = msgspec.structs.replace(
            row, lease_until_s=min(row.lease_until_s, row.stopped_s or now)
        )
        why = "its lease ends here, since at all sites its owner has more than a grant allows"
        return [self._leases.put(ended, books=True), Note("grid.overspent-ended", name, why, grid)]
