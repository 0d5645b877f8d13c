"""People who want grids. They ask any peer, plan first, change their minds, pause, terminate, sign twice."""

from functools import partial
from random import Random

from protocol.grid.model import Encryption, GridSpec, Spread
from protocol.requesting.events import CancelAsked
from protocol.sim.peer import SimPeer
from protocol.sim.people import MIB, grid_spec
from protocol.sim.world import World
from protocol.terms.ids import RequestId
from protocol.trust.order import Action, SignedOrder, read_order

_LATER = (
    *(Action.PAUSE, Action.RESUME, Action.SUSPEND, Action.RESTORE, Action.RESTART),
    *(Action.TERMINATE, Action.DOWN, Action.DOWN),
)


class Crowd:
    """Asks for some grids within some time, and now and then for something to be done with one."""

    def __init__(self, world: World, grids: int, within_s: float, dice: Random) -> None:
        self._world, self._dice = world, dice
        self.ups: dict[RequestId, str] = {}
        self._gone = False
        self._signed: dict[str, tuple[str, SignedOrder]] = {}
        for number in range(grids):
            world.after(dice.uniform(0.0, within_s), partial(self._up, number))
            for _ in range(dice.randint(0, 3)):
                world.after(dice.uniform(0.0, within_s), self._later)

    def end(self) -> None:
        """Everybody goes home, and nothing more is asked."""
        self._gone = True

    def _up(self, number: int) -> None:
        """Asks for a grid of any size. One name in five is asked for by two people at once."""
        if self._gone:
            return
        world, dice = self._world, self._dice
        site = dice.choice(list(world.admins))
        spec = grid_spec(
            f"grid-{number}",
            dice.randint(1, 6),
            cpus_milli=dice.choice((250, 500, 2000)),
            memory_bytes=dice.choice((128, 512, 2048)) * MIB,
            spread=dice.choice(list(Spread)),
            encryption=dice.choice(list(Encryption)),
            lease_s=dice.choice((60, 3600)),
        )
        plans = dice.random() < 0.2
        up = [peer for peer in world.peers if peer.up]
        # Every other order is for one peer to carry out, as those of overlayctl are.
        via = up[number % len(up)].id if number % 2 and up and not plans else ""
        order = world.admins[site].up(spec, world.now_s, via)
        self._signed[spec.name] = (site, order)
        if plans:
            self._plan(site, spec, order)
            return
        self._give(order, spec.name)
        if dice.random() < 0.1:
            self._give(world.admins[site].up(spec, world.now_s), spec.name)
        elif dice.random() < 0.1:
            world.after(dice.uniform(0.0, 20.0), lambda: self._give(order, spec.name))

    def _plan(self, site: str, spec: GridSpec, order: SignedOrder) -> None:
        """Asks for a quote, or for a plan to be held. Some time later that is made, cancelled, or forgotten."""
        world, dice = self._world, self._dice
        up = [peer for peer in world.peers if peer.up]
        if not up:
            return
        peer = dice.choice(up)
        if dice.random() < 0.3:
            plan = world.plan(peer, spec, keep=True)
        else:
            plan = world.give(peer, world.admins[site].hold(spec, 15.0, world.now_s))
        then = dice.choice((self._take, self._take, self._cancel, lambda *_: None))
        world.after(dice.uniform(0.0, 20.0), lambda: then(peer, plan, order))

    def _take(self, peer: SimPeer, plan: RequestId, order: SignedOrder) -> None:
        if peer.up and not self._gone:
            self._world.give(peer, order, plan)

    def _cancel(self, peer: SimPeer, plan: RequestId, order: SignedOrder) -> None:
        peer.feed(CancelAsked(plan))

    def _give(self, order: SignedOrder, name: str) -> None:
        up = [peer for peer in self._world.peers if peer.up]
        if not up or self._gone:
            return
        peer, via = self._dice.choice(up), read_order(order).via
        if via:
            peer = next((other for other in up if other.id == via), peer)
        request = self._world.give(peer, order)
        self.ups[request] = name
        if self._dice.random() < 0.05:
            pause_s = self._dice.uniform(0.0, 2.0)
            self._world.after(pause_s, lambda: peer.feed(CancelAsked(request)))

    def _later(self) -> None:
        world, dice = self._world, self._dice
        up = [peer for peer in world.peers if peer.up]
        if not self._signed or not up or self._gone:
            return
        name = dice.choice(list(self._signed))
        site, _ = self._signed[name]
        action = dice.choice(_LATER)
        one = action is Action.TERMINATE or (action is not Action.DOWN and dice.random() < 0.5)
        workspace = f"web-{dice.randint(1, 3)}" if one else ""
        order = world.admins[site].order(action, name, world.now_s, workspace=workspace)
        world.give(dice.choice(up), order)
