"""Watches guests: from booting to running to reachable to ready, and when they stop answering.

*Running* is the hypervisor's word, *reachable* the network's, *ready* the guest's: it says so at the metadata
address, and the node remembers it for as long as that start of it lives. A guest that never says anything
counts as ready when it has been reachable for a minute. One that has asked at that address, or was given
user-data, is likely to say so, and gets a quarter of an hour.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from overlayd.ports.network import Network, NetworkError
from overlayd.realise.keeping import Keeping
from overlayd.realise.plan import probe_address
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.lifecycle import Phase, Word
from protocol.hosting.events import GuestSaid, Progressed
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId
from protocol.terms.limits import READY_LATE_S, READY_UNSAID_S

SSH_PORT = 22
_PROBE_WITHIN_S = 1.0
_PROBE_EVERY_S = 0.5
_WATCH_EVERY_S = 15.0
_MISSES = 3
"""So many probes in a row must fail before a reachable guest counts as running only."""
_SILENT = 20
"""So many probes in a row fail before a guest that was ready counts as one that SSH does not reach at all."""

Key = tuple[GridId, str]


@dataclass
class _Guest:
    """What is known of one guest that is watched."""

    key: Key
    mine: PartOf
    again: str
    """What is told with each phase: why it was started again, if it was, and what it does not have yet."""
    word: Word | None = None
    answers: bool = False
    lost: bool = False
    """Whether it has answered and does not any more."""
    asked: bool = False
    """Whether it has asked anything at the metadata address."""
    since_s: float = 0.0
    """Since when it answers and has said nothing."""
    said: tuple[Phase, str] | None = None
    """What was told of it last."""

    @property
    def says_ready(self) -> bool:
        return self.word is not None and not self.word.problem

    def patience_s(self) -> float:
        """For how long it is waited for its word."""
        likely = self.asked or bool(self.mine.workspace.user_data)
        return READY_LATE_S if likely else READY_UNSAID_S


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
        self._tasks: dict[Key, tuple[_Guest, asyncio.Task[None]]] = {}

    def follow(self, part: Part, mine: PartOf, again: str = "") -> None:
        """The machine runs: tells when it is seen to answer, and when it is ready.

        A second call only brings what its guest has said meanwhile, and another `again`: what is told with it.
        """
        key = (part.record.id, mine.workspace.name)
        running = self._tasks.get(key)
        if running is not None and _is_same(running[0], mine) and not running[1].done():
            self._noted(running[0], again)
            self._heard(running[0], mine.word)
            return
        self.drop(*key)
        guest = _Guest(key, mine, again, mine.word)
        address = probe_address(part, mine)
        if address is None or not self._probes:
            why = "" if address is None else "the test driver's guests cannot answer"
            self._say(guest, Phase.RUNNING, again or why, final=True)
            return
        self._say(guest, Phase.RUNNING, again)
        work = self._probe(guest, *address)
        task = self._supervisor.spawn(f"watch {mine.workspace.name}", work)
        self._tasks[key] = guest, task

    def asked(self, grid: GridId, workspace: str) -> None:
        """The guest asked something at the metadata address."""
        running = self._tasks.get((grid, workspace))
        if running is not None:
            running[0].asked = True

    def drop(self, grid: GridId, workspace: str) -> None:
        """Stops watching one workspace."""
        running = self._tasks.pop((grid, workspace), None)
        if running is not None:
            running[1].cancel()

    def forget(self, grid: GridId) -> None:
        """Stops watching all workspaces of a grid."""
        for key in [key for key in self._tasks if key[0] == grid]:
            self.drop(*key)

    async def _probe(self, guest: _Guest, network: str, address: str) -> None:
        misses = 0
        while True:
            try:
                answers = await self._network.reachable(network, address, SSH_PORT, _PROBE_WITHIN_S)
            except NetworkError:
                answers = False
            misses = 0 if answers else misses + 1
            if guest.answers and misses == 1:
                # The reason may be on this host. It is mended before the next probes, if it can be.
                await self._keeping.suspect(guest.key[0])
            if answers and not guest.answers:
                guest.answers, guest.lost, guest.since_s = True, False, time.monotonic()
                self._up(guest)
            elif guest.answers and misses >= _MISSES:
                guest.answers, guest.lost = False, True
                trouble = self._keeping.trouble(network)
                why = f"does not answer: {trouble}" if trouble else "does not answer"
                self._say(guest, Phase.RUNNING, why)
            elif misses == _SILENT and guest.word is not None and not guest.lost:
                self._up(guest)
            await asyncio.sleep(self._pause_s(guest, misses))

    def _pause_s(self, guest: _Guest, misses: int) -> float:
        """How long until the next probe. The patience with a guest that says nothing may end before."""
        if not guest.answers or misses:
            return _PROBE_EVERY_S
        if guest.word is not None:
            return _WATCH_EVERY_S
        left_s = guest.since_s + guest.patience_s() - time.monotonic()
        if left_s > 0:
            return min(left_s, _WATCH_EVERY_S)
        self._tell(GuestSaid(*guest.key, guest.mine.wanted.boot))
        return _WATCH_EVERY_S

    def _noted(self, guest: _Guest, again: str) -> None:
        """Tells it with what was told last, if that was told with the one before."""
        before, guest.again = guest.again, again
        if again != before and guest.said is not None and guest.said[1] == before:
            self._say(guest, guest.said[0], again)

    def _heard(self, guest: _Guest, word: Word | None) -> None:
        """What a guest has said is known: tells it if it is another word than before."""
        if word == guest.word:
            return
        if word is None:  # it began anew by itself
            guest.asked, guest.since_s = False, time.monotonic()
        guest.word = word
        if guest.answers or (word is not None and not guest.lost):
            self._up(guest)
        elif word is None and not guest.lost:
            self._say(guest, Phase.RUNNING, guest.again)

    def _up(self, guest: _Guest) -> None:
        """Tells that it answers, or is ready, or what its guest says is wrong."""
        if guest.says_ready:
            self._say(guest, Phase.READY, guest.again)
            return
        if guest.word is None:
            self._say(guest, Phase.REACHABLE, guest.again)
            return
        # Its set-up is over, and it will not be ready by itself.
        self._say(guest, Phase.REACHABLE, f"its guest says: {guest.word.problem}", final=True)

    def _say(self, guest: _Guest, phase: Phase, detail: str, final: bool = False) -> None:
        boot, (grid, workspace) = guest.mine.wanted.boot, guest.key
        guest.said = phase, detail
        self._tell(Progressed(grid, workspace, phase, detail, boot, final))


def _is_same(guest: _Guest, mine: PartOf) -> bool:
    """Whether it is the same start of that workspace."""
    return guest.mine.wanted.boot == mine.wanted.boot
