"""Virtual time: what is to happen, ordered by (time, sequence number), so that the same run is the same run."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Timeline:
    """An event heap, and the moment that it has come to."""

    def __init__(self, start_s: float) -> None:
        self.start_s = self.now_s = start_s
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._sequence = 0

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the beginning."""
        return self.now_s - self.start_s

    def at(self, at_s: float, action: Callable[..., object], *arguments: object) -> None:
        """Calls `action` at that world time."""
        self._sequence += 1
        if at_s < self.now_s:
            at_s = self.now_s
        heappush(self._heap, (at_s, self._sequence, action, arguments))

    def after(self, delay_s: float, action: Callable[..., object], *arguments: object) -> None:
        """Calls `action` after that many seconds."""
        self.at(self.now_s + delay_s, action, *arguments)

    def run(self, seconds: float) -> None:
        """Lets virtual time pass."""
        heap, end_s = self._heap, self.now_s + seconds
        while heap and heap[0][0] <= end_s:
            self.now_s, _, action, arguments = heappop(heap)
            action(*arguments)
        self.now_s = end_s
