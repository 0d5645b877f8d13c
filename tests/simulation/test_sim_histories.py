"""What peers were told of registers in whole worlds, with faults and with liars, has an order."""

import msgspec
import pytest
from histories import recorded

from protocol.sim.faults import MANY, NONE, SOME
from protocol.sim.run import play
from protocol.sim.scenario import Scenario
from protocol.terms.ids import GridId

WORLDS = [
    Scenario(seed, 5, 3, 20.0, grids=8, plan=msgspec.structs.replace(plan, liars=liars))
    for seed, plan, liars in ((5000, MANY, 0), (5001, SOME, 0), (5002, NONE, 1), (5003, SOME, 1))
]


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world.plan.name}-{world.plan.liars}")
def test_every_register_of_a_world_has_one_history(world: Scenario) -> None:
    with recorded() as histories:
        is_honest = play(world).world.invariants.is_honest
        histories.check(lambda register: is_honest(GridId(register)))
        assert histories.answered > 8
