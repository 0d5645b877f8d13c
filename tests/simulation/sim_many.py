"""Many worlds that must all hold."""

import os

from protocol.sim.many import Look, Result, play_many
from protocol.sim.scenario import Scenario


def played(scenarios: list[Scenario], look: Look) -> list[Result]:
    """All results. The story of the first that does not hold is the failure."""
    results = []
    # Where tests themselves run on all cores, each has one.
    jobs = 1 if "PYTEST_XDIST_WORKER" in os.environ else None
    for result in play_many(scenarios, jobs, look=look):
        assert not result.broken, f"{result.broken}\n\n{result.scenario.command()}"
        results.append(result)
    assert len(results) == len(scenarios)
    return results
