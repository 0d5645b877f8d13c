"""People who have elastic grids, and others whose reservations need the room of these."""

from functools import partial
from random import Random

import msgspec

from protocol.grid.model import GridSpec, LeaseTerms
from protocol.sim.people import MIB, grid_spec
from protocol.sim.world import World

_EARLY = 0.3
"""Elastic grids are asked for in the first share of the time, so that they have time to change."""
_EXAM_S = 20
_SOON_S = (40.0, 120.0)
"""How long before its start a reservation is asked for."""


class Elastics:
    """Asks for so many elastic grids within some time, each larger than there may be room for, and for as many
    reservations."""

    def __init__(self, world: World, grids: int, within_s: float, dice: Random) -> None:
        self._world, self._dice = world, dice
        self._gone = False
        for number in range(grids):
            world.after(dice.uniform(0.0, _EARLY) * within_s, partial(self._up, number))
            world.after(dice.uniform(_EARLY, 0.8) * within_s, partial(self._reserve, number))

    def end(self) -> None:
        """Everybody goes home, and nothing more is asked."""
        self._gone = True

    def _up(self, number: int) -> None:
        dice = self._dice
        least = dice.randint(1, 2)
        cpus_milli = dice.choice((1000, 2000, 3000))
        self._give(elastic(f"elastic-{number}", least, least + dice.randint(4, 12), cpus_milli))

    def _reserve(self, number: int) -> None:
        start_s = self._world.now_s + self._dice.uniform(*_SOON_S)
        lease = LeaseTerms(start_s=start_s, grace_s=0)
        count, cpus_milli = self._dice.randint(1, 4), self._dice.choice((2000, 4000))
        name = f"exam-{number}"
        self._give(grid_spec(name, count, cpus_milli=cpus_milli, lease_s=_EXAM_S, lease=lease))

    def _give(self, spec: GridSpec) -> None:
        up = [peer for peer in self._world.peers if peer.up]
        if not up or self._gone:
            return
        admin = self._world.admins[self._dice.choice(list(self._world.admins))]
        self._world.give(self._dice.choice(up), admin.up(spec, self._world.now_s))


def elastic(name: str, least: int, count: int, cpus_milli: int = 1000) -> GridSpec:
    """A grid of one elastic cluster."""
    lease = LeaseTerms(best_effort=True)
    spec = grid_spec(name, count, cpus_milli=cpus_milli, memory_bytes=512 * MIB, lease=lease)
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, minimum=least, elastic=True)
    return msgspec.structs.replace(spec, clusters=(cluster,))
