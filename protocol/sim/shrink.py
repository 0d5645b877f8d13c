"""A failing run made short: the fewest seconds, then the fewest faults, that still fail.

It bisects, as if a longer run of the same seed failed whenever a shorter one does. That is not always so.
What it finds is a failing run that is short, but not proven to be the shortest. The time spent is bounded.
"""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from protocol.sim.run import play
from protocol.sim.scenario import Scenario, turned
from protocol.sim.violation import Violation

WITHIN_S = 300.0
"""How many real seconds are spent on it at most. A run that has begun is finished."""
_STEPS = 12
"""How often each of the two is halved."""

Report = Callable[[str], None]


def shrink(scenario: Scenario, broken: Violation, tell: Report) -> tuple[Scenario, Violation]:
    """A shorter scenario that fails, and how it fails. If there is none, the one that was given."""
    until_s = perf_counter() + WITHIN_S

    def attempt(candidate: Scenario) -> bool:
        nonlocal scenario, broken
        try:
            play(candidate)
        except Violation as error:
            scenario, broken = candidate, error
            return True
        return False

    passes, fails = 0.0, scenario.length_s
    for _ in range(_STEPS):
        if perf_counter() > until_s or fails - passes < 0.05:
            break
        middle = (passes + fails) / 2
        tell(f"does it fail within {middle:.2f} s?")
        if attempt(replace(scenario, stop_s=middle)):
            fails = middle
        else:
            passes = middle
    few, many = -1, broken.faults
    for _ in range(_STEPS):
        if perf_counter() > until_s or many - few < 2:
            break
        between = (few + many) // 2
        tell(f"does it fail with {between} faults?")
        if attempt(replace(scenario, plan=turned(scenario.plan, "most", between))):
            many = between
        else:
            few = between
    return scenario, broken
