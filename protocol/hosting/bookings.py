"""What carried grids take of the ledger. It is entered from their leases, and tried before it is promised."""

import msgspec

from protocol.capacity.ledger import EntryKey, Ledger, Yields
from protocol.capacity.timetable import Occupancy, Window
from protocol.contract.authority import Authority
from protocol.grid.lifecycle import Phase, Status, Wanted
from protocol.hosting.definitions import booked_of
from protocol.hosting.lease import Lease, effective, lacking, spans, stage_of, yields_of
from protocol.terms.ids import GridId, KeyId

Statuses = dict[GridId, dict[str, Status]]
"""Where the workspaces of each grid are, by name, as the shell reported last. The lease book has them."""


_Entry = tuple[tuple[Occupancy, ...], Yields | None, KeyId]


class Bookings:
    """The entries of one host's leases in its ledger."""

    def __init__(self, ledger: Ledger, authority: Authority, told: Statuses) -> None:
        self._ledger, self._authority, self._told = ledger, authority, told

    def enter(self, row: Lease) -> None:
        """Enters all that a lease's workspaces take, in place of what they took."""
        self._try(row, self._wanted(row), anyway=True)

    def fits(self, row: Lease) -> bool:
        """Enters the same if it fits, and says whether it does. If not, the ledger stays as it is."""
        return self._try(row, self._wanted(row), anyway=row.yields)

    def short(self, row: Lease, after: dict[str, Wanted], now: float) -> str:
        """What is missing for the workspaces to be as `after` says; empty if nothing is.

        A suspended workspace needs disk for its memory, and a restored one its cpus and memory again. The
        ledger stays as it is.
        """
        if row.yields:
            return ""  # Its disk is promised already, and the plan says when it runs.
        grid = row.record.id
        members = booked_of(self._authority, row)
        before = {name: self._saved((grid, name)) for name in after}
        try:
            for name, wanted in after.items():
                taken = spans(row, members[name], wanted, self._phase(grid, name))
                if not self._ledger.fits((grid, name), taken):
                    room = self._ledger.free_for(Window(now, row.ends_s, row.kept_until_s))
                    return lacking(name, wanted, members[name], room)
                yields = yields_of(row, members[name])
                self._ledger.enter_spans((grid, name), taken, yields, row.record.owner)
        finally:
            for name, old in before.items():
                self._restore((grid, name), old)
        return ""

    # -- parts

    def _wanted(self, row: Lease) -> tuple[Wanted, ...]:
        """What would be made of the workspaces if all that is pending were decided: that much is promised."""
        end_s = row.lease_until_s + sum(p.by_s for p in row.pending)
        held = msgspec.structs.replace(row, lease_until_s=end_s)
        return effective(row, stage_of(held, self._ledger.now_s))

    def _try(self, row: Lease, after: tuple[Wanted, ...], anyway: bool) -> bool:
        grid = row.record.id
        members = booked_of(self._authority, row)
        before = {w.workspace: self._saved((grid, w.workspace)) for w in after}
        for wanted in after:
            name = wanted.workspace
            taken = spans(row, members[name], wanted, self._phase(grid, name))
            if not (anyway or self._ledger.fits((grid, name), taken)):
                for entered, old in before.items():
                    self._restore((grid, entered), old)
                return False
            yields = yields_of(row, members[name])
            self._ledger.enter_spans((grid, name), taken, yields, row.record.owner)
        return True

    def _saved(self, key: EntryKey) -> _Entry | None:
        """What an entry is now; None if there is none."""
        if key not in self._ledger:
            return None
        return self._ledger.spans(key), self._ledger.yields(key), self._ledger.owner(key)

    def _restore(self, key: EntryKey, old: _Entry | None) -> None:
        if old is not None:
            self._ledger.enter_spans(key, *old)
        else:
            self._ledger.strike(key)

    def _phase(self, grid: GridId, name: str) -> Phase | None:
        status = self._told.get(grid, {}).get(name)
        return status.phase if status is not None else None
