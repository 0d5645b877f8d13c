"""A peer dies after every single effect of an `up`: whole grid or nothing, and no hold outlives its time."""

from collections.abc import Callable

import pytest
from sim_calm import calm_world, node_of

from protocol.grid.record import GridRecord
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.run import settle
from protocol.sim.world import World

SEED = 11
HOLDS_END_WITHIN_S = 40.0
"""Eight seconds, then a vote with one steward dead: two tries of a second, and a pause."""

Pick = Callable[[World, GridRecord], SimPeer]


def _world() -> tuple[World, SimPeer]:
    world = calm_world(SEED, 5)
    return world, world.peers[1]


def _up(world: World, requester: SimPeer) -> None:
    world.give(requester, world.admins["s1"].up(grid_spec("shop", 3), world.now_s))


def _made(world: World) -> GridRecord | None:
    for epochs in world.invariants.decided.values():
        return epochs[max(epochs)]
    return None


def _requester(world: World, record: GridRecord) -> SimPeer:
    return world.peers[1]


def _host(world: World, record: GridRecord) -> SimPeer:
    hosts = [world.by_id[host] for host in record.carriers()]
    return next(host for host in hosts if host is not world.peers[1])


def _steward(world: World, record: GridRecord) -> SimPeer:
    stewards = [world.by_id[steward] for steward in record.stewards]
    return next(steward for steward in stewards if steward is not world.peers[1])


@pytest.mark.parametrize("pick", [_requester, _host, _steward])
def test_death_after_every_effect(pick: Pick) -> None:
    world, requester = _world()
    _up(world, requester)
    world.run(5.0)
    dry = _made(world)
    assert dry is not None, "without a death it does not work either"
    name = pick(world, dry).name
    ends = {"whole": 0, "nothing": 0}
    for after in range(1, 2000):
        world, requester = _world()
        victim = next(peer for peer in world.peers if peer.name == name)
        victim.fuse = after
        _up(world, requester)
        if not world.run_until(lambda v=victim: not v.up, 3.0):
            break
        _holds_end_without(world, victim)
        victim.start()
        settle(world)
        ends["whole" if _made(world) else "nothing"] += 1
    else:
        pytest.fail("the up never outlived the fuse")
    assert ends["whole"] > 5, ends
    assert pick is not _requester or ends["nothing"] > 5, ends


def _holds_end_without(world: World, victim: SimPeer) -> None:
    others = [peer for peer in world.peers if peer is not victim]
    over = world.run_until(
        lambda: all(len(node_of(peer).host.holds) == 0 for peer in others), HOLDS_END_WITHIN_S
    )
    holders = [peer.name for peer in others if len(node_of(peer).host.holds)]
    assert over, f"{holders} still hold after the death of {victim.name}"
