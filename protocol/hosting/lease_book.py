"""Everything on disk of the grids this host carries, and the one way to change it.

A lease, what it takes of the ledger and what is on disk of it belong together. So only `change` replaces one.
It answers the Persist, which goes out before anything that follows from the change.
"""

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.contract.authority import Authority
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.hosting.bookings import Bookings
from protocol.hosting.definitions import members_of, only
from protocol.hosting.lease import Lease, LeaseStage, effective, is_over, stage_of
from protocol.terms.effects import Persist, Row
from protocol.terms.ids import GridId
from protocol.wire.codec import decode, encode

TABLE = "grid"


class LeaseBook:
    """The leases of one host, the stage of each, and where the workspaces are, as the shell reported last."""

    def __init__(
        self,
        ledger: Ledger,
        authority: Authority,
        rows: dict[str, bytes],
        now: float,
        *,
        sure: bool = True,
    ) -> None:
        """`sure` says that the time is right, so that a lease may be found over by it."""
        self._ledger, self._authority = ledger, authority
        self._rows: dict[GridId, Lease] = {}
        self._ended: dict[GridId, Lease] = {}
        self._stages: dict[GridId, LeaseStage] = {}
        self.told: dict[GridId, dict[str, Status]] = {}
        self.bookings = Bookings(ledger, authority, self.told)
        for key in sorted(rows):
            row = decode(rows[key], Lease)
            self._rows[row.record.id] = row
            self.enter_stage(row, now, sure=sure)
            self.bookings.enter(row)
            for wanted in row.wanted:
                status = Status(wanted.workspace, Phase.HELD, "found at start", now)
                self.tell(row.record.id, status)

    # -- what is known

    def row(self, grid: GridId) -> Lease | None:
        """What this host carries of a grid; None if it carries nothing."""
        return self._rows.get(grid)

    def last(self, grid: GridId) -> Lease | None:
        """What this host carries of a grid, or carried until it was cleared; None if that was told."""
        return self._rows.get(grid) or self._ended.get(grid)

    def rows(self) -> list[Lease]:
        """Everything carried."""
        return list(self._rows.values())

    def stage(self, row: Lease) -> LeaseStage:
        """The stage that a carried lease was last put in."""
        return self._stages[row.record.id]

    def wanted(self, row: Lease) -> tuple[Wanted, ...]:
        """What is to be made of a carried grid's workspaces now."""
        wanted = effective(row, self.stage(row))
        if not row.off:
            return wanted
        members = members_of(self._authority, row)
        return tuple(
            msgspec.structs.replace(w, power=Power.SUSPENDED)
            if w.power in (Power.RUNNING, Power.PAUSED) and members[w.workspace].cluster in row.off
            else w
            for w in wanted
        )

    # -- changes

    def change(self, row: Lease, *, books: bool = True, also: tuple[Row, ...] = ()) -> Persist:
        """Puts a lease in the place of the one before, and in the ledger. Answers the write.

        The rows in `also` are part of the same write. The room of workspaces that the lease has no more is
        free. Without `books` the other workspaces keep the room they have, whatever the shell reported since.
        """
        grid = row.record.id
        old = self._rows.get(grid)
        names = [w.workspace for w in row.wanted]
        if row.leaving or row.behind or row.giving_back:
            row = only(row)
        self._rows[grid] = row
        for wanted in old.wanted if old is not None else ():
            if wanted.workspace not in names:
                self._ledger.strike((grid, wanted.workspace))
        if books:
            self.bookings.enter(row)
        return Persist((Row(TABLE, grid, encode(row)), *also))

    def enter_stage(self, row: Lease, now: float, *, sure: bool = True) -> LeaseStage:
        """Puts a lease in the stage that follows from the time, which is not on disk, and answers it.

        Unless it is `sure` that the time is right, no lease ends: it stays where it is.
        """
        stage = stage_of(row, now)
        if not sure and is_over(stage):
            stage = self._stages.get(row.record.id, LeaseStage.UNSURE)
        self._stages[row.record.id] = stage
        return stage

    def tell(self, grid: GridId, status: Status) -> None:
        """Keeps where a workspace is, as the shell reports."""
        self.told.setdefault(grid, {})[status.workspace] = status

    def clear(self, grid: GridId) -> Persist:
        """Nothing of a carried grid is left here. One more notice tells that. Answers the write."""
        self._ended[grid] = self._rows.pop(grid)
        self._stages.pop(grid, None)
        return Persist((Row(TABLE, grid, None),))

    def forget(self, grid: GridId) -> None:
        """The last notice of a cleared grid is out, so its statuses are not needed any more."""
        if self._ended.pop(grid, None) is not None:
            self.told.pop(grid, None)

    def check(self) -> None:
        """Everything wanted is in the ledger, and nothing is wanted twice."""
        for grid, row in self._rows.items():
            names = [wanted.workspace for wanted in row.wanted]
            assert len(names) == len(dict.fromkeys(names)), names
            assert all((grid, name) in self._ledger for name in names), names
