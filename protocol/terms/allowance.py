"""How often each may ask: so much at once, and so much a second after that. Who floods spends only its own."""

from collections import OrderedDict
from collections.abc import Hashable


class Allowance:
    """Token buckets, one for each key. The one not used for longest is forgotten first: it is full again."""

    def __init__(self, burst: float, per_s: float, most: int) -> None:
        """`most` is how many keys are remembered."""
        self._burst, self._per_s, self._most = burst, per_s, most
        self._rows: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """For each key, what is left, and when that was so."""

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, key: Hashable, now: float) -> bool:
        """Whether one more is allowed at that time, in seconds. If it is, it is spent."""
        left, at_s = self._rows.pop(key, (self._burst, now))
        left = min(self._burst, left + max(0.0, now - at_s) * self._per_s)
        self._rows[key] = (left - 1.0 if left >= 1.0 else left, now)
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return left >= 1.0
