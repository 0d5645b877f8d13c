"""Machines that are to have other sizes than they have: changed while they run, as far as they can be.

What a machine has is observed, so a change is made again until it is there, whoever was killed meanwhile.
Nobody waits for it here: a guest that is to give memory back takes its time, and is asked again after a while.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from overlayd.ports.compute import (
    Compute,
    ComputeError,
    DiskRate,
    MachineSeen,
    Resized,
    Sizes,
)
from overlayd.realise.plan import Site, disk_rate
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.apply import cpus_seen
from protocol.grid.model import Workspace
from protocol.hosting.events import Happened, MemorySeen
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId
from protocol.terms.quantities import (
    cpus_in_words,
    format_byte_rate,
    format_operations,
    format_size,
)

RESIZED = "machine.resized"
"""The kind of a change that is done."""
AGAIN_S = (5.0, 15.0, 30.0)
"""How long after a guest was asked for memory it is asked again."""


@dataclass
class _Asked:
    """What is remembered of one machine, to say it and to ask again."""

    boot: int
    wanted: Sizes
    changed: bool
    """Whether it ran with other sizes before."""
    had: MachineSeen | None = None
    """What it had when it was last asked."""
    times: int = 0
    left: Resized = field(default_factory=Resized)
    work: asyncio.Task[None] | None = None

    @property
    def said(self) -> str:
        restart = self.left.restart and f"needs a restart for {self.left.restart}"
        # A guest that has just started, or has just been asked, is given a moment.
        waits = self.left.waits if self.times > 1 else ""
        return "; ".join(filter(None, (restart, waits)))


class MachineSizes:
    """The machines of one host."""

    def __init__(
        self,
        compute: Compute,
        supervisor: Supervisor,
        tell: Callable[[Event], None],
        kick: Callable[[GridId], None],
        site: Callable[[], Site],
    ) -> None:
        """`kick` is called when a grid's machines are to be looked at again."""
        self._compute, self._supervisor = compute, supervisor
        self._tell, self._kick = tell, kick
        self._site = site
        self._asked: dict[str, _Asked] = {}

    def see_to(self, part: Part, mine: PartOf, seen: MachineSeen) -> str:
        """Has a machine that runs given the sizes of its workspace, if it has others.

        Answers what is to be told of it: what it does not have (yet), and why; empty if it has them all.
        """
        if mine.gives_back:
            had_bytes = seen.memory_bytes
            self._tell(
                MemorySeen(part.record.id, mine.workspace.name, part.record.epoch, had_bytes)
            )
        wanted = sizes_of(mine.workspace, self._site().guest_disk)
        asked = self._asked.get(seen.name)
        if asked is None or (asked.boot, asked.wanted) != (seen.boot, wanted):
            changed = asked is not None and asked.boot == seen.boot
            self.forget(seen.name)
            asked = self._asked[seen.name] = _Asked(seen.boot, wanted, changed)
            # What holds one with room to grow may be missing, if a daemon was killed: it is asked once.
            grows = mine.workspace.max_memory_bytes > mine.workspace.memory_bytes
            if not grows and not differs(seen, wanted):
                return ""
        elif asked.work is not None and not asked.work.done():
            return asked.said
        elif not differs(seen, wanted):
            self._done(part, mine, asked)
            return ""
        elif asked.had is not None and not asked.left.waits and not _moved(asked.had, seen):
            return asked.said
        asked.had = seen
        work = self._resize(part.record.id, seen.name, asked)
        asked.work = self._supervisor.spawn(f"resize {seen.name}", work)
        return asked.said

    def forget(self, machine: str) -> None:
        """It is not to run any more, or as it was."""
        asked = self._asked.pop(machine, None)
        if asked is not None and asked.work is not None:
            asked.work.cancel()

    async def _resize(self, grid: GridId, machine: str, asked: _Asked) -> None:
        try:
            asked.left = await self._compute.resize(machine, asked.wanted)
        except ComputeError as error:
            asked.left = Resized(waits=f"cannot be resized: {error}")
        asked.times += 1
        self._kick(grid)
        if asked.left.waits:
            await asyncio.sleep(AGAIN_S[min(asked.times, len(AGAIN_S)) - 1])
            self._kick(grid)

    def _done(self, part: Part, mine: PartOf, asked: _Asked) -> None:
        """It has what it is to have. That is told if it had something else."""
        if asked.changed:
            said = f"has {_in_words(asked.wanted)}, without a restart"
            self._tell(Happened(part.record.id, mine.workspace.name, RESIZED, said))
        asked.left, asked.times, asked.changed = Resized(), 0, False


def sizes_of(workspace: Workspace, guest_disk: DiskRate) -> Sizes:
    """What a workspace's machine is to have, where a guest without a rate of its disks is held to that."""
    cpus_milli, rate = workspace.cpus_milli, disk_rate(workspace, guest_disk)
    return Sizes(cpus_milli, cpus_seen(cpus_milli), workspace.memory_bytes, rate)


def _in_words(sizes: Sizes) -> str:
    parts = [cpus_in_words(sizes.cpu_milli), f"{format_size(sizes.memory_bytes)} of memory"]
    if bytes_s := sizes.disk_rate.bytes_s:
        parts.append(f"{format_byte_rate(bytes_s)} of its disks")
    if operations_s := sizes.disk_rate.operations_s:
        parts.append(f"{format_operations(operations_s)} of them")
    return ", ".join(parts)


def differs(seen: MachineSeen, wanted: Sizes) -> bool:
    """Whether a machine has other sizes. More cpus than it needs are no difference, since its cap holds."""
    cpus = 0 < seen.vcpus < wanted.vcpus
    memory = seen.memory_bytes // 1024 != wanted.memory_bytes // 1024
    rates = (seen.cpu_milli, seen.disk_rate) != (wanted.cpu_milli, wanted.disk_rate)
    return cpus or memory or rates


def _moved(before: MachineSeen, now: MachineSeen) -> bool:
    sizes = ("cpu_milli", "vcpus", "memory_bytes", "disk_rate")
    return any(getattr(before, each) != getattr(now, each) for each in sizes)
