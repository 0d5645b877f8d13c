"""A machine that is there: what it did by itself is told, what paused it is undone, its clock is put right."""

import contextlib
from collections.abc import Callable

import msgspec

from overlayd.ports.compute import Compute, ComputeError, MachineSeen
from overlayd.realise.changes import RESTARTED, Changes, News
from overlayd.realise.paths import machine_name
from overlayd.realise.stalls import Held, Stalls
from overlayd.telemetry.supervisor import Supervisor
from protocol.hosting.events import GuestSaid, Happened
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId


class Upkeep:
    """The machines of one host."""

    def __init__(
        self,
        compute: Compute,
        supervisor: Supervisor,
        tell: Callable[[Event], None],
        kick: Callable[[GridId], None],
    ) -> None:
        """`kick` is called when a grid's machines are to be looked at again."""
        self._compute, self._supervisor, self._tell = compute, supervisor, tell
        self._changes = Changes()
        self._stalls = Stalls(supervisor, kick)

    def look(self, part: Part, mine: PartOf, seen: MachineSeen | None) -> str:
        """Tells what the machine did by itself since the last look. Answers why it ended, if it did."""
        name, boot = machine_name(part.record.id, mine.workspace.name), mine.wanted.boot
        news = self._changes.news(seen, boot)
        self._happened(part, mine, news)
        if RESTARTED in [kind for kind, _ in news]:
            self.anew(part, mine)
        return self._changes.ended(name, boot)

    def anew(self, part: Part, mine: PartOf) -> PartOf:
        """The guest begins anew within the same start. What it said counts no more: it is not in the answer."""
        if mine.word is not None:
            boot = mine.wanted.boot
            self._tell(GuestSaid(part.record.id, mine.workspace.name, boot, taken_back=True))
        return msgspec.structs.replace(mine, word=None)

    def started(self, machine: str, boot: int) -> None:
        """The machine was started in that start, for the first time or again."""
        self._changes.started(machine, boot)
        self._stalls.forget(machine)

    def again(self, machine: str, boot: int) -> str:
        """When and why it was started again; empty if it was not."""
        return self._changes.again(machine, boot)

    def paused(self, machine: str) -> None:
        """The machine is paused because that is wanted."""
        self._stalls.asked(machine)

    async def wake(self, part: Part, mine: PartOf, seen: MachineSeen) -> Held | None:
        """Lets a paused machine go on. Answers why not, if what paused it would only do so again."""
        held, news = self._stalls.look(part.record.id, seen)
        self._happened(part, mine, news)
        if held is None:
            await self._compute.resume(seen.name)
            self.set_clock(seen.name)
        return held

    def set_clock(self, machine: str) -> None:
        """Puts a clock right that stood still, in a task of its own: it takes as long as the guest."""

        async def tell() -> None:
            with contextlib.suppress(ComputeError):
                await self._compute.set_clock(machine)

        self._supervisor.spawn(f"clock {machine}", tell())

    def forget(self, machine: str) -> None:
        """It is not to run any more."""
        self._changes.forget(machine)
        self._stalls.forget(machine)

    def _happened(self, part: Part, mine: PartOf, news: list[News]) -> None:
        for kind, detail in news:
            self._tell(Happened(part.record.id, mine.workspace.name, kind, detail))
