"""Orders that were seen, so that none is carried out twice.

An order is fresh for ten minutes at most, so it is enough to remember each until then. The memory is
bounded. When it is full of orders that are still fresh, new ones are refused rather than old ones forgotten.
"""

from heapq import heappop, heappush

from protocol.trust.order import CheckedOrder
from protocol.trust.signing import Reason, Untrusted

MAX_REMEMBERED = 20_000
"""Thirty orders a second for ten minutes, about 4 MiB."""


class SeenOrders:
    """Ids of orders until they are no longer fresh. `dump` and `load` carry it over a restart."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._until_s: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._until_s

    def __len__(self) -> int:
        return len(self._until_s)

    def admit(self, checked: CheckedOrder, now_s: float) -> None:
        """Remembers it. Raises Untrusted(replayed) if it was seen, Untrusted(overloaded) if full."""
        self.forget_stale(now_s)
        if checked.id in self._until_s:
            raise Untrusted(Reason.REPLAYED, f"order {checked.id[:20]} was carried out already")
        if len(self._until_s) >= self._limit:
            wait_s = self._queue[0][0] - now_s
            raise Untrusted(
                Reason.OVERLOADED, f"{self._limit} orders in ten minutes; try in {wait_s:.0f} s"
            )
        self._add(checked.id, checked.fresh_until_s)

    def forget_stale(self, now_s: float) -> None:
        """Drops what can no longer be fresh."""
        while self._queue and self._queue[0][0] < now_s:
            del self._until_s[heappop(self._queue)[1]]

    def dump(self) -> tuple[tuple[str, float], ...]:
        """(id, fresh until) pairs, in order of time."""
        return tuple((order_id, until_s) for until_s, order_id in sorted(self._queue))

    @classmethod
    def load(
        cls, pairs: tuple[tuple[str, float], ...], limit: int = MAX_REMEMBERED
    ) -> "SeenOrders":
        """From what `dump` gave. Of more than `limit`, those that stay fresh longest are kept."""
        seen = cls(limit)
        for order_id, until_s in sorted(pairs, key=lambda pair: pair[1])[-limit:]:
            if order_id not in seen:
                seen._add(order_id, until_s)
        return seen

    def check(self) -> None:
        """Asserts its invariants."""
        assert len(self._queue) == len(self._until_s) <= self._limit
        assert all(self._until_s[order_id] == until_s for until_s, order_id in self._queue)

    def _add(self, order_id: str, until_s: float) -> None:
        self._until_s[order_id] = until_s
        heappush(self._queue, (until_s, order_id))
