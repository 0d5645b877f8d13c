"""A synthetic trace: batch jobs as a cluster for parallel work gets them, and reservations between them.

A *place* is room for one machine. Jobs come at random (Poisson) until they ask for `load` of all places'
time. A quarter of them asks for one place, three quarters of the rest for a power of two, evenly by
logarithm; runtimes are log-normal (Lublin, Feitelson: The Workload on Parallel Supercomputers, JPDC 2003,
whose daily cycle and whose tie between size and runtime are left out). Reservations take `reserved` of all
places' time, one after another, and are known `ahead_s` before they begin (Sotomayor, Keahey, Foster:
Combining Batch Execution and Leasing Using Virtual Machines, HPDC 2008).

Jobs follow from the seed alone, so the same jobs meet every share of reservations.
"""

import math
from random import Random

import msgspec

_SERIAL, _POWER_OF_TWO = 0.25, 0.75


class Mix(msgspec.Struct, frozen=True):
    """What a trace is drawn from."""

    seed: int = 1
    places: int = 16
    hours: float = 48.0
    """For how many hours jobs come, and there are reservations."""
    load: float = 0.75
    """What jobs ask for, as a share of all places' time."""
    job_s: float = 1800.0
    """The median runtime, in seconds."""
    job_sigma: float = 1.0
    """The standard deviation of its logarithm."""
    job_least_s: float = 300.0
    job_most_s: float = 4 * 3600.0
    reserved: float = 0.0
    """What reservations take, as a share of all places' time."""
    wide: float = 1.0
    """The share of all places that one reservation takes."""
    lasts_s: float = 2 * 3600.0
    """How long a reservation lasts on average; it is drawn evenly between half and one and a half of that."""
    ahead_s: float = 5 * 3600.0
    """How long before its start a reservation is known: longer than any job, so that none stands in its way."""


class Job(msgspec.Struct, frozen=True):
    """A batch job: so many places, all at once, for so long."""

    name: str
    at_s: float
    """When somebody asks for it, from the beginning."""
    places: int
    work_s: float


class Booking(msgspec.Struct, frozen=True):
    """A reservation: so many places from a stated time on."""

    name: str
    at_s: float
    """When somebody asks for it, from the beginning."""
    start_s: float
    places: int
    lasts_s: float


def jobs(mix: Mix) -> list[Job]:
    """The jobs of a trace, in the order in which they come."""
    dice = Random(f"jobs {mix.seed}")
    left_s = mix.load * mix.places * mix.hours * 3600.0
    drawn: list[tuple[float, int, float]] = []
    while left_s > 0:
        work_s = math.exp(dice.gauss(math.log(mix.job_s), mix.job_sigma))
        work_s = float(round(min(max(work_s, mix.job_least_s), mix.job_most_s)))
        places = _places(mix.places, dice)
        drawn.append((dice.uniform(0.0, mix.hours * 3600.0), places, work_s))
        left_s -= places * work_s
    return [Job(f"job{i}", *one) for i, one in enumerate(sorted(drawn), 1)]


def bookings(mix: Mix) -> list[Booking]:
    """The reservations of a trace, one after another, about as far apart as their lengths allow."""
    dice = Random(f"bookings {mix.seed}")
    places = max(1, round(mix.wide * mix.places))
    taken_s = mix.reserved * mix.places * mix.hours * 3600.0 / places
    lengths = [dice.uniform(0.5, 1.5) for _ in range(round(taken_s / mix.lasts_s))]
    made: list[Booking] = []
    free_s = 0.0
    between_s = (mix.hours * 3600.0 - taken_s) / max(1, len(lengths))
    for i, share in enumerate(lengths, 1):
        lasts_s = float(round(taken_s * share / sum(lengths)))
        start_s = free_s + between_s * dice.uniform(0.25, 0.75)
        free_s += between_s + lasts_s
        at_s = max(0.0, start_s - mix.ahead_s)
        made.append(Booking(f"res{i}", at_s, start_s, places, lasts_s))
    return made


def _places(most: int, dice: Random) -> int:
    if dice.random() < _SERIAL:
        return 1
    drawn = 2 ** dice.uniform(0.5, math.log2(most))
    if dice.random() < _POWER_OF_TWO:
        drawn = 2 ** round(math.log2(drawn))
    return min(most, max(1, round(drawn)))
