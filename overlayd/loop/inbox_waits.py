"""How long events wait in the inbox, as far as it can be told for next to nothing.

One event at a time is watched: the first that comes in while none is. So idle peers watch each event, and busy
ones as many as follow each other. What was seen within WINDOW_S is kept.
"""

import time
from collections import deque

WINDOW_S = 30.0
_KEPT = 8192
_QUANTILES = ("0.5", "0.99", "1")


class Waits:
    """The waits of the events that were watched."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._watched: object = None
        self._since_s = 0.0

    def came(self, event: object) -> None:
        """An event came in."""
        if self._watched is None:
            self._watched, self._since_s = event, time.monotonic()

    def went(self, event: object) -> None:
        """An event left, to be handled or to be dropped."""
        if event is self._watched:
            now_s = time.monotonic()
            self._watched = None
            self._seen.append((now_s, now_s - self._since_s))

    def quantiles_s(self) -> dict[str, float]:
        """By quantile, as `0.99`, the wait in seconds that so many did not exceed; 0 if none was seen."""
        since_s = time.monotonic() - WINDOW_S
        waits = sorted(wait_s for at_s, wait_s in self._seen if at_s >= since_s) or [0.0]
        last = len(waits) - 1
        return {name: waits[min(last, int(float(name) * len(waits)))] for name in _QUANTILES}
