"""Whatever can go wrong for a while, at random.

These are deaths between two effects, cuts, stores that are full, clocks that jump, processes that stall. What
is wrong all the time (drift, NAT, slowness, liars) is chosen at the beginning.
"""

from collections.abc import Callable, Sequence
from random import Random

from protocol.node.events import Ticked
from protocol.sim.clocks import Clock
from protocol.sim.environment import Environment
from protocol.sim.faults import FaultPlan
from protocol.sim.keys import SimFederation
from protocol.sim.liar import Liar
from protocol.sim.overheard import Overheard
from protocol.sim.peer import SimPeer
from protocol.sim.people import Admin
from protocol.sim.wires import Wires
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId

_FUSE_MOST = 12
_AWAY_S = (0.3, 15.0)
_CUT_S = (0.5, 25.0)
_FULL_S = (0.5, 8.0)
_WRONG_S = 1.0
"""How many seconds clocks are apart at most at the beginning."""


class Trouble:
    """Breaks things by a plan until it is told to end. It is made before any peer is started."""

    def __init__(
        self,
        world: Environment,
        peers: Sequence[SimPeer],
        wires: Wires,
        plan: FaultPlan,
        dice: Random,
        federation: SimFederation,
    ) -> None:
        self._world, self._peers, self._wires = world, peers, wires
        self._plan, self._dice = plan, dice
        self.over = False
        """Whether nothing breaks any more, and nothing is asked."""
        # The others join through the first peer, so it is neither hidden nor a liar.
        others = peers[1:]
        if plan.drift_ppm or plan.jump_every_s:
            for peer in peers:
                wrong_s = dice.uniform(-_WRONG_S, _WRONG_S)
                rate = 1.0 + dice.uniform(-plan.drift_ppm, plan.drift_ppm) * 1e-6
                peer.clock = Clock(world.now_s, wrong_s, rate)
        for peer in dice.sample(others, round(plan.behind_nat * len(others))):
            wires.undialled[peer.id] = None
        self._slow = dice.sample(others, round(plan.slow * len(others)))
        liars = dice.sample(others, min(plan.liars, len(others)))
        self._liars: dict[PeerId, Liar] = {}
        self._overheard = Overheard()
        for peer in liars:
            own = Admin(federation, f"site-of-{peer.name}", world.new_dice())
            liar = Liar(world, wires, peer, world.new_dice(), own, self._overheard)
            self._liars[peer.id], peer.lies = liar, True

    def begin(self) -> None:
        """Breaks things from now on."""
        plan = self._plan
        self._every(plan.crash_every_s, self._crash)
        self._every(plan.cut_every_s, self._cut)
        self._every(plan.one_way_every_s, self._cut_one_way)
        self._every(plan.full_every_s, self._fill)
        self._every(plan.stall_every_s, self._stall)
        self._every(plan.jump_every_s, self._jump)
        for peer in self._slow:
            peer.late_s = plan.late_s
            peer.stall(self._dice.uniform(0.0, plan.late_s))
        for liar in self._liars.values():
            liar.begin()

    def end(self) -> None:
        """Mends everything, starts every peer whose host is not gone, and has liars fall silent."""
        self.over = True
        self._wires.heal()
        for liar in self._liars.values():
            liar.end()
        for peer in self._peers:
            peer.store_full, peer.fuse, peer.late_s = False, None, 0.0
            if not peer.up and not peer.gone:
                self._start(peer)
        self._world.calm_since_s = self._world.now_s

    def said(self, peer: SimPeer, send: Send) -> None:
        """A peer sends a message. If anybody lies, liars know of it; one that is sent it may answer."""
        if self._liars:
            self._overheard.hear(send.message)  # type: ignore[arg-type]  # of Message
            if (liar := self._liars.get(send.peer)) is not None:
                liar.heard(peer.id, send.message)  # type: ignore[arg-type]

    def _every(self, mean_s: float, what: Callable[[], None]) -> None:
        if not mean_s or self.over:
            return

        def happen() -> None:
            if not self.over and len(self._world.happened) < self._plan.most:
                what()
                self._every(mean_s, what)

        self._world.after(self._dice.expovariate(1 / mean_s), happen)

    def _happens(self, kind: str, detail: str) -> None:
        self._world.faults_done[kind] += 1
        self._world.happened.append((self._world.elapsed_s, f"{kind}: {detail}"))

    def _crash(self) -> None:
        peer = self._dice.choice(self._peers)
        if not peer.up:
            return
        if self._dice.random() < 0.5:
            peer.fuse = self._dice.randint(1, _FUSE_MOST)
            self._world.happened.append(
                (self._world.elapsed_s, f"crash: {peer.name} after {peer.fuse} effects")
            )
        else:
            silently = self._dice.random() < self._plan.silent
            self._happens("crash", f"{peer.name}{' with its host' * silently}")
            peer.crash(silently)
        self._world.after(self._dice.uniform(*_AWAY_S), self._restart, peer)

    def _restart(self, peer: SimPeer) -> None:
        if not (peer.up or peer.gone or self.over):
            self._start(peer)

    def _start(self, peer: SimPeer) -> None:
        """Starts a peer, after doing what the plan does to stores and clocks while nobody looks."""
        if self._plan.wiped and self._dice.random() < self._plan.wiped:
            self._happens("store lost", peer.name)
            peer.store.clear()
        if self._plan.jump_every_s and peer.clock is not None and self._dice.random() < 0.5:
            peer.clock.jump(
                self._world.now_s, self._dice.uniform(-self._plan.jump_s, self._plan.jump_s)
            )
        peer.start()

    def _cut(self) -> None:
        if not self._wires.whole:
            return
        peers = self._peers
        if self._dice.random() < 0.5:
            site = self._dice.choice(peers).site
            some = [peer.id for peer in peers if peer.site == site]
            self._happens("cut", f"site {site}")
        else:
            some = [
                p.id
                for p in self._dice.sample(peers, self._dice.randint(1, max(1, len(peers) // 2)))
            ]
            self._happens("cut", f"{len(some)} peers")
        mine = dict.fromkeys(some)
        self._wires.cut(some, [peer.id for peer in peers if peer.id not in mine])
        self._world.after(self._dice.uniform(*_CUT_S), self._wires.heal)

    def _cut_one_way(self) -> None:
        peers = self._peers
        if not self._wires.whole or len(peers) < 2:
            return
        mixed = self._dice.sample(peers, len(peers))
        at = self._dice.randint(1, len(peers) - 1)
        some, others = [p.id for p in mixed[:at]], [p.id for p in mixed[at:]]
        self._happens("one way", f"{len(some)} peers do not reach {len(others)}")
        self._wires.cut(some, others, one_way=True)
        self._world.after(self._dice.uniform(*_CUT_S), self._wires.heal)

    def _fill(self) -> None:
        peer = self._dice.choice(self._peers)
        peer.store_full = True
        self._world.happened.append((self._world.elapsed_s, f"store full: {peer.name}"))
        self._world.after(self._dice.uniform(*_FULL_S), self._free, peer)

    def _free(self, peer: SimPeer) -> None:
        peer.store_full = False
        self._restart(peer)

    def _stall(self) -> None:
        peer = self._dice.choice(self._peers)
        if peer.up and not peer.late_s:
            seconds = self._dice.uniform(0.0, self._plan.late_s)
            self._happens("stall", f"{peer.name} for {seconds:.1f} s")
            peer.stall(seconds)

    def _jump(self) -> None:
        peer = self._dice.choice(self._peers)
        if peer.up and peer.clock is not None:
            seconds = self._dice.uniform(0.0, self._plan.jump_s)
            self._happens("clock jump", f"{peer.name} by {seconds:.1f} s")
            peer.clock.jump(self._world.now_s, seconds)
            peer.feed(Ticked())
