"""What a workspace that is to run waits for: others that it requires, or its end on the host it was on before.

Notices end both. But no notice comes from a host that is lost, so for that one it is looked again now and then.
"""

import asyncio
from collections.abc import Callable

from overlayd.telemetry.supervisor import Supervisor
from protocol.hosting.part import PartOf
from protocol.terms.ids import GridId

AGAIN_S = 2.0


class Waiting:
    """The workspaces of one host that wait."""

    def __init__(self, supervisor: Supervisor, kick: Callable[[GridId], None]) -> None:
        """`kick` is called when a grid is to be looked at again."""
        self._supervisor, self._kick = supervisor, kick
        self._again: set[GridId] = set()

    def why(self, grid: GridId, mine: PartOf) -> str:
        """What a workspace waits for, for people; empty if it is to be started now."""
        if mine.elsewhere:
            if grid not in self._again:
                self._again.add(grid)
                self._supervisor.spawn(f"look again at {grid}", self._look(grid))
            return mine.elsewhere
        return f"waits for {', '.join(mine.waits_for)}" if mine.waits_for else ""

    async def _look(self, grid: GridId) -> None:
        try:
            await asyncio.sleep(AGAIN_S)
        finally:
            self._again.discard(grid)
        self._kick(grid)
