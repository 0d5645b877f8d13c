"""A host of few is to be stopped for good: whether another takes its seats while `overlayctl leave` waits."""

import msgspec
from sim_calm import answer, calm_world, node_of

from overlayd.cli.leaving import WAIT_S
from protocol.grid.model import PlacementSpec, Spread
from protocol.node.events import Leaving
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.world import World


def made(hosts: int) -> tuple[World, list[SimPeer]]:
    """A federation of so few hosts, with a grid at two of its sites; and the grid's stewards."""
    world = calm_world(9, hosts)
    asked = world.peers[0]
    rules = PlacementSpec(spread=Spread.SITE)
    spec = msgspec.structs.replace(grid_spec("own", 3, lease_s=864_000), placement=rules)
    up = answer(world, asked, world.give(asked, world.admins[asked.site].up(spec, world.now_s)))
    assert up.state == "done", up.answer
    world.run(5.0)
    (record,) = newest_records(world)
    return world, [world.by_id[peer] for peer in record.stewards]


def test_the_fourth_host_takes_the_seat_of_one_that_leaves_while_its_person_waits() -> None:
    world, stewards = made(4)
    leaves = stewards[-1]
    (fourth,) = [peer for peer in world.peers if peer not in stewards]
    leaves.feed(Leaving(True))
    assert node_of(leaves).registers.seats == 1
    assert world.run_until(lambda: not node_of(leaves).registers.seats, WAIT_S)
    assert world.run_until(lambda: node_of(fourth).registers.seats == 1, 10.0)


def test_of_three_nobody_takes_it_in_that_time_and_a_fourth_that_joins_later_does() -> None:
    world, stewards = made(4)
    (fourth,) = [peer for peer in world.peers if peer not in stewards]
    fourth.crash()
    world.run(20.0)
    leaves = stewards[0]
    leaves.feed(Leaving(True))
    assert not world.run_until(lambda: not node_of(leaves).registers.seats, WAIT_S)
    fourth.start()
    assert world.run_until(lambda: not node_of(leaves).registers.seats, WAIT_S)
    assert all(node_of(peer).registers.seats == 1 for peer in (*stewards[1:], fourth))
