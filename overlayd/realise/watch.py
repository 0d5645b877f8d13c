"""Watches guests: from booting to running to reachable, and when they stop answering."""

import asyncio
from collections.abc import Callable

from overlayd.ports.network import Network, NetworkError
from overlayd.realise.keeping import Keeping
from overlayd.realise.plan import probe_address
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.lifecycle import Phase
from protocol.hosting.events import Progressed
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId

SSH_PORT = 22
_PROBE_WITHIN_S = 1.0
_PROBE_EVERY_S = 0.5
_WATCH_EVERY_S = 15.0
_MISSES = 3
"""So many probes in a row must fail before a reachable guest counts as running only."""

Key = tuple[GridId, str]


class Watch:
    """One probe task for each running workspace that has a network."""

    def __init__(
        self,
        network: Network,
        keeping: Keeping,
        supervisor: Supervisor,
        tell: Callable[[Event], None],
        probes: bool,
    ) -> None:
        self._network, self._supervisor, self._tell = network, supervisor, tell
        self._keeping = keeping
        self._probes = probes
        self._tasks: dict[Key, tuple[int, asyncio.Task[None]]] = {}

    def follow(self, part: Part, mine: PartOf, again: str = "") -> None:
        """The machine runs: tells when it is seen to answer. A second call changes nothing. `again` says why it
        was started again, if it was."""
        key = (part.record.id, mine.workspace.name)
        running = self._tasks.get(key)
        if running is not None and running[0] == mine.wanted.boot and not running[1].done():
            return
        self.drop(*key)
        address = probe_address(part, mine)
        if address is None or not self._probes:
            why = "" if address is None else "the test driver's guests cannot answer"
            self._say(key, mine, Phase.RUNNING, again or why, final=True)
            return
        self._say(key, mine, Phase.RUNNING, again)
        work = self._probe(key, mine, *address, again)
        task = self._supervisor.spawn(f"watch {mine.workspace.name}", work)
        self._tasks[key] = (mine.wanted.boot, task)

    def drop(self, grid: GridId, workspace: str) -> None:
        """Stops watching one workspace."""
        running = self._tasks.pop((grid, workspace), None)
        if running is not None:
            running[1].cancel()

    def forget(self, grid: GridId) -> None:
        """Stops watching all workspaces of a grid."""
        for key in [key for key in self._tasks if key[0] == grid]:
            self.drop(*key)

    async def _probe(self, key: Key, mine: PartOf, network: str, address: str, again: str) -> None:
        reachable, misses = False, 0
        while True:
            try:
                answers = await self._network.reachable(network, address, SSH_PORT, _PROBE_WITHIN_S)
            except NetworkError:
                answers = False
            misses = 0 if answers else misses + 1
            if reachable and misses == 1:
                # The reason may be on this host. It is mended before the next probes, if it can be.
                await self._keeping.suspect(key[0])
            if answers and not reachable:
                reachable = True
                self._say(key, mine, Phase.REACHABLE, again)
            elif reachable and misses >= _MISSES:
                reachable = False
                trouble = self._keeping.trouble(network)
                why = f"does not answer: {trouble}" if trouble else "does not answer"
                self._say(key, mine, Phase.RUNNING, why)
            await asyncio.sleep(_WATCH_EVERY_S if reachable and not misses else _PROBE_EVERY_S)

    def _say(self, key: Key, mine: PartOf, phase: Phase, detail: str, final: bool = False) -> None:
        boot = mine.wanted.boot
        self._tell(Progressed(key[0], mine.workspace.name, phase, detail, boot, final))
