"""Starting order: a workspace waits until the hosts of what it requires tell that it is up, and until no other
host tells that it is there.

There is no coordinator. A notice may end the waiting of workspaces on this host; then the shell looks at their
grid again.
"""

from protocol.contract.told import Notices
from protocol.hosting.elsewhere import told_elsewhere
from protocol.hosting.leases import Leases
from protocol.hosting.part import waits_of
from protocol.terms.effects import Effect, Realise
from protocol.terms.ids import GridId

_Waits = dict[str, tuple[str, ...]]
"""What clusters wait for, and, with a slash before it, for whom a workspace does that was on another host."""


class Starting:
    """What the workspaces here wait for, as it was seen last."""

    def __init__(self, leases: Leases, notices: Notices) -> None:
        self._leases, self._notices = leases, notices
        self._waits: dict[GridId, _Waits] = {}

    def noticed(self, grid: GridId) -> list[Effect]:
        """A host told of a grid. If its workspaces here wait for others than before, the shell looks again."""
        row = self._leases.row(grid)
        if row is None:
            self._waits.pop(grid, None)
            return []
        waits: _Waits = {**waits_of(row.record, self._leases.ordered(row), self._notices)}
        for name, (peer, _) in told_elsewhere(row, self._notices).items():
            waits[f"/{name}"] = (peer,)
        if self._waits.get(grid, {}) == waits:
            return []
        self._waits[grid] = waits
        return [Realise(grid, grid)]
