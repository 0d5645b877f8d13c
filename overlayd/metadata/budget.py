"""How much each guest may ask: so much at once, so much a second. A guest that floods spends only its own."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

ROWS_MOST = 4096


class Budget:
    """Token buckets, one for each key. The one not used for longest is forgotten first: it is full again."""

    def __init__(
        self, burst: float, per_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_s, self._now = burst, per_s, now
        self._rows: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> bool:
        """Whether one more is within the budget. If it is, it is spent."""
        now_s = self._now()
        left, at_s = self._rows.pop(key, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        self._rows[key] = (max(0.0, left - 1.0) if left >= 1.0 else left, now_s)
        if len(self._rows) > ROWS_MOST:
            self._rows.popitem(last=False)
        return left >= 1.0
