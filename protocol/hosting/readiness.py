"""Is the room really there? A lease may begin while the one before it is still being stopped.

The timetable has room behind each lease for its end, and saving begins early. But a disk may be slower than
it was measured to be. So a workspace is not started while one that must leave takes the room it needs. It
waits, says for what, and starts when the shell reports that to be gone.
"""

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum, total
from protocol.contract.authority import Authority
from protocol.grid.lifecycle import Phase, Power, Wanted
from protocol.hosting.bookings import Statuses
from protocol.hosting.definitions import members_of
from protocol.hosting.lease import Lease
from protocol.placement.fit import quantum_of
from protocol.terms.ids import GridId

THERE = (
    *(Phase.BOOTING, Phase.RUNNING, Phase.REACHABLE, Phase.READY, Phase.PAUSED, Phase.SAVING),
    *(Phase.RESTORING, Phase.ENDING, Phase.NO_ROOM, Phase.STALLED),
)
"""Phases in which a workspace takes cpus and memory."""
_RUN = (Power.RUNNING, Power.PAUSED)


class Readiness:
    """Whether the grids of one host can start."""

    def __init__(self, ledger: Ledger, authority: Authority, told: Statuses) -> None:
        self._ledger, self._authority, self._told = ledger, authority, told
        self._waiting: dict[GridId, None] = {}

    def blocked(
        self,
        grid: GridId,
        rows: dict[GridId, Lease],
        wanted: dict[GridId, tuple[Wanted, ...]],
    ) -> str:
        """What a grid's workspaces here wait for; empty if they may start."""
        self._waiting.pop(grid, None)
        leaving = [
            f"{rows[other].record.name}/{w.workspace}"
            for other, all_wanted in wanted.items()
            for w in all_wanted
            if w.power not in _RUN and self._there(other, w)
        ]
        if not leaving:
            return ""
        starting: list[Quantum] = []
        there: list[Quantum] = []
        for other, all_wanted in wanted.items():
            members = members_of(self._authority, rows[other])
            for w in all_wanted:
                if self._there(other, w):
                    there.append(quantum_of(members[w.workspace]))
                elif other == grid and w.power in _RUN:
                    starting.append(quantum_of(members[w.workspace]))
        needs, used = total(starting), total(there)
        disk = Quantum(disk_bytes=used.disk_bytes)
        if not starting or needs.running.fits(self._ledger.capacity - used + disk):
            return ""
        self._waiting[grid] = None
        return f"waits for {leaving[0]} to leave its room"

    def waiting(self, but: GridId) -> list[GridId]:
        """The grids that were told to wait, without the one named."""
        return [grid for grid in self._waiting if grid != but]

    def _there(self, grid: GridId, wanted: Wanted) -> bool:
        """Whether a workspace takes room. One that was found at a start does, until it is reported gone."""
        status = self._told.get(grid, {}).get(wanted.workspace)
        if status is None:
            return False
        if status.phase is Phase.HELD:
            return wanted.power not in _RUN and bool(status.detail)
        return status.phase in THERE
