"""When a host asks the stewards of a grid it carries, and for which step of its register.

It reads at every start, when others speak of a newer epoch, when one of very few stewards is back, and now and
then, in case a message never came. It votes down an extension that was not decided in its time, and takes down
a grid that is over, or that its owner ordered down while too few stewards were there to decide it.
"""

from protocol.contract.outcomes import AuditLease, Outcome, Propose
from protocol.grid.record import GridState, order_part
from protocol.grid.steps import Decline, End, Finish, Lapse, Step
from protocol.hosting.lease import Lease
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, earliest, soonest
from protocol.terms.ids import GridId
from protocol.terms.limits import AUDIT_EVERY_S, HALTED_EVERY_S, HOLD_S
from protocol.trust.order import read_order

_NEVER = float("inf")


class Auditing:
    """When the stewards of each grid are asked next, and what."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._read_s: dict[GridId, float] = {}
        self._lapse_s: dict[GridId, float] = {}
        self._ask_s: dict[GridId, float] = {}
        """When the stewards are asked again about an extension that is pending."""

    def started(self, grid: GridId, now: float) -> None:
        """This host carried the grid in an earlier life. Much may have happened since."""
        self._read_s[grid] = now + self._dice.uniform(1.0, 5.0)

    def decided(self, grid: GridId, now: float) -> None:
        """A record of the grid came, so there is nothing to ask for a while."""
        self._read_s[grid] = self._next_s(now)

    def noticed(self, grid: GridId, now: float) -> None:
        """Somebody knows a newer epoch of the grid, so it is asked about now."""
        self._read_s[grid] = min(self._read_s[grid], now)

    def returned(self, grid: GridId, now: float) -> None:
        """A steward of the grid is back. It may have lost its disk, and waits to be asked."""
        self._read_s[grid] = min(self._read_s[grid], now + self._dice.uniform(1.0, 5.0))

    def lapsed(self, grid: GridId, now: float, *, over: bool) -> None:
        """Whether the grid is to be taken down because its time is `over`.

        All its hosts find that at the same time, and one of them is enough: each waits for a random moment.
        """
        if over:
            self._lapse_s[grid] = now + self._dice.uniform(0.0, 2.0)
        else:
            self._lapse_s.pop(grid, None)

    def settled(self, grid: GridId) -> None:
        """The grid's pending extension is decided."""
        self._ask_s.pop(grid, None)

    def forget(self, grid: GridId) -> None:
        """The grid is cleared, so nothing more is asked about it."""
        self._read_s.pop(grid, None)
        self._lapse_s.pop(grid, None)

    def due(self, row: Lease, now: float, *, sure: bool = True) -> Propose | None:
        """What is to be asked about a grid now; None if nothing is. Unless it is `sure` that the time is right,
        no grid is taken down because its time is over, and no extension is voted down."""
        grid = row.record.id
        if now >= self._lapse_s.get(grid, _NEVER):
            self._lapse_s[grid] = self._next_s(now)
            if sure:
                return _propose(row, Lapse(grid))
        if (
            row.halted is not None
            and row.record.state is GridState.UP
            and now >= self._read_s[grid]
        ):
            self._read_s[grid] = now + HALTED_EVERY_S * self._dice.uniform(0.8, 1.2)
            return _propose(row, End(grid, row.halted))
        if row.pending and now >= self._pending_s(row):
            self._ask_s[grid] = now + HOLD_S
            if not sure:
                return _propose(row, None)
            return _propose(row, Decline(grid, row.pending[0].id))
        if now >= self._read_s[grid]:
            self._read_s[grid] = self._next_s(now)
            return _propose(row, None)
        return None

    def next_deadline(self, rows: list[Lease]) -> Deadline | None:
        """When the first question is due; None if none will be."""
        if not (rows or self._lapse_s or self._read_s):
            return None
        return earliest(
            soonest(self._lapse_s.values(), "lapse"),
            soonest([self._pending_s(row) for row in rows if row.pending], "extension"),
            soonest(self._read_s.values(), "audit"),
        )

    def _pending_s(self, row: Lease) -> float:
        return max(row.pending[0].until_s, self._ask_s.get(row.record.id, 0.0))

    def _next_s(self, now: float) -> float:
        return now + AUDIT_EVERY_S * self._dice.uniform(0.8, 1.2)


def _propose(row: Lease, step: Step | None) -> Propose:
    grid = row.record.id
    return Propose(
        AuditLease(grid), order_part(grid), row.stewards, step, grid, evidence=row.certificate
    )


def decidable(row: Lease) -> bool:
    """Whether stewards can decide of the grid. Orders of builds before stewards were in them name none."""
    return bool(read_order(row.record.order).stewards)


def restored(row: Lease) -> list[Outcome]:
    """What gives stewards back the decision of a carried grid that they have lost, if it can be proved."""
    return [_propose(row, Finish())] if row.certificate is not None else []
