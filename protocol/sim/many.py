"""Many worlds, on all cores: each seed by itself, results as they come. The first that breaks ends it."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import msgspec

from protocol.sim.run import Outcome, play
from protocol.sim.scenario import Scenario
from protocol.sim.violation import Violation


class Result(msgspec.Struct):
    """What is left of a world when it is over. It is small enough to be sent between processes."""

    scenario: Scenario
    took_s: float
    broken: str = ""
    """What did not hold; empty if everything did."""
    digest: str = ""
    steps: int = 0
    faults: dict[str, int] = {}
    false_deaths: int = 0
    more: Any = None
    """What `look` made of the outcome."""


Look = Callable[[Outcome], Any]
"""Takes figures from an outcome, in the process that has it. It must be importable by name."""


def cores() -> int:
    """How many processes may run at once here."""
    return len(os.sched_getaffinity(0))


def play_one(scenario: Scenario, look: Look | None = None) -> Result:
    """One world, to its end."""
    began_s = perf_counter()
    try:
        outcome = play(scenario)
    except Violation as broken:
        return Result(scenario, perf_counter() - began_s, str(broken))
    world = outcome.world
    return Result(
        scenario=scenario,
        took_s=perf_counter() - began_s,
        digest=world.trace.digest,
        steps=world.steps,
        faults=dict(world.faults_done),
        false_deaths=len(world.meter.false_deaths),
        more=look(outcome) if look is not None else None,
    )


def play_many(
    scenarios: Iterable[Scenario], jobs: int | None = None, look: Look | None = None
) -> Iterator[Result]:
    """Results in the order in which they come. After a broken one no other world is begun."""
    jobs = jobs or cores()
    if jobs == 1:
        for scenario in scenarios:
            result = play_one(scenario, look)
            yield result
            if result.broken:
                return
        return
    rest = iter(scenarios)
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        running: set[Future[Result]] = {
            pool.submit(play_one, scenario, look) for scenario in islice(rest, 2 * jobs)
        }
        broken = False
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                broken = broken or bool(result.broken)
                yield result
            if broken:
                running = {future for future in running if not future.cancel()}
            else:
                more = islice(rest, len(done))
                running |= {pool.submit(play_one, scenario, look) for scenario in more}
