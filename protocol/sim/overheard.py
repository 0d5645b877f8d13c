"""What peers said to each other about grids: a liar may know all of it, though a real one would not."""

from collections import deque
from random import Random
from typing import TypeVar

from protocol.node.messages import FAMILIES, Message

_KEPT = 24
_QUIET = ("broadcast", "comparison", "hello", "membership")
"""Families that liars have lies of their own for."""

M = TypeVar("M")


class Overheard:
    """The last messages of each type."""

    def __init__(self) -> None:
        self._said: dict[type, deque[Message]] = {}

    def hear(self, message: Message) -> None:
        """Somebody said that to somebody."""
        kind = type(message)
        if FAMILIES[kind] not in _QUIET:
            self._said.setdefault(kind, deque(maxlen=_KEPT)).append(message)

    def any(self, dice: Random) -> Message | None:
        """One of any type, each type as likely as any other; None if nothing was said yet."""
        if not self._said:
            return None
        return dice.choice(self._said[dice.choice(list(self._said))])

    def one(self, kind: type[M], dice: Random) -> M | None:
        """One of that type."""
        said = self._said.get(kind)
        one = dice.choice(said) if said else None
        return one if isinstance(one, kind) else None
