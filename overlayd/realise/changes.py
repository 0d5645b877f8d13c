"""What machines do by themselves: each end and each restart from inside is told once, with its reason.

An end is seen at the machine, which its hypervisor still knows. So one that came while no daemon ran is told
by the next one. What was told is remembered only to say it once.
"""

import time

from overlayd.ports.compute import MachineSeen, MachineState
from protocol.terms.quantities import format_moment

RESTARTED = "machine.restarted"
"""The kind of a restart from inside."""
News = tuple[str, str]
"""The kind and the detail of an event."""


class Changes:
    """What is remembered of the machines of one host."""

    def __init__(self) -> None:
        self._ended: dict[str, tuple[int, str]] = {}
        self._resets: dict[str, int] = {}
        self._again: dict[str, tuple[int, str]] = {}

    def news(self, seen: MachineSeen | None, boot: int) -> list[News]:
        """What is new of a machine that is wanted in that start."""
        if seen is None or seen.boot != boot:
            return []
        news = []
        resets = self._resets.get(seen.name, 0)
        self._resets[seen.name] = seen.resets
        if seen.resets > resets:
            news.append((RESTARTED, "its guest restarted itself"))
        if seen.state is MachineState.STOPPED and seen.name not in self._ended:
            why = seen.why or "it ended by itself"
            self._ended[seen.name] = boot, why
            news.append(("machine.ended", why))
        return news

    def ended(self, machine: str, boot: int) -> str:
        """Why a machine that does not run any more ended; empty if it did not run in this start."""
        of, why = self._ended.get(machine, (0, ""))
        return why if of == boot else ""

    def started(self, machine: str, boot: int) -> None:
        """It was started."""
        of, why = self._ended.pop(machine, (0, ""))
        self._resets.pop(machine, None)
        if of == boot:
            at = format_moment(time.time())
            self._again[machine] = boot, f"started again at {at}, after: {why}"
        else:
            self._again.pop(machine, None)

    def again(self, machine: str, boot: int) -> str:
        """When and why a machine that runs was started again in this start; empty if it was not."""
        of, why = self._again.get(machine, (0, ""))
        return why if of == boot else ""

    def forget(self, machine: str) -> None:
        """It is not to run any more."""
        for known in (self._ended, self._resets, self._again):
            known.pop(machine, None)
