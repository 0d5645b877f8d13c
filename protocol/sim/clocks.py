"""Clocks of simulated hosts: each runs a little fast or slow, and now and then jumps.

What a peer calls now is Unix time that never steps back while its process runs (overlayd/adapters/clock.py).
NTP cannot step it, but a host that slept, or a machine that was stopped, finds that time has gone on. At a
start the clock is read afresh, so there a step may go either way.
"""


class Clock:
    """One host's clock as a straight line through world time, broken at jumps."""

    __slots__ = ("_ahead_s", "_rate", "_since_s")

    def __init__(self, since_s: float, ahead_s: float = 0.0, rate: float = 1.0) -> None:
        """`rate` is local seconds per second. `since_s` is the world time at which it was `ahead_s` ahead."""
        self._since_s, self._ahead_s, self._rate = since_s, ahead_s, rate

    def read(self, world_s: float) -> float:
        """What the clock shows at that world time, Unix seconds."""
        return world_s + self._ahead_s + (world_s - self._since_s) * (self._rate - 1.0)

    def when(self, local_s: float) -> float:
        """The world time at which the clock will show that."""
        shown_s = self._since_s + self._ahead_s
        return self._since_s + (local_s - shown_s) / self._rate

    def jump(self, world_s: float, seconds: float) -> None:
        """Puts the clock that much further ahead. It goes back if negative: only while nobody reads it."""
        self._ahead_s = self.read(world_s) - world_s + seconds
        self._since_s = world_s

    @property
    def rate(self) -> float:
        """Local seconds per second."""
        return self._rate
