"""How often each network had to be mended, and when it may be mended again.

An administrator's slip is mended at once. If something on the host undoes our work again and again, another
manager of networks for example, mending it each time would be a fight that nobody wins and everybody pays.
Then each next look waits longer, and this is said, first at once and later ever more seldom.
"""

from dataclasses import dataclass

AT_ONCE = 3
"""So many mends in a row need no pause."""
PAUSES_S = (2.0, 5.0, 10.0, 20.0, 30.0)
CALM_S = 120.0
"""So long after a mend the next one counts as the first."""


@dataclass
class _Row:
    count: int
    first_s: float
    last_s: float


class Mends:
    """What is remembered of the networks this daemon mended."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def mended(self, network: str, now_s: float) -> tuple[int, float]:
        """It has been mended now: (which time in a row, seconds until it may be mended again)."""
        row = self._rows.get(network)
        if row is None or now_s >= row.last_s + CALM_S:
            row = self._rows[network] = _Row(0, now_s, now_s)
        row.count, row.last_s = row.count + 1, now_s
        return row.count, _pause_s(row.count)

    def rests_s(self, network: str, now_s: float) -> float:
        """Seconds until it may be mended; 0 if it may be at once."""
        row = self._rows.get(network)
        if row is None:
            return 0.0
        return max(0.0, row.last_s + _pause_s(row.count) - now_s)

    def since_s(self, network: str, now_s: float) -> float:
        """Seconds since the first of the mends in a row."""
        return now_s - self._rows[network].first_s

    def forget(self, network: str) -> None:
        """It is not wanted here any more."""
        self._rows.pop(network, None)


def is_told(count: int) -> bool:
    """Whether the mend that is the `count`th in a row is told: the first few are, and then ever fewer."""
    return count <= AT_ONCE + 1 or count & (count - 1) == 0


def _pause_s(count: int) -> float:
    return PAUSES_S[min(count - AT_ONCE, len(PAUSES_S)) - 1] if count > AT_ONCE else 0.0
