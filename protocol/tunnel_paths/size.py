"""One partner: the largest packet of guests that gets there, found by probes of that size, and followed.

It is a search between what gets there and what does not. Each round sends some sizes at once, and the least
probe beside them: only if that one is answered, a size that is not counts as one that failed, TRIES times in
all. So neither a lost probe nor a path that is down makes a path narrow, and nothing depends on ICMP.

First the most that is asked for is tried, which nearly always gets there: then that is all, but for a probe of
that size now and then. When it does not, or no longer does, what every path is to carry (LEAST_BYTES) counts at
once, and the search goes up from there: by sizes that are common, then by parts, to GRAIN_BYTES.
"""

from protocol.tunnel_paths.limits import (
    AGAIN_S,
    COMMON_BYTES,
    CONFIRM_S,
    GRAIN_BYTES,
    LEAST_BYTES,
    RAISE_S,
    TRIES,
)

REFERENCE = 0
"""The size of the least probe."""
_PARTS = 4
"""A range without common sizes is cut into as many."""


class Size:
    """The search of one path. Sizes are bytes of a guest's packet."""

    def __init__(self, most: int, due_s: float) -> None:
        """`most`: more is not asked for. `due_s`: when the first round is due."""
        self.due_s = due_s
        self.takes = 0
        """What gets there, as far as is known now; 0 if nothing is known not to."""
        self.settled = 0
        """The same, as it was when the search last came to its end."""
        self._most = most
        self._good, self._bad = min(LEAST_BYTES, most), most + 1
        """What gets there, and what does not. Above the first nothing is known to, below the second not to."""
        self._is_proven, self._is_fresh, self._is_hopeless = False, True, False
        """Whether the good one was answered; whether only the most was tried; whether nothing gets there."""
        self._round: dict[int, int] = {}
        """Sizes of the round that is under way, by the numbers of the probes."""
        self._answered: dict[int, None] = {}
        self._failed: dict[int, int] = {}
        """How often each size was not answered."""
        self._raise_s = due_s + RAISE_S
        """When to look whether more gets there by now."""

    @property
    def is_settled(self) -> bool:
        """Whether the search has come to its end."""
        return self._is_proven and self._bad - self._good <= GRAIN_BYTES

    def ask_for(self, most: int, now: float) -> None:
        """No more than that is asked for from now on."""
        if most < self._most:
            self._most = most
            self._good, self._bad = min(self._good, most), min(self._bad, most + 1)
            self.takes = 0 if self.takes >= most else self.takes
            self.settled = 0 if self.settled >= most else self.settled
        elif most > self._most:
            self._most = most
            self.search_up(now)

    def search_up(self, now: float) -> None:
        """More may get there than was found, or the path leads elsewhere by now."""
        self._bad, self.due_s, self._raise_s = self._most + 1, now, now + RAISE_S
        self._failed.clear()

    def probes(self, first: int, now: float) -> dict[int, int]:
        """Another round: sizes by the numbers of their probes, from `first` on. It ends the one before."""
        self._close()
        if self.is_settled:
            self.settled = self.takes
            if self._good < self._most and now >= self._raise_s:
                self.search_up(now)
        sizes = sorted({REFERENCE, self._good, *self._next()})
        self._round, self._answered = dict(enumerate(sizes, first)), {}
        self.due_s = now + (CONFIRM_S if self._is_hopeless else AGAIN_S)
        return self._round

    def answer(self, number: int, now: float) -> None:
        """A probe of that number was answered. One of an earlier round does not count."""
        size = self._round.get(number, REFERENCE)
        if number in self._round:
            self._answered[size] = None
            self._failed.pop(size, None)
        if size >= self._good and size != REFERENCE:
            self._good, self._bad = size, max(self._bad, size + 1)
            self._is_proven, self._is_hopeless = True, False
            if self.takes:
                self.takes = 0 if size == self._most else max(self.takes, size)
        if self.is_settled and len(self._answered) == len(self._round):
            self.due_s = now + CONFIRM_S

    def check(self) -> None:
        """What gets there is less than what does not, and no more than is asked for."""
        assert self._good < self._bad <= self._most + 1, (self._good, self._bad, self._most)
        assert self.takes < self._most, (self.takes, self._most)

    # -- parts

    def _next(self) -> list[int]:
        """The sizes that tell most now, beside the good one."""
        if self.is_settled:
            return []
        if self._is_fresh:
            return [self._most]
        between = range(self._good + 1, self._bad)
        common = [size for size in (*COMMON_BYTES, self._most) if size in between]
        parts = (self._good + (self._bad - self._good) * n // _PARTS for n in range(1, _PARTS))
        return common or [size for size in parts if size in between]

    def _close(self) -> None:
        """The round is over. What was not answered though the least probe was has failed once more."""
        if REFERENCE not in self._answered:
            return
        for size in self._round.values():
            if size not in self._answered:
                self._failed[size] = self._failed.get(size, 0) + 1
        for size in [size for size, times in self._failed.items() if times >= TRIES]:
            self._give_up(size)

    def _give_up(self, size: int) -> None:
        self._is_fresh = False
        self._failed.pop(size, None)
        if size > self._good:
            self._bad = min(self._bad, size)
            self.takes = self.takes or self._good
        elif self._good > LEAST_BYTES:
            self._good, self._bad, self._is_proven = LEAST_BYTES, self._most + 1, False
            self.takes = LEAST_BYTES
            self._failed.clear()
        else:
            # Less than any path is to carry: then it goes in fragments.
            self._bad, self._is_proven, self._is_hopeless = self._good + 1, True, True
            self.takes = self._good if self._good < self._most else 0
