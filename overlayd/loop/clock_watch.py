"""Watches the machine's clock: when NTP mends it, another life of the daemon begins by it.

A life counts time from its start and does not step (adapters/clock.py), so all that it has in mind, deadlines
and what it told others, is in one time. A clock that was wrong at its start is mended by another life, which
reads what is on disk by the right time; guests go on meanwhile. Whether the machine's clock is the better one
is the node's to say (membership/clocks.py).
"""

import asyncio
from collections.abc import Callable

from overlayd.ports.clock import Clock
from protocol.terms.effects import Note
from protocol.terms.limits import CLOCK_BOUND_S
from protocol.terms.quantities import format_duration

LOOK_EVERY_S = 2.0


class ClockWatch:
    """Notices that the machine's clock was set."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        follows: Callable[[float, float], str],
        tell: Callable[[Note], None],
    ) -> None:
        """`follows` answers why to begin another life by a clock that was set by so many seconds, and stayed so
        for so many; empty if there is no reason. `name` is the host's."""
        self._name, self._clock, self._follows, self._tell = name, clock, follows, tell
        self._by_s, self._since_s = 0.0, clock.now()

    async def watch(self) -> str:
        """Waits for a reason to begin another life, and answers it."""
        while True:
            if why := self.look():
                return why
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> str:
        """Looks at the clock now. Answers why to begin another life; empty if there is no reason."""
        by_s, now = self._clock.set_by_s(), self._clock.now()
        if abs(by_s - self._by_s) > CLOCK_BOUND_S:
            self._by_s, self._since_s = by_s, now
            self._tell(Note("clock.set", self._name, _said(by_s)))
        return self._follows(self._by_s, now - self._since_s)


def _said(by_s: float) -> str:
    if abs(by_s) <= CLOCK_BOUND_S:
        return "its machine's clock is where this daemon counts it again"
    which = "forward" if by_s > 0 else "back"
    by = format_duration(abs(round(by_s)))
    return (
        f"its machine's clock was set {by} {which}; this daemon counts on, and asks its neighbours"
    )
