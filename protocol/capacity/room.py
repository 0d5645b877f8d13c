"""Room over time: how much is free from when on, as a step function, and the questions asked of it.

The host asks its own timetable, the requester the steps that a quote or an advert brought: the same
functions on both sides. On the wire a step's time is a duration from when it was said, so it does not
matter that clocks differ.

Sources: the profile of a conservative backfilling scheduler (Mu'alem, Feitelson: Utilization,
Predictability, Workloads, and User Runtime Estimates in Scheduling the IBM SP2 with Backfilling, TPDS 2001)
and Haizea's slot table (Sotomayor, Keahey, Foster 2008). What we change: three components are counted at
once, and disk is kept after the run has ended.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.terms.ranges import Moment

FOREVER = float("inf")


class Step(msgspec.Struct, frozen=True, array_like=True):
    """So much is free from `in_s` seconds after the step was said, until the next step."""

    in_s: Moment
    free: Quantum


def sayable(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The same without single ports: of these nobody is told when they get free."""
    return tuple(Step(step.in_s, step.free.sayable()) for step in steps)


class Room:
    """Free room at every instant. `at_s` (Unix seconds) ascends from minus infinity; `free` is as long."""

    def __init__(self, at_s: list[float], free: list[Quantum]) -> None:
        self.at_s, self.free = at_s, free

    @classmethod
    def heard(cls, steps: Sequence[Step], said_s: float) -> "Room":
        """The room that `steps` from the wire tell. They were said at `said_s` by this peer's clock.

        Raises ValueError if they make no sense.
        """
        at_s = [said_s + step.in_s for step in steps]
        if not steps or any(b <= a for a, b in pairwise(at_s)):
            raise ValueError("steps of room that do not ascend")
        return cls([-FOREVER, *at_s[1:]], [step.free for step in steps])

    def at(self, at_s: float) -> Quantum:
        """What is free at that instant."""
        return self.free[bisect_right(self.at_s, at_s) - 1]

    def over(self, start_s: float, end_s: float) -> Quantum:
        """What is free at every instant from start to end (which is not part of it)."""
        first = bisect_right(self.at_s, start_s) - 1
        least = self.free[first]
        for i in range(first + 1, len(self.at_s)):
            if self.at_s[i] >= end_s:
                break
            least = least.least(self.free[i])
        return least

    def for_lease(self, start_s: float, end_s: float, kept_until_s: float) -> Quantum:
        """What a lease can have: cpus, memory and rate while it runs, disk until its state is deleted."""
        runs = self.over(start_s, end_s)
        kept = self.over(start_s, max(end_s, kept_until_s))
        return msgspec.structs.replace(runs, disk_bytes=kept.disk_bytes)

    def earliest(
        self,
        quantum: Quantum,
        duration_s: float,
        after_s: float,
        before_s: float = FOREVER,
        keep_s: float = 0.0,
    ) -> float | None:
        """The first start, from `after_s` on, at which a quantum fits until its end, and its disk for
        `keep_s` more. It must end by `before_s`. None if there is no such start."""
        start_s: float | None = after_s
        while start_s is not None and start_s + duration_s <= before_s:
            runs_s = self._first(quantum, duration_s, start_s)
            if runs_s is None:
                return None
            start_s = self._first(quantum.kept, duration_s + keep_s, runs_s)
            if start_s == runs_s:
                return start_s if start_s + duration_s <= before_s else None
        return None

    def until(self, quantum: Quantum, from_s: float) -> float:
        """The first moment from `from_s` on at which a quantum does not fit; FOREVER if it always does."""
        for i in range(bisect_right(self.at_s, from_s) - 1, len(self.at_s)):
            if not quantum.fits(self.free[i]):
                return max(from_s, self.at_s[i])
        return FOREVER

    def steps(self, now: float, most: int) -> tuple[Step, ...]:
        """The steps for the wire, from now on. What is beyond `most` steps is said as the least of it all."""
        first = bisect_right(self.at_s, now) - 1
        at_s = [now, *self.at_s[first + 1 :]]
        free = self.free[first:]
        if len(free) > most:
            for rest in free[most:]:
                free[most - 1] = free[most - 1].least(rest)
        said = [Step(a - now, f) for a, f in zip(at_s, free, strict=True)][:most]
        return tuple(step for i, step in enumerate(said) if i == 0 or step.free != said[i - 1].free)

    def _first(self, quantum: Quantum, duration_s: float, after_s: float) -> float | None:
        start_s = after_s
        for i in range(bisect_right(self.at_s, after_s) - 1, len(self.at_s)):
            if self.at_s[i] >= start_s + duration_s and self.at_s[i] > start_s:
                break
            if not quantum.fits(self.free[i]):
                if i + 1 == len(self.at_s):
                    return None
                start_s = self.at_s[i + 1]
        return start_s
