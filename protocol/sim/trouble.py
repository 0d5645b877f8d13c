"""Whatever can go wrong, at random, for a while: deaths between two effects, cuts, stores that are full."""

from random import Random
from typing import TYPE_CHECKING

from protocol.sim.faults import FaultPlan

if TYPE_CHECKING:
    from protocol.sim.peer import SimPeer
    from protocol.sim.world import World

_FUSE_MOST = 12
_AWAY_S = (0.3, 15.0)
_CUT_S = (0.5, 25.0)
_FULL_S = (0.5, 8.0)


class Trouble:
    """Breaks things by a plan until it is told that it is over."""

    def __init__(self, world: "World", plan: FaultPlan, dice: Random) -> None:
        self._world, self._plan, self._dice = world, plan, dice
        self._over = False
        self._is_cut = False

    def begin(self) -> None:
        """From now on."""
        self._every(self._plan.crash_every_s, self._crash)
        self._every(self._plan.cut_every_s, self._cut)
        self._every(self._plan.full_every_s, self._fill)

    def end(self) -> None:
        """Everything is mended, everybody is started again."""
        self._over = True
        self._heal()
        for peer in self._world.peers:
            peer.store_full, peer.fuse = False, None
            if not peer.up:
                peer.start()
        self._world.calm_since_s = self._world.now_s

    def _every(self, mean_s: float, what: object) -> None:
        if not mean_s or self._over or not callable(what):
            return

        def happen() -> None:
            if not self._over:
                what()
                self._every(mean_s, what)

        self._world.after(self._dice.expovariate(1 / mean_s), happen)

    def _crash(self) -> None:
        peer = self._dice.choice(self._world.peers)
        if not peer.up:
            return
        if self._dice.random() < 0.5:
            peer.fuse = self._dice.randint(1, _FUSE_MOST)
        else:
            self._world.faults_done["crash"] += 1
            peer.crash()
        self._world.after(self._dice.uniform(*_AWAY_S), lambda: self._restart(peer))

    def _restart(self, peer: "SimPeer") -> None:
        if not peer.up and not self._over:
            peer.start()

    def _cut(self) -> None:
        if self._is_cut:
            return
        peers = self._world.peers
        if self._dice.random() < 0.5:
            site = self._dice.choice(peers).site
            some = [peer.id for peer in peers if peer.site == site]
        else:
            some = [p.id for p in self._dice.sample(peers, self._dice.randint(1, len(peers) // 2))]
        others = [peer.id for peer in peers if peer.id not in some]
        self._is_cut = True
        self._world.faults_done["cut"] += 1
        self._world.wires.cut(some, others)
        self._world.after(self._dice.uniform(*_CUT_S), self._heal)

    def _heal(self) -> None:
        self._is_cut = False
        self._world.wires.heal()

    def _fill(self) -> None:
        peer = self._dice.choice(self._world.peers)
        peer.store_full = True
        self._world.after(self._dice.uniform(*_FULL_S), lambda: self._free(peer))

    def _free(self, peer: "SimPeer") -> None:
        peer.store_full = False
        self._restart(peer)
