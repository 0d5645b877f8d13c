"""A simulated host's machines: what the realiser does (overlayd/realise), with delays for work.

Like the real one it is level-triggered: it compares what the node wants of a grid with the machines there
are, and mends the difference. Machines outlive the daemon; a pass that was under way does not.
"""

from collections.abc import Callable, Generator, Iterator
from random import Random
from typing import Protocol

from protocol.grid.lifecycle import Phase, Power, Wanted
from protocol.hosting.events import Cleared, Found, GuestSaid, Measured, MemorySeen, Progressed
from protocol.hosting.guest_words import word_of
from protocol.hosting.keepsake import keepsake_of
from protocol.node.events import Event
from protocol.node.node import Node
from protocol.sim.disk import Disk
from protocol.sim.environment import Environment
from protocol.terms.ids import GridId

_RETRY_S = 1.0
_WITHIN_S = 30
"""How long guests have to shut down; they do in less than a second."""


class Process(Protocol):
    """The peer whose machines these are."""

    node: Node | None
    life: int
    """Which start it is in. A pass of an earlier one is over."""

    @property
    def up(self) -> bool:
        """Whether it runs."""

    def feed(self, event: Event) -> None:
        """Gives it an event."""

    def booted(self, grid: GridId, workspace: str) -> None:
        """A machine starts."""


class Machine:
    """One virtual machine, with the start it is in and whether it is paused."""

    def __init__(self, boot: int, memory_bytes: int, keepsake: bytes) -> None:
        self.boot, self.memory_bytes, self.keepsake = boot, memory_bytes, keepsake
        self.paused = False
        self.saved = False
        self.watched_in = -1
        """The life of its host's daemon in which it was last told that it runs."""


class Machines:
    """Everything that runs on one host."""

    def __init__(self, peer: Process, world: Environment, dice: Random, fail_boot: float) -> None:
        self._peer, self._world = peer, world
        self._dice, self._fail_boot = dice, fail_boot
        self.there: dict[tuple[GridId, str], Machine] = {}
        self._busy: dict[GridId, int] = {}
        """Grids with a pass under way, and the life of the peer it belongs to."""
        self._again: dict[GridId, None] = {}
        self.disk: Disk | None = None
        """The disk that saves and restores at a rate; with None each takes a moment."""
        self.runs: Callable[[GridId, str, bool], None] = lambda grid, workspace, runs: None
        """Is told when a machine begins to run, and when it stops: for good, paused, or to be saved."""

    def kick(self, grid: GridId) -> None:
        """What is wanted of a grid may have changed."""
        if self._busy.get(grid) == self._peer.life:
            self._again[grid] = None
            return
        self._busy[grid] = self._peer.life
        self._again.pop(grid, None)
        self._go_on(grid, self._pass(grid), self._peer.life)

    def look_around(self) -> None:
        """Tells the node of machines whose grid it does not carry."""
        for (grid, workspace), machine in self.there.items():
            if self._wanted(grid) is not None:
                continue
            power = Power.SUSPENDED if machine.saved else Power.RUNNING
            self._peer.feed(
                Found(
                    grid=grid,
                    what=f"machine {workspace}",
                    workspace=workspace,
                    power=Power.PAUSED if machine.paused else power,
                    boot=machine.boot,
                    memory_bytes=machine.memory_bytes,
                    keepsake=machine.keepsake,
                )
            )

    def _go_on(self, grid: GridId, work: Iterator[float], life: int) -> None:
        if self._peer.life != life or not self._peer.up:
            return
        pause_s = next(work, None)
        if self._peer.life != life or not self._peer.up:
            return
        if pause_s is not None:
            self._world.after(pause_s, lambda: self._go_on(grid, work, life))
            return
        del self._busy[grid]
        if grid in self._again:
            self.kick(grid)

    def _wanted(self, grid: GridId) -> tuple[Wanted, ...] | None:
        """What is to be made of the grid's workspaces here now; None if this host carries none of it."""
        node = self._peer.node
        if node is None or node.host.leases.row(grid) is None:
            return None
        return node.host.leases.wanted(grid)

    def _not_yet(self, grid: GridId) -> str:
        node = self._peer.node
        return node.host.leases.not_yet(grid) if node is not None else ""

    def _pass(self, grid: GridId) -> Iterator[float]:
        """One comparison, and what follows from it. Yields pauses in seconds."""
        yield self._dice.uniform(0.0, 0.02)
        all_wanted = self._wanted(grid)
        if all_wanted is None:
            return
        going = [w for w in all_wanted if w.power in (Power.GONE, Power.OFF)]
        gone = all(w.power is Power.GONE for w in all_wanted)
        if not_yet := self._not_yet(grid):
            for wanted in all_wanted:
                if wanted not in going:
                    self._say(grid, wanted, Phase.HELD, not_yet)
            all_wanted = tuple(going)
        for wanted in going:
            yield from self._end(grid, wanted)
        failed = False
        for wanted in all_wanted:
            if wanted not in going:
                failed = (yield from self._bring(grid, wanted)) or failed
        for wanted in going:
            phase = Phase.GONE if wanted.power is Power.GONE else Phase.EXPIRED
            self._say(grid, wanted, phase)
        if gone:
            yield self._dice.uniform(0.0, 0.1)
            self._peer.feed(Cleared(grid))
        elif failed:
            yield _RETRY_S
            self._again[grid] = None

    def _end(self, grid: GridId, wanted: Wanted) -> Iterator[float]:
        """Ends a machine. One that runs shuts down first; a peer that dies meanwhile finds it running."""
        machine = self.there.get((grid, wanted.workspace))
        if machine is not None and not machine.saved:
            told = Progressed(
                grid, wanted.workspace, Phase.ENDING, "asked", wanted.boot, within_s=_WITHIN_S
            )
            self._peer.feed(told)
            yield self._dice.uniform(0.02, 0.4)
        self._drop(grid, wanted.workspace)

    def _bring(self, grid: GridId, wanted: Wanted) -> Generator[float, None, bool]:
        """Makes one machine what is wanted. Answers whether that failed."""
        key = (grid, wanted.workspace)
        machine = self.there.get(key)
        if wanted.power is Power.SUSPENDED and (machine is None or machine.boot != wanted.boot):
            self._drop(grid, wanted.workspace)
            self._say(grid, wanted, Phase.SUSPENDED, "it did not run")
            return False
        if machine is None or machine.boot != wanted.boot:
            self._drop(grid, wanted.workspace)
            for phase in (Phase.IMAGE, Phase.NETWORK, Phase.BOOTING):
                self._say(grid, wanted, phase)
                yield self._dice.uniform(0.01, 0.1)
            if self._dice.random() < self._fail_boot:
                self._say(grid, wanted, Phase.FAILED, "the hypervisor would not")
                return True
            self._peer.booted(grid, wanted.workspace)
            memory_bytes, kept = self._memory_bytes(grid, wanted), self._keepsake(grid)
            machine = self.there[key] = Machine(wanted.boot, memory_bytes, kept)
        if wanted.power is Power.SUSPENDED:
            return (yield from self._save(grid, wanted, machine))
        if machine.saved:
            self._say(grid, wanted, Phase.RESTORING)
            waits_s, takes_s = self._turn(machine, 0.5, 1.5)
            yield waits_s + takes_s
            machine.saved = False
            self._measured(machine, takes_s, saved=False)
        was_paused, machine.paused = machine.paused, wanted.power is Power.PAUSED
        self.runs(grid, wanted.workspace, not machine.paused)
        if machine.paused:
            self._say(grid, wanted, Phase.PAUSED)
            return False
        if machine.watched_in != self._peer.life or was_paused:
            self._say(grid, wanted, Phase.RUNNING)
        machine.watched_in = self._peer.life
        self._give_back(grid, wanted.workspace, machine)
        self._world.after(
            self._dice.uniform(0.1, 0.5), lambda: self._answers(grid, wanted, self._peer.life)
        )
        return False

    def _give_back(self, grid: GridId, workspace: str, machine: Machine) -> None:
        """A guest gives back at once what it is to have no more."""
        node = self._peer.node
        row = node.host.leases.row(grid) if node is not None else None
        if node is None or row is None or workspace not in dict(row.giving_back):
            return
        machine.memory_bytes = node.host.leases.members(row)[workspace].memory_bytes
        self._peer.feed(MemorySeen(grid, workspace, row.record.epoch, machine.memory_bytes))

    def _save(self, grid: GridId, wanted: Wanted, machine: Machine) -> Generator[float, None, bool]:
        if not machine.saved:
            waits_s, takes_s = self._turn(machine, 0.5, 3.0)
            self._say(grid, wanted, Phase.SAVING)
            yield waits_s
            self.runs(grid, wanted.workspace, False)
            yield takes_s
            machine.saved = True
            machine.watched_in = -1
            self._measured(machine, takes_s, saved=True)
        self._say(grid, wanted, Phase.SUSPENDED)
        return False

    def _turn(self, machine: Machine, least_s: float, most_s: float) -> tuple[float, float]:
        """How many seconds a machine's memory waits to be saved or restored, and how many that takes."""
        if self.disk is None:
            return 0.0, self._dice.uniform(least_s, most_s)
        return self.disk.turn(machine.memory_bytes, self._world.now_s)

    def _measured(self, machine: Machine, took_s: float, *, saved: bool) -> None:
        if self.disk is not None:
            self._peer.feed(Measured(saved, machine.memory_bytes, took_s))

    def _memory_bytes(self, grid: GridId, wanted: Wanted) -> int:
        node = self._peer.node
        row = node.host.leases.row(grid) if node is not None else None
        if node is None or row is None:
            return 0
        member = node.authority.ordered(row.record).members.get(wanted.workspace)
        return member.memory_bytes if member is not None else 0

    def _keepsake(self, grid: GridId) -> bytes:
        node = self._peer.node
        row = node.host.leases.row(grid) if node is not None else None
        return keepsake_of(row) if row is not None else b""

    def _drop(self, grid: GridId, workspace: str) -> bool:
        """Ends a machine. Answers whether there was one."""
        if self.there.pop((grid, workspace), None) is None:
            return False
        self.runs(grid, workspace, False)
        return True

    def _answers(self, grid: GridId, wanted: Wanted, life: int) -> None:
        machine = self.there.get((grid, wanted.workspace))
        all_wanted = self._wanted(grid)
        if machine is None or all_wanted is None or self._peer.life != life:
            return
        if machine.boot != wanted.boot or machine.paused or wanted not in all_wanted:
            return
        if self._has_said(grid, wanted):
            self._say(grid, wanted, Phase.READY)
            return
        self._say(grid, wanted, Phase.REACHABLE)
        # What it says makes the node have this host looked at again.
        self._world.after(
            self._dice.uniform(0.0, 0.3),
            lambda: self._peer.feed(GuestSaid(grid, wanted.workspace, wanted.boot)),
        )

    def _has_said(self, grid: GridId, wanted: Wanted) -> bool:
        node = self._peer.node
        row = node.host.leases.row(grid) if node is not None else None
        return row is not None and word_of(row, wanted) is not None

    def _say(self, grid: GridId, wanted: Wanted, phase: Phase, detail: str = "") -> None:
        self._peer.feed(Progressed(grid, wanted.workspace, phase, detail, wanted.boot))
