"""Machines that are to end: their guests are asked to shut down, and cut off when their time is up.

Nobody waits here. A machine that was asked is looked at again when its hypervisor says that it has ended, or
when its time is up; the rest of its grid, and of its host, goes on meanwhile. A button that is pressed while a
guest boots is not heard, so it is pressed again and again. Nothing of it is on disk: a daemon that was killed
asks again, and waits no longer than the first time.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from overlayd.ports.compute import Compute, ComputeError, MachineSeen, MachineState
from overlayd.realise.paths import machine_name
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.lifecycle import Phase
from protocol.hosting.events import Happened, Progressed
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId
from protocol.terms.quantities import format_duration

AGAIN_S = 2.0
"""How long after a guest was asked it is asked again."""
_ACTIVE = (MachineState.RUNNING, MachineState.PAUSED)


@dataclass
class _Asked:
    boot: int
    at_s: float
    within_s: int
    waiting: asyncio.Task[None]
    taken_back: bool = False
    """Whether it is to run after all. It may have heard already, and shut down."""


class Endings:
    """The machines of one host that are asked to shut down."""

    def __init__(
        self,
        compute: Compute,
        supervisor: Supervisor,
        tell: Callable[[Event], None],
        kick: Callable[[GridId], None],
    ) -> None:
        """`kick` is called when the time of a guest is up."""
        self._compute, self._supervisor = compute, supervisor
        self._tell, self._kick = tell, kick
        self._asked: dict[str, _Asked] = {}

    def asked(self, machine: str, boot: int) -> bool:
        """Whether the machine was asked to shut down in that start, so that it does not end by itself."""
        asked = self._asked.get(machine)
        return asked is not None and asked.boot == boot

    def take_back(self, machine: str) -> None:
        """It is to run after all, and is asked no more."""
        if machine in self._asked:
            self._asked[machine].taken_back = True
            self._asked[machine].waiting.cancel()

    async def over(self, part: Part, mine: PartOf, seen: MachineSeen | None) -> bool:
        """Brings a machine nearer to its end. True once nothing of it runs; else it is to be looked at again.

        Raises ComputeError if it can neither be asked nor ended.
        """
        name = machine_name(part.record.id, mine.workspace.name)
        if seen is None or seen.state not in _ACTIVE:
            self._has_ended(part, mine, name)
            return True
        asked = self._asked.get(name)
        if asked is None or asked.boot != seen.boot or asked.taken_back:
            self.forget(name)
            asked = await self._ask(part, mine, seen)
        if asked is not None and time.monotonic() < asked.at_s + mine.stop_within_s:
            has = format_duration(asked.within_s)
            detail = f"asked to shut down, and cut off if it has not within {has}"
            workspace, boot = mine.workspace.name, mine.wanted.boot
            self._tell(
                Progressed(
                    part.record.id,
                    workspace,
                    Phase.ENDING,
                    detail,
                    boot,
                    within_s=asked.within_s,
                )
            )
            return False
        self.forget(name)
        await self._compute.stop(name)
        if asked is not None:
            after = f"did not shut down in {time.monotonic() - asked.at_s:.1f} s, and was cut off"
            self._happened(part, mine, "workspace.cut-off", after)
        elif mine.stop_within_s:
            self._happened(part, mine, "workspace.cut-off", "could not be asked to shut down")
        return True

    def forget(self, machine: str) -> None:
        """It has ended, or is started anew."""
        asked = self._asked.pop(machine, None)
        if asked is not None:
            asked.waiting.cancel()

    async def _ask(self, part: Part, mine: PartOf, seen: MachineSeen) -> _Asked | None:
        """Asks for the first time. None if the guest cannot be asked, or is not to be."""
        within_s = mine.stop_within_s
        if not within_s or not await self._compute.shut_down(seen.name):
            return None
        has = format_duration(within_s)
        self._happened(part, mine, "workspace.stopping", f"asked to shut down; it has {has}")
        work = self._wait(part.record.id, seen.name, within_s)
        waiting = self._supervisor.spawn(f"ending {mine.workspace.name}", work)
        asked = _Asked(seen.boot, time.monotonic(), within_s, waiting)
        self._asked[seen.name] = asked
        return asked

    async def _wait(self, grid: GridId, name: str, within_s: int) -> None:
        """Asks again now and then, and has the grid looked at when the time is up."""
        until_s = time.monotonic() + within_s
        while (left_s := until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, AGAIN_S))
            if left_s > AGAIN_S:
                with contextlib.suppress(ComputeError):
                    await self._compute.shut_down(name)
        self._kick(grid)

    def _has_ended(self, part: Part, mine: PartOf, name: str) -> None:
        asked = self._asked.get(name)
        if asked is not None:
            took_s = time.monotonic() - asked.at_s
            self._happened(part, mine, "workspace.stopped", f"shut itself down in {took_s:.1f} s")
            self.forget(name)

    def _happened(self, part: Part, mine: PartOf, kind: str, detail: str) -> None:
        self._tell(Happened(part.record.id, mine.workspace.name, kind, detail))
