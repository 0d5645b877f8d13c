"""What the workspaces of a changed grid take of a host, beside what its lease has there.

Of what is new here it is all, but for volumes that are here already; of what grows what it grows by. A host
carries up to a thousand workspaces of a grid, so what is the same for all of them is found out once.
"""

from collections.abc import Mapping, Sequence

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.grid.apply import delta
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.volumes import volumes_at
from protocol.hosting.definitions import growth, unused_by, with_memory
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.placement.fit import quantum_of
from protocol.terms.ids import PeerId


class ChangeNeeds:
    """The needs of one change at one host."""

    def __init__(
        self,
        me: PeerId,
        leases: Leases,
        ledger: Ledger,
        row: Lease | None,
        becomes: Mapping[str, Workspace],
        spec: GridSpec,
    ) -> None:
        """`row` is what is carried of the grid, None if nothing is. `becomes` says what the change makes of
        each workspace, by name; `spec` is the whole."""
        self._ledger, self._row, self._becomes = ledger, row, becomes
        self._mine: dict[str, None] = {}
        self._changed: dict[str, None] = {}
        if row is None:
            return
        mine, before = row.record.on(me), leases.ordered(row).spec
        self._mine = dict.fromkeys(mine)
        self._changed = {name: None for name, _ in delta(mine, before, spec).changed}
        self._before = with_memory(leases.members(row), row)
        self._power = {wanted.workspace: wanted.power for wanted in row.wanted}
        self._phases = {s.workspace: s.phase for s in leases.statuses(row.record.id)}
        self._was_unused = dict(row.unused)
        stays = [becomes[name] for name in self._changed if name in becomes]
        self._unused = dict(unused_by(stays, volumes_at(row.record, before), me))

    def any(self, names: Sequence[str]) -> bool:
        """Whether any of them is new here, or changed."""
        return any(self.is_new(name) or name in self._changed for name in names)

    def is_new(self, name: str) -> bool:
        """Whether a workspace was not here before."""
        return name not in self._mine

    def of(self, name: str) -> Quantum | None:
        """What a workspace takes beside what the lease has here; None if it stays as it is."""
        becomes, row = self._becomes[name], self._row
        if row is None or self.is_new(name):
            return quantum_of(becomes) - self._left(name)
        if name not in self._changed:
            return None
        power = self._power.get(name, Power.GONE)
        if power is Power.GONE:
            # It was promised without room, so there is nothing here that could grow.
            return quantum_of(becomes) - self._left(name)
        more_bytes = max(0, self._unused.get(name, 0) - self._was_unused.get(name, 0))
        saved = power is Power.SUSPENDED
        return growth(self._before[name], becomes, saved=saved, unused_bytes=more_bytes)

    def _left(self, name: str) -> Quantum:
        """What is left here of a workspace that was ordered gone, and is in the grid again: its volumes."""
        row = self._row
        if row is None or self._power.get(name) is not Power.GONE:
            return Quantum()
        if self._phases.get(name) is not Phase.GONE:
            return Quantum()
        spans = self._ledger.spans((row.record.id, name))
        return spans[-1].quantum.kept if spans else Quantum()
