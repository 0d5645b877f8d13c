"""Guests that end by themselves soon after every start: each next start waits longer.

As in Kubernetes (CrashLoopBackOff), the first start after an end is at once, since it may be the last. A guest
that never stays up must not keep the host busy with its boots. The count begins anew for a guest that ran for
CALM_S, and for another start that a person asks for.
"""

from dataclasses import dataclass

from overlayd.ports.compute import Cause
from protocol.grid.model import Restart

CALM_S = 120.0
"""A guest that ran for so long came up."""
PAUSES_S = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""The pauses before the first start after an end in short order, before the second, and so on."""


@dataclass
class _Start:
    boot: int
    at_s: float
    ends: int
    """How many ends there were in short order, before this start or with its own."""
    until_s: float | None = None
    """Set once it has ended: it may not be started again before that."""


def stays_off(restart: Restart, cause: Cause) -> bool:
    """Whether a machine that ended by itself is left as it is, rather than started again."""
    match restart:
        case Restart.ALWAYS:
            return False
        case Restart.ON_FAILURE:
            return cause is Cause.POWERED_OFF
        case Restart.NEVER:
            return True


class Relapses:
    """What is remembered of the machines this daemon started."""

    def __init__(self) -> None:
        self._starts: dict[str, _Start] = {}

    def started(self, machine: str, boot: int, now_s: float) -> None:
        """The machine runs since now."""
        last = self._starts.get(machine)
        ends = last.ends if last is not None and last.boot == boot else 0
        self._starts[machine] = _Start(boot, now_s, ends)

    def rests(self, machine: str, boot: int, now_s: float) -> tuple[int, float]:
        """The machine does not run: (how often it ended in short order, seconds until it may start again)."""
        start = self._starts.get(machine)
        if start is None or start.boot != boot:
            return 0, 0.0
        if start.until_s is None:
            start.ends = 1 if now_s >= start.at_s + CALM_S else start.ends + 1
            start.until_s = now_s + PAUSES_S[min(start.ends, len(PAUSES_S)) - 1]
        return start.ends, max(0.0, start.until_s - now_s)

    def forget(self, machine: str) -> None:
        """The machine is not to run any more."""
        self._starts.pop(machine, None)
