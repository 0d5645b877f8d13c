"""The system's clock, anchored once."""

import time


class SystemClock:
    """Wall time, read once, and then the time since boot, which also counts while the machine sleeps.

    An administrator or NTP may step the wall clock. Leases and deadlines must not jump with it. That it was
    stepped can be asked.
    """

    def __init__(self) -> None:
        self._anchor_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> float:
        """Seconds since 1970, as this process counts them."""
        return self._anchor_s + time.clock_gettime(time.CLOCK_BOOTTIME)

    def set_by_s(self) -> float:
        """How far wall time has come apart from this count, in seconds. Slewing moves both alike."""
        return time.time() - self.now()
