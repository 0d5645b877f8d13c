"""How much of this host's disk the log of each console may take: what its order says, which is in its quantum.

A log, its older part, and what comes between two looks take a third each (logs.py). Orders of older builds say
nothing of it, and nothing was promised for them: their logs are kept small.
"""

from collections.abc import Iterable
from pathlib import Path

from overlayd.realise.logs import older
from overlayd.realise.paths import Paths
from protocol.grid.lifecycle import Power
from protocol.grid.limits import CONSOLE_BYTES
from protocol.hosting.part import Part

UNCOUNTED_BYTES = 1 << 20
"""What a console's log may take that no order has room for. The host's reserve has it."""


class ConsoleRoom:
    """The room of every console of this host."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._rooms: dict[Path, int] = {}

    def settle(self, part: Part | None) -> Part | None:
        """Remembers what a grid's workspaces here have. Answers the same part."""
        if part is None:
            return None
        for mine in part.mine:
            log, _ = self._paths.console(part.record.id, mine.workspace.name)
            if mine.wanted.power is Power.GONE:
                self._rooms.pop(log, None)
            else:
                self._rooms[log] = mine.workspace.console_bytes
        return part

    def of(self, log: Path) -> int:
        """What a log may take with its older part, in bytes. One that nobody spoke of yet has the usual."""
        return self._rooms.get(log, CONSOLE_BYTES) or UNCOUNTED_BYTES

    def log_bytes(self, log: Path) -> int:
        """How long a log may become before it is cut."""
        return self.of(log) // 3

    def promised_bytes(self) -> int:
        """What the logs here may still grow by. It blocks."""
        return sum(max(0, self.of(log) - taken_bytes(log)) for log in self._logs())

    def counted_bytes(self) -> int:
        """What the logs here have of the quanta of their workspaces, used or not. It blocks."""
        return sum(self._rooms.get(log, 0) for log in self._logs())

    def _logs(self) -> Iterable[Path]:
        return self._paths.consoles.glob("*.log")


def taken_bytes(log: Path) -> int:
    """What a log and its older part take of the disk now."""
    taken = 0
    for path in (log, older(log)):
        try:
            taken += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return taken
