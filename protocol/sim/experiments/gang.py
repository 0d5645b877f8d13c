"""One request of a market, and the dice of those that do not draw lots."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

import msgspec

from protocol.requesting.request import StoryLine

T = TypeVar("T")


class BestFit:
    """Dice for requests that always take the very best host, as all others do. Only pauses are still drawn."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def random(self) -> float:
        """0, which is the first of any lot."""
        return 0.0

    def uniform(self, a: float, b: float) -> float:
        """Drawn."""
        return self._dice.uniform(a, b)

    def choice(self, seq: Sequence[T]) -> T:
        """The first."""
        return seq[0]

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """The first."""
        return list(population[:k])

    def getrandbits(self, k: int, /) -> int:
        """Drawn."""
        return self._dice.getrandbits(k)


class GangRequest(msgspec.Struct):
    """One request and what became of it."""

    name: str
    size: int
    asked_s: float
    committed_s: float = 0.0
    """When it was committed; 0 if it was not (yet)."""
    crashed: bool = False
    answer: tuple[str, ...] = ()
    """Why it was not, once that is said."""
    story: tuple[StoryLine, ...] = ()

    @property
    def at_once(self) -> bool:
        """Whether it was committed, and no host had refused a hold."""
        rounds = sum(line.text.startswith("round ") for line in self.story)
        return self.committed_s > 0 and rounds == 1
