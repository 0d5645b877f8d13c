"""Elastic grids of simulated people are such as a file may have."""

from protocol.grid.check import problems
from protocol.sim.elastics import elastic
from protocol.sim.run import play
from protocol.sim.scenario import Scenario


def test_they_are_sensible_and_a_scenario_says_how_many() -> None:
    assert problems(elastic("work", 1, 4)) == ()
    scenario = Scenario(3, 3, 2, 60.0, elastic=1)
    assert "--elastic 1" in scenario.command()
    assert play(scenario).world.invariants.untouched.by_room >= 0
