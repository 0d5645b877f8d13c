"""What Haizea's experiment costs a scheduler that has no cost of its own, so what is due to the trace alone.

There is one queue and one machine with so many places, and there are no hosts and no messages; nothing boots
or is saved. Reservations take all places. So with suspension the machine stands still meanwhile, and without
it a job starts only if it is over before the next reservation that is known. When there is room, these jobs
start:

    greedy      whatever fits, the oldest first
    easy        the same, without jobs that would delay the oldest that waits: EASY backfilling (Lifka, "The
                ANL/IBM SP scheduling system", 1995)

`--ideal` of `scripts/bench haizea` prints the slowdown by length of trace.
"""

import statistics
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain

import msgspec
from rich.console import Console
from rich.table import Table

from protocol.sim.experiments.workload import Booking, Job, Mix, bookings, jobs

_NEVER = float("inf")
POLICIES = ("greedy", "easy")


class Machine:
    """A machine with so many places, the jobs that run on them, and the jobs that wait."""

    def __init__(self, places: int, easy: bool, booked: list[Booking]) -> None:
        """`booked` has reservations of all places, before which jobs must be over."""
        self._free, self._easy, self._booked = places, easy, booked
        self._running: list[tuple[float, int]] = []
        """The end of each running job, and its places."""
        self._waiting: list[Job] = []
        self.last_s = 0.0
        """When the last job ended."""

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not (self._running or self._waiting)

    def next_s(self) -> float:
        """When something next happens by itself."""
        ends = [self._running[0][0]] if self._running else []
        return min(chain(ends, (b.start_s + b.lasts_s for b in self._booked)), default=_NEVER)

    def at(self, now: float, come: list[Job]) -> None:
        """Has jobs end, come and start at this time."""
        while self._running and self._running[0][0] <= now:
            self.last_s, places = heappop(self._running)
            self._free += places
        self._waiting += come
        self._booked = [b for b in self._booked if b.start_s + b.lasts_s > now]
        left: list[Job] = []
        before_s, spare = _NEVER, 0
        until_s = self._until_s(now)
        for job in self._waiting:
            ends_s = now + job.work_s
            waits = ends_s > before_s and job.places > spare
            if waits or job.places > self._free or ends_s > until_s:
                if self._easy and not left:
                    before_s, spare = self._shadow(job)
                left.append(job)
                continue
            if ends_s > before_s:
                spare -= job.places
            self._free -= job.places
            heappush(self._running, (ends_s, job.places))
        self._waiting = left

    def _until_s(self, now: float) -> float:
        """When the next reservation begins of those that are known; now if one has begun."""
        starts = (b.start_s for b in self._booked if b.at_s <= now < b.start_s + b.lasts_s)
        return max(now, min(starts, default=_NEVER))

    def _shadow(self, job: Job) -> tuple[float, int]:
        """When the oldest job can start, as far as running jobs go, and how many places are left then."""
        free = self._free
        for ends_s, places in sorted(self._running):
            free += places
            if free >= job.places:
                return ends_s, free - job.places
        return _NEVER, 0


def all_done_s(mix: Mix, policy: str, suspends: bool) -> float:
    """When the last job of the trace is done, in seconds."""
    booked, come = bookings(mix), deque(jobs(mix))
    if suspends:
        come = deque(msgspec.structs.replace(j, at_s=_worked(j.at_s, booked)) for j in come)
    machine = Machine(mix.places, policy == "easy", [] if suspends else booked)
    now = 0.0
    while come or not machine.idle:
        now = min(machine.next_s(), come[0].at_s if come else _NEVER)
        here: list[Job] = []
        while come and come[0].at_s <= now:
            here.append(come.popleft())
        machine.at(now, here)
    done_s = machine.last_s
    for booking in booked if suspends else ():
        done_s += booking.lasts_s if booking.start_s <= done_s else 0.0
    return done_s


def _worked(at_s: float, booked: list[Booking]) -> float:
    """How many seconds of the time until then nothing was reserved."""
    return at_s - sum(max(0.0, min(at_s, b.start_s + b.lasts_s) - b.start_s) for b in booked)


def slowdowns(mix: Mix, seeds: range, policy: str, suspends: bool) -> Iterator[float]:
    """The slowdown of each seed, in per cent."""
    for seed in seeds:
        one = msgspec.structs.replace(mix, seed=seed)
        plain = msgspec.structs.replace(one, reserved=0.0)
        yield 100 * (all_done_s(one, policy, suspends) / all_done_s(plain, policy, True) - 1)


def show(mix: Mix, shares: list[float], hours: list[float], seeds: range) -> None:
    """Prints the table: mean and range over the seeds."""
    table = Table(title=f"slowdown with an ideal scheduler, %, {len(seeds)} seeds: mean, range")
    for column in ("hours", "reserved", "suspends", *POLICIES):
        table.add_column(column, justify="right")
    for long_h in hours:
        for share in shares:
            for suspends in (False, True):
                one = msgspec.structs.replace(mix, hours=long_h, reserved=share)
                found = [list(slowdowns(one, seeds, policy, suspends)) for policy in POLICIES]
                cells = (
                    f"{statistics.fmean(f):+.1f}, {min(f):+.1f} to {max(f):+.1f}" for f in found
                )
                reserved, how = f"{100 * share:.0f} %", "yes" if suspends else "no"
                table.add_row(f"{long_h:g}", reserved, how, *cells)
    Console(width=130).print(table)
