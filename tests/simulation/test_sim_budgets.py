"""Budgets of a simulated peer: one that keeps what it may has none exceeded, and one that keeps more has."""

from protocol.sim.budgets import STORE_BYTES_MOST, exceeded
from protocol.sim.people import grid_spec
from protocol.sim.world import World


def test_what_is_beyond_a_budget_is_said() -> None:
    world = World(4, 3, 2)
    world.start_all()
    world.run(4.0)
    first = world.peers[0]
    world.give(first, world.admins[first.site].up(grid_spec("shop"), world.now_s))
    world.run(10.0)
    for peer in world.peers:
        assert list(exceeded(peer)) == []
    first.store["odd"] = {"": bytes(STORE_BYTES_MOST + 1)}
    assert ["bytes in its store" in what for what in exceeded(first)] == [True]
    first.crash()
    assert list(exceeded(first)) == []
