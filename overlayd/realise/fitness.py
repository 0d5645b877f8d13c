"""Is this host fit to take new work? It tries before it offers room, and again when it has reason to doubt.

A host that cannot start guests would otherwise be the emptiest one, and be given every workspace. So a tiny
guest is started before anything is offered, and again after DOUBT starts in a row have failed. What stops this
host is told in its advert. It is tried again now and then, and forgotten once it works.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from overlayd.telemetry.supervisor import Supervisor

DOUBT = 2
"""So many starts of guests in a row that failed are a reason to try whether any can be started."""
AGAIN_S = 60.0
"""How long an unfit host waits before it tries again."""
STORE_EVERY_S = 5.0
_TEXT_MOST = 200


class Ill(StrEnum):
    """What can be wrong."""

    GUESTS = "guests"
    STORE = "store"


class Fitness:
    """What stops this host, by what it is."""

    def __init__(
        self,
        try_out: Callable[[], Awaitable[str]],
        changed: Callable[[], None],
        supervisor: Supervisor,
    ) -> None:
        """`try_out` answers why no guest can be started, or nothing; `changed` hears of another `unfit`."""
        self._try_out, self._changed, self._supervisor = try_out, changed, supervisor
        self._reasons: dict[Ill, str] = {}
        self._failed_in_a_row = 0
        self._trying: asyncio.Task[None] | None = None

    @property
    def unfit(self) -> str:
        """Why this host takes nothing new; empty if it does."""
        return "; ".join(self._reasons[ill] for ill in sorted(self._reasons))[:_TEXT_MOST]

    def found(self, ill: Ill, why: str) -> None:
        """What is wrong with one thing now; nothing if that is well."""
        before = self.unfit
        self._reasons.pop(ill, None)
        if why:
            self._reasons[ill] = why
        if self.unfit != before:
            self._changed()

    def started(self, well: bool) -> None:
        """A guest was started, or could not be."""
        self._failed_in_a_row = 0 if well else self._failed_in_a_row + 1
        if well:
            self.found(Ill.GUESTS, "")
        elif self._failed_in_a_row >= DOUBT and (self._trying is None or self._trying.done()):
            self._failed_in_a_row = 0
            self._trying = self._supervisor.keep("fitness", self.examine)

    async def examine(self) -> None:
        """Tries to start a guest. If that fails, tries again until it works."""
        await self.look()
        while Ill.GUESTS in self._reasons:
            await asyncio.sleep(AGAIN_S)
            await self.look()

    async def follow_store(self, short: Callable[[], Awaitable[str]]) -> None:
        """Asks the store now and then whether its disk is full."""
        while True:
            self.found(Ill.STORE, await short())
            await asyncio.sleep(STORE_EVERY_S)

    async def look(self) -> None:
        """Tries once."""
        why = await self._try_out()
        self.found(Ill.GUESTS, f"it cannot start guests: {why}" if why else "")
