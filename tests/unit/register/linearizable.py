"""Whether a history of operations on one object could have happened one after the other.

Wing and Gong's search (1993), which remembers where it was, as Lowe's (2017) and Porcupine do: an operation
takes effect at one moment between its beginning and its end, so whatever ended before another began goes first.
One without an end may have taken effect at any time after it began, or never.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S", bound=Hashable)
C = TypeVar("C")


class Operation(msgspec.Struct, Generic[S, C]):
    """One operation. Moments are any numbers that rise."""

    call: C
    began: int
    ended: int | None = None
    """None: nobody knows whether it took effect."""
    answer: S | None = None
    """What the object was after it, once it ended."""


def order_of(
    history: Sequence[Operation[S, C]], initial: S, after: Callable[[S, C], S]
) -> list[int] | None:
    """The places of operations in an order that explains all answers; None if there is none.

    `after` is what the object becomes by an operation.
    """
    all_ended = sum(1 << at for at, one in enumerate(history) if one.ended is not None)
    seen: set[tuple[int, S]] = set()
    path = [_Place(0, initial, _next(history, 0))]
    while path:
        here = path[-1]
        if here.done & all_ended == all_ended:
            return [place.taken for place in path[1:]]
        if not here.left:
            path.pop()
            continue
        at = here.left.pop()
        one, became = history[at], after(here.state, history[at].call)
        then = here.done | 1 << at
        if one.ended is not None:
            if one.answer != became:
                continue
            if became == here.state:
                here.left = []  # it fits here and changes nothing: if any order is right, so is one with it
        elif became == here.state:
            continue  # as if it had not happened
        if (then, became) not in seen:
            seen.add((then, became))
            path.append(_Place(then, became, _next(history, then), at))
    return None


class _Place(Generic[S]):
    """Where the search is: what has happened, what came of it, and what may be next."""

    def __init__(self, done: int, state: S, left: list[int], taken: int = -1) -> None:
        self.done, self.state, self.left, self.taken = done, state, left, taken


def _next(history: Sequence[Operation[S, C]], done: int) -> list[int]:
    """The operations that may come next: none that is left ended before they began."""
    left = [at for at in range(len(history)) if not done >> at & 1]
    ends = [end for at in left if (end := history[at].ended) is not None]
    first = min(ends, default=None)
    return [at for at in left if first is None or history[at].began <= first]
