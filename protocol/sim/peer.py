"""One simulated peer: a real Node, its store, and a shell that carries effects out in order.

The store and the machines outlive a crash; the node and its timers do not. `fuse` counts effects: when it
has burnt down the peer dies right after an effect, whatever was still to be done.
"""

from collections import Counter, deque
from random import Random
from typing import TYPE_CHECKING

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.membership.messages import Contact
from protocol.node.events import Arrived, Event, Started, Ticked
from protocol.node.identity import Identity
from protocol.node.node import Node
from protocol.sim.machines import Machines
from protocol.sim.violation import Violation, violation
from protocol.terms.effects import (
    Dial,
    Effect,
    HandOver,
    HangUp,
    Knock,
    Note,
    Persist,
    Quarantine,
    Realise,
    Row,
    Send,
)
from protocol.terms.ids import GridId

if TYPE_CHECKING:
    from protocol.sim.world import World

_STORY = 40
_RESTART_S = 2.0
_WAKES_AT_ONCE = 100
"""Deadlines of one peer at one instant; more means that one does not move."""


class SimPeer:
    """A host of the world."""

    def __init__(
        self,
        world: "World",
        identity: Identity,
        facts: HostFacts,
        images: tuple[ImageLabel, ...],
        dice: Random,
        fail_boot: float,
    ) -> None:
        self.world, self.identity, self.facts, self.images = world, identity, facts, images
        self.id, self.name, self.site = identity.peer, identity.name, identity.site
        self._dice = dice
        self.node: Node | None = None
        self.joins: tuple[Contact, ...] = ()
        self.life = 0
        self.clock_off_s = 0.0
        """By how much its clock is ahead of the world's; set it before it starts."""
        self.store: dict[str, dict[str, bytes]] = {}
        self.store_full = False
        self.fuse: int | None = None
        self.machines = Machines(self, dice, fail_boot)
        self.story: deque[tuple[float, Event, list[Effect]]] = deque(maxlen=_STORY)
        self.notes: Counter[str] = Counter()
        self._wake_s = float("inf")
        self._woken_s, self._woken = 0.0, 0

    @property
    def now_s(self) -> float:
        """Its own clock."""
        return self.world.now_s + self.clock_off_s

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self.node is not None

    def start(self) -> None:
        """A start from the store."""
        self.life += 1
        rows = {table: dict(rows) for table, rows in self.store.items()}
        self.node = Node(
            self.identity,
            self.facts,
            self.images,
            self.joins,
            rows,
            Random(self._dice.getrandbits(64)),
            self.now_s,
        )
        self._wake_s = float("inf")
        self.feed(Started())

    def crash(self) -> None:
        """The process is gone, now."""
        if self.node is None:
            return
        self.node = None
        self.fuse = None
        self.life += 1
        self.world.wires.crashed(self)

    def feed(self, event: Event) -> None:
        """Something happens to the peer; everything that follows at once happens too."""
        if self.node is None:
            return
        try:
            self._step(event)
            if self.node is not None:
                self.world.moved(self)
                self._arm()
        except Violation:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise violation(self.world, what, self) from error

    # -- the shell

    def _step(self, event: Event) -> None:
        node, world = self.node, self.world
        if node is None:
            return
        effects = node.handle(event, self.now_s)
        self.story.append((world.now_s, event, effects))
        world.traced(self, event, effects)
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
        """False if what is behind it does not happen."""
        world = self.world
        match effect:
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
            case Send(peer=to, message=message, cause=cause) if to == self.id:
                followers.append(Arrived(to, message, cause))  # type: ignore[arg-type]  # of Message
            case Send(peer=to, message=message, cause=cause):
                world.sent(self, effect)
                world.wires.send(self, to, message, cause)  # type: ignore[arg-type]  # of Message
            case Dial(peer=to):
                world.wires.dial(self, to)
            case Knock(peer=to):
                world.wires.knock(self, to)
            case HangUp(peer=to):
                world.wires.hang_up(self, to)
            case Quarantine(peers=peers):
                world.wires.deny(self, peers)
            case Realise(grid=grid):
                self.machines.kick(GridId(grid))
            case Note(kind=kind):
                self.notes[kind] += 1
            case HandOver():
                self.notes["hand-over"] += 1
        return self.node is not None

    def _write(self, rows: tuple[Row, ...]) -> None:
        for row in rows:
            table = self.store.setdefault(row.table, {})
            if row.value is None:
                table.pop(row.key, None)
            else:
                table[row.key] = row.value
            self.world.written(self, row)

    def _restart(self) -> None:
        """What the service manager does when the process ended by itself."""
        if self.node is None:
            self.start()

    def _arm(self) -> None:
        """The one timer: the node's deadline."""
        assert self.node is not None
        deadline = self.node.next_deadline()
        if deadline is None or deadline.at_s == self._wake_s:
            return
        self._wake_s = max(deadline.at_s - self.clock_off_s, self.world.now_s)
        life, at_s = self.life, self._wake_s
        self.world.at(at_s, lambda: self._fire(life, at_s))

    def _fire(self, life: int, at_s: float) -> None:
        if self.life == life and self._wake_s == at_s:
            self._wake_s = float("inf")
            self._woken = self._woken + 1 if at_s == self._woken_s else 0
            self._woken_s = at_s
            if self._woken > _WAKES_AT_ONCE:
                assert self.node is not None
                what = f"woken again and again for {self.node.next_deadline()}"
                raise violation(self.world, what, self)
            self.feed(Ticked())
