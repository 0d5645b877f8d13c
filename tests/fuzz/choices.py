"""Choices out of bytes. What makes the bytes (Hypothesis, libFuzzer) steers what happens, and can shrink it."""

from collections.abc import Sequence
from typing import TypeVar

from protocol.grid.grant import SignedGrant

T = TypeVar("T")


class Choices:
    """Consumes bytes. When none are left, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self.granted: list[SignedGrant] = []
        """What the fuzzed peer has granted so far."""

    @property
    def over(self) -> bool:
        """Whether everything is consumed."""
        return self._at >= len(self._data)

    def byte(self) -> int:
        """0 to 255."""
        if self.over:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, bound: int) -> int:
        """0 to bound - 1."""
        return self.byte() % bound if bound <= 256 else (self.byte() << 8 | self.byte()) % bound

    def one(self, of: Sequence[T]) -> T:
        """One of several."""
        return of[self.below(len(of))]

    def take(self, most: int) -> bytes:
        """Some of the bytes themselves."""
        size = self.below(most + 1)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken
