"""One simulated peer: a real Node, its store, and a shell that carries effects out in order.

The store and the machines outlive a crash; the node and its timers do not. `fuse` counts effects. When it has
burnt down the peer dies right after an effect, whatever was still to be done. A peer that stalls does nothing
for a while, and then everything that has waited. A slow one does so all the time.
"""

from collections import Counter, deque
from random import Random

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.membership.messages import Contact
from protocol.node.events import (
    Arrived,
    Event,
    ForwarderBegan,
    ProbesAnswered,
    Slept,
    Started,
    Ticked,
)
from protocol.node.node import Node
from protocol.sim.clocks import Clock
from protocol.sim.environment import Environment, Watcher
from protocol.sim.machines import Machines
from protocol.sim.violation import Violation, violation
from protocol.sim.wires import Wires
from protocol.terms.effects import (
    Audit,
    Dial,
    Effect,
    HandOver,
    HangUp,
    Knock,
    Note,
    Persist,
    Probing,
    Quarantine,
    Realise,
    Row,
    Sealed,
    Send,
)
from protocol.terms.ids import GridId, PeerId
from protocol.terms.sealed import Cipher, TunnelAnswer, TunnelPlace, TunnelProbe
from protocol.trust.identity import Identity

_STORY, _STORY_OF_MANY = 40, 6
"""How many steps of a peer are remembered. In a large world it is fewer, since they would fill the memory."""
MANY_PEERS = 1000
_RESTART_S = 2.0
_WAKES_AT_ONCE = 100
"""How many deadlines one peer may have at one instant. More means that one does not move."""
_NEVER = float("inf")
_CIPHERS = (Cipher.AES_256_GCM, Cipher.CHACHA20_POLY1305)
PROBED_S = 0.02
"""How long after a probe its answer is told."""
_SOMEWHERE = TunnelPlace("192.0.2.1", 7700)
_ROUNDING_S = 1e-6
"""What rounding may put between a clock that drifts and the world's time."""


class SimPeer:
    """A host of the world."""

    def __init__(
        self,
        world: Environment,
        watcher: Watcher["SimPeer"],
        wires: Wires,
        number: int,
        identity: Identity,
        facts: HostFacts | None,
        images: tuple[ImageLabel, ...],
        dice: Random,
        fail_boot: float,
    ) -> None:
        self._world, self._watcher, self._wires = world, watcher, wires
        self.identity, self.facts, self.images = identity, facts, images
        self.id, self.name, self.site = identity.peer, identity.name, identity.site
        self.number = number
        self._dice = dice
        self.node: Node | None = None
        self.joins: tuple[Contact, ...] = ()
        self.life = 0
        self.store: dict[str, dict[str, bytes]] = {}
        self.store_full = False
        self.fuse: int | None = None
        self.machines = Machines(self, world, dice, fail_boot)
        steps = _STORY if world.size <= MANY_PEERS else _STORY_OF_MANY
        self.story: deque[tuple[float, Event, list[Effect]]] = deque(maxlen=steps)
        self.notes: Counter[str] = Counter()
        self.sent: dict[type, int] = {}
        """How many messages went to others, by kind."""
        self.clock: Clock | None = None
        """The host's clock; with None it shows the world's time."""
        self.late_s = 0.0
        """How many seconds later at most a slow peer gets to what happens to it."""
        self.forwarders = 1
        """How many forwarders its host has had. The last one runs whenever the host does, daemon or not."""
        self.widths: dict[PeerId, int] = {}
        """The largest datagrams that get to other hosts' forwarders, where there is a limit."""
        self.sealed: Sealed | None = None
        """What that was told last."""
        self.lies = False
        self.gone = False
        """Whether its host lost power for good."""
        self.is_frozen = False
        """Whether it is stalled so that its transport does not even answer heartbeats."""
        self._busy_until_s = 0.0
        self._backlog: deque[Event] = deque()
        self._shown_s = 0.0
        self._wake_s = _NEVER
        self._woken_s, self._woken = 0.0, 0

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self.node is not None

    @property
    def now_s(self) -> float:
        """What its clock shows, Unix seconds."""
        return self._world.now_s if self.clock is None else self.clock.read(self._world.now_s)

    def start(self) -> None:
        """Starts the peer from its store."""
        self.life += 1
        self._shown_s = 0.0
        self._watcher.began(self)
        rows = {table: dict(rows) for table, rows in self.store.items()}
        self.node = Node(
            self.identity,
            self.facts,
            self.images,
            self.joins,
            rows,
            Random(self._dice.getrandbits(64)),
            self.now_s,
            self._world.levels_above,
        )
        self._wake_s = _NEVER
        self.feed(Started())
        self.forwards()
        self.machines.look_around()
        if self.late_s:
            self.stall(self._dice.uniform(0.0, self.late_s))

    def forwards(self, *, anew: bool = False) -> None:
        """The node is told of the host's forwarder; `anew`, of another one, which knows nothing yet."""
        if anew:
            self.forwarders, self.sealed = self.forwarders + 1, None
        self.feed(ForwarderBegan(f"{self.name}-{self.forwarders}", _CIPHERS))

    def crash(self, silently: bool = False) -> None:
        """Ends the process now, and `silently` the host with it, so that nobody is told."""
        if self.node is None:
            return
        self.node = None
        self.fuse = None
        self.life += 1
        self._busy_until_s, self.is_frozen = 0.0, False
        self._backlog.clear()
        if silently:
            self.forwarders, self.sealed = self.forwarders + 1, None
        self._wires.crashed(self, silently)
        self._watcher.died(self)

    def go(self) -> None:
        """The host loses power, and nobody will ever start it again."""
        self.gone = True
        self.crash(silently=True)

    def stall(self, seconds: float, frozen: bool = False) -> None:
        """Has the process do nothing for a while; `frozen`, it is as if stopped, heartbeats and all."""
        if self.node is None:
            return
        self._busy_until_s = max(self._busy_until_s, self._world.now_s + seconds)
        if frozen and not self.is_frozen:
            self.is_frozen = True
            self._backlog.append(Slept(self._busy_until_s - self._world.now_s))
            self._wires.frozen(self)
            self._watcher.died(self)
        self._world.at(self._busy_until_s, self._catch_up, self.life)

    @property
    def stalled(self) -> bool:
        """Whether it does nothing right now."""
        return self._busy_until_s > self._world.now_s

    def feed(self, event: Event) -> None:
        """Gives the peer an event, and carries out everything that follows at once."""
        if self.node is None:
            return
        if self._busy_until_s > self._world.now_s:
            self._backlog.append(event)
            return
        try:
            self._step(event)
            if self.node is not None:
                self._watcher.moved(self)
                self._arm()
        except Violation:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise violation(self._world, what, self) from error

    def booted(self, grid: GridId, workspace: str) -> None:
        """One of the host's machines starts."""
        self._watcher.booted(self, grid, workspace)

    # -- the shell

    def _step(self, event: Event) -> None:
        node, world = self.node, self._world
        if node is None:
            return
        if self.clock is None:
            now_s = world.now_s
        else:
            now_s = self._shown_s = max(self._shown_s, self.clock.read(world.now_s))
        effects = node.handle(event, now_s)
        self.story.append((world.now_s, event, effects))
        self._watcher.stepped(self, event, effects)
        followers: list[Event] = []
        for effect in effects:
            if not self._carry_out(effect, followers):
                break
            if self.fuse is not None:
                self.fuse -= 1
                if self.fuse <= 0:
                    world.faults_done["crash between effects"] += 1
                    self.crash()
        for follower in followers:
            if self.node is node:
                self._step(follower)

    def _carry_out(self, effect: Effect, followers: list[Event]) -> bool:
        """Carries out one effect. False if what is behind it does not happen."""
        world = self._world
        match effect:
            case Send(peer=to, message=message, cause=cause):
                self._watcher.said(self, effect)
                if to == self.id:
                    followers.append(Arrived(to, message, cause))  # type: ignore[arg-type]  # of Message
                else:
                    self._wires.send(self, to, message, cause)  # type: ignore[arg-type]  # of Message
            case Persist(rows=rows, otherwise=otherwise):
                if self.store_full and any(row.value is not None for row in rows):
                    world.faults_done["store full"] += 1
                    if otherwise is None:
                        world.faults_done["crash for a full store"] += 1
                        self.crash()
                        world.after(_RESTART_S, self._restart)
                    else:
                        followers.append(otherwise)  # type: ignore[arg-type]  # one of Event
                    return False
                self._write(rows)
            case Dial(peer=to):
                self._wires.dial(self, to)
            case Knock(peer=to):
                self._wires.knock(self, to)
            case HangUp(peer=to):
                self._wires.hang_up(self, to)
            case Quarantine(peers=peers):
                self._wires.deny(self, peers)
            case Realise(grid=grid):
                self.machines.kick(GridId(grid))
            case Note(kind=kind):
                self.notes[kind] += 1
                self._watcher.noted(self, effect)
            case HandOver():
                self.notes["hand-over"] += 1
            case Audit():
                self.notes["audit"] += 1
            case Probing(instance=instance, probes=probes):
                self._world.after(PROBED_S, self._probed, instance, probes)
            case Sealed(instance=instance):
                if instance == f"{self.name}-{self.forwarders}":
                    self.sealed = effect
        return self.node is not None

    def _probed(self, instance: str, probes: tuple[TunnelProbe, ...]) -> None:
        """The forwarders on the other hosts have answered, those that are there and that nothing is cut to."""
        answers = tuple(
            TunnelAnswer(probe.peer, probe.number, PROBED_S, _SOMEWHERE, _SOMEWHERE)
            for probe in probes
            if probe.size_bytes <= self.widths.get(probe.peer, probe.size_bytes)
            and self._wires.probe(self, probe.peer, probe.pair)
        )
        if answers:
            self.feed(ProbesAnswered(instance, answers))

    def relays(self, pair: int, one: PeerId, other: PeerId) -> bool:
        """Whether the host's forwarder passes on between these, by that number."""
        pairs = self.sealed.pairs if self.sealed is not None else ()
        return any(p.number == pair and {p.one, p.other} == {one, other} for p in pairs)

    def echoes(self, peer: PeerId) -> bool:
        """Whether the host's forwarder has keys with that peer's."""
        rows = self.sealed.peers if self.sealed is not None else ()
        return any(row.peer == peer and row.sessions for row in rows)

    def _write(self, rows: tuple[Row, ...]) -> None:
        for row in rows:
            table = self.store.setdefault(row.table, {})
            if row.value is None:
                table.pop(row.key, None)
            else:
                table[row.key] = row.value
            self._watcher.written(self, row)

    def _restart(self) -> None:
        """Does what a service manager does when the process ended by itself."""
        if self.node is None:
            self.start()

    def _catch_up(self, life: int) -> None:
        """Ends a stall: everything that waited happens now."""
        if self.life != life or self._busy_until_s > self._world.now_s:
            return
        if self.is_frozen:
            self.is_frozen = False
            self._watcher.thawed(self)
        waiting, self._backlog = list(self._backlog), deque()
        for event in waiting:
            self.feed(event)
        if self.late_s and self.life == life:
            self.stall(self._dice.uniform(0.0, self.late_s))

    def _arm(self) -> None:
        """Sets the one timer to the node's deadline. An earlier one that is set already will look again."""
        assert self.node is not None
        deadline = self.node.next_deadline()
        at_s = deadline.at_s if self.clock is None else self.clock.when(deadline.at_s)
        if at_s < self._wake_s:
            self._wake_s = at_s = max(at_s, self._world.now_s)
            self._world.at(at_s, self._fire, self.life, at_s)

    def _fire(self, life: int, at_s: float) -> None:
        if self.life != life or self._wake_s != at_s or self.node is None:
            return
        self._wake_s = _NEVER
        deadline = self.node.next_deadline()
        if deadline.at_s > self.now_s + _ROUNDING_S:
            self._arm()
            return
        self._shown_s = max(self._shown_s, deadline.at_s)
        self._woken = self._woken + 1 if at_s == self._woken_s else 0
        self._woken_s = at_s
        if self._woken > _WAKES_AT_ONCE:
            what = f"woken again and again for {deadline}"
            raise violation(self._world, what, self)
        self.feed(Ticked())
