"""Guests that are shutting down: a request that waits for them says so, once for each, and long enough."""

from collections.abc import Callable, Iterable

from protocol.grid.lifecycle import Phase, Status
from protocol.grid.limits import STOP_WITHIN_S_MAX
from protocol.grid.problem import listed


class Endings:
    """What one request has told of guests that were asked to shut down."""

    def __init__(self, tell: Callable[[float, str], None]) -> None:
        self._tell = tell
        self._told: dict[str, None] = {}

    def heard(self, statuses: Iterable[Status], now: float) -> float:
        """Tells of guests that are shutting down. Answers until when that may last; 0 if none is."""
        ending = [s for s in statuses if s.phase is Phase.ENDING and s.detail]
        said: dict[str, list[str]] = {}
        for status in ending:
            if status.workspace not in self._told:
                said.setdefault(status.detail, []).append(status.workspace)
                self._told[status.workspace] = None
        for detail, names in said.items():
            self._tell(now, f"{listed(names)}: {detail}")
        most_s = max((s.within_s for s in ending), default=0)
        return now + min(most_s, STOP_WITHIN_S_MAX) if ending else 0.0
