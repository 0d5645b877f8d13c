"""Keeps networks as they were made: compares whenever something may have changed, and on a clock.

A hint (the kernel changed something, a service ended, a guest does not answer) says nothing but "look". All
networks are compared at once, which is cheap. A grid with a network that is not as it should be is kicked,
and the realiser mends it as it makes it. What was wrong is told when it has been mended. Our own changes are
hints, too: one comparison that finds nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from netns.model import NetworkPlan
from overlayd.ports.network import Network, NetworkError
from overlayd.realise.mends import AT_ONCE, Mends, is_told
from overlayd.realise.paths import grid_of
from overlayd.telemetry.logs import logger
from protocol.hosting.events import Care, Kept
from protocol.node.events import Event
from protocol.terms.ids import GridId

EVERY_S = 30.0
_TURN_S = 5.0
"""So long a network that is to be mended has for its turn. To ask again meanwhile would lengthen the queue."""
_GATHER_S = 0.2
"""One change seldom comes alone: so long hints are gathered before it is looked."""


class Opening(Protocol):
    """What is to be opened in each network for its guests."""

    async def stands(self, network: str) -> None:
        """The network is in force. Raises NetworkError if it cannot be opened."""

    def gone(self, network: str) -> None:
        """The network is to go."""


class Carrying(Protocol):
    """What carries sealed networks to other hosts."""

    async def stands(self, plan: NetworkPlan) -> None:
        """The network is in force. Raises NetworkError if it cannot be carried."""

    def changed(self) -> None:
        """A network is no more, or something of one may be as nobody wants it."""


class Keeping:
    """The upkeep of this host's networks."""

    def __init__(
        self,
        network: Network,
        kick: Callable[[GridId], None],
        tell: Callable[[Event], None],
        opening: Opening | None = None,
        carrying: Carrying | None = None,
    ) -> None:
        """`kick` has a grid's networks ensured, by `ensure` here; the others hear of each that stands."""
        self._network, self._kick, self._tell = network, kick, tell
        self._opening, self._carrying = opening, carrying
        self._mends = Mends()
        self._kept: set[str] = set()
        self._broken: dict[str, str] = {}
        self._asked_s: dict[str, float] = {}
        self._hint = asyncio.Event()
        self._again_s = EVERY_S
        network.watch(self._hint.set)

    async def run(self) -> None:
        """Compares for as long as the daemon lives."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again_s):
                    await self._hint.wait()
                await asyncio.sleep(_GATHER_S)
            self._hint.clear()
            await self.compare()

    async def compare(self) -> None:
        """Looks at every network, and has those mended that are not as they should be."""
        self._again_s = EVERY_S
        if self._carrying is not None:
            self._carrying.changed()
        try:
            harms = await self._network.harms()
        except NetworkError as error:
            logger().warning("networks.not-compared", error=str(error))
            return
        for network in harms:
            now_s = time.monotonic()
            rests_s = self._mends.rests_s(network, now_s)
            if rests_s:
                self._again_s = min(self._again_s, rests_s)
            elif now_s >= self._asked_s.get(network, -_TURN_S) + _TURN_S:
                self._asked_s[network] = now_s
                self._kick(grid_of(network))

    async def suspect(self, grid: GridId) -> None:
        """A guest of the grid does not answer: looks at the networks, and has all of the grid looked at."""
        await self.compare()
        self._kick(grid)

    async def have(
        self, grid: GridId, plans: tuple[NetworkPlan, ...], *, others_stay: bool = False
    ) -> None:
        """Puts a grid's plans in force, and leaves nothing of its other networks, unless they stay.

        Raises NetworkError.
        """
        names = [plan.network for plan in plans]
        for network in () if others_stay else await self._network.observe():
            if grid_of(network) == grid and network not in names:
                await self.remove(network)
        for plan in plans:
            await self.ensure(plan)

    async def started(self, plans: tuple[NetworkPlan, ...]) -> None:
        """A guest of these networks was started. Raises NetworkError.

        libvirt gives the tap of a machine that it starts a queue of its own, in place of the one that holds it
        to a rate. Nobody undid anything, so that is not told.
        """
        for plan in plans:
            if any(port.bits_s for port in plan.ports):
                await self.ensure(plan, quietly=True)

    async def ensure(self, plan: NetworkPlan, *, quietly: bool = False) -> None:
        """Puts a plan in force, and tells if that was a mend. Raises NetworkError; if the network was in force
        before, that is told, once for each reason."""
        self._asked_s.pop(plan.network, None)
        try:
            harm = await self._network.ensure(plan)
            if self._opening is not None:
                await self._opening.stands(plan.network)
            if self._carrying is not None:
                await self._carrying.stands(plan)
        except NetworkError as error:
            self._failed(plan, str(error))
            raise
        self._kept.add(plan.network)
        was_broken = self._broken.pop(plan.network, None)
        if harm and not quietly:
            self._mended(plan, harm)
        elif was_broken:
            self._say(plan, Care.MENDED, f"it could not be mended; now it is. It was: {was_broken}")

    async def remove(self, network: str) -> None:
        """Leaves nothing of a network, neither here nor there."""
        if self._opening is not None:
            self._opening.gone(network)
        await self._network.remove(network)
        if self._carrying is not None:
            self._carrying.changed()
        self._kept.discard(network)
        self._asked_s.pop(network, None)
        self._mends.forget(network)
        self._broken.pop(network, None)

    def trouble(self, network: str) -> str:
        """Why a network is not as it should be; empty if it is, as far as is known."""
        return self._broken.get(network, "")

    def _mended(self, plan: NetworkPlan, harm: str) -> None:
        now_s = time.monotonic()
        count, pause_s = self._mends.mended(plan.network, now_s)
        if not is_told(count):
            return
        if count <= AT_ONCE:
            self._say(plan, Care.MENDED, f"{harm}; made as it was")
            return
        since_s = self._mends.since_s(plan.network, now_s)
        self._say(
            plan,
            Care.UNSTEADY,
            f"{harm}; made as it was, for the {count}th time in {since_s:.0f} s: something on this host undoes "
            f"it. It is mended again in {pause_s:.0f} s at the earliest; look for another manager of networks "
            f"or firewall that does not leave ov* links and ovl_* tables alone",
        )

    def _failed(self, plan: NetworkPlan, error: str) -> None:
        if plan.network not in self._kept or self._broken.get(plan.network) == error:
            return
        self._broken[plan.network] = error
        self._say(plan, Care.BROKEN, f"{error}; it is tried again")

    def _say(self, plan: NetworkPlan, care: Care, detail: str) -> None:
        grid = grid_of(plan.network)
        name = f"{plan.domain}/{plan.network.removeprefix(f'{grid}.')}"
        self._tell(Kept(grid, name, care, detail))
