"""Has the forwarder probe other hosts', and brings the node what they answer.

The forwarder takes the time of each answer itself, so it matters little when that is fetched: soon after the
probes went, and again a little later as long as answers are missing.
"""

import asyncio
from collections.abc import Callable

from netns.tunnel.tables import PROBE_BYTES_MIN, PROBES_MAX, Probe, ProbeAnswer
from overlayd.ports.forwarder import Forwarder, ForwarderError
from overlayd.telemetry.logs import logger
from protocol.node.events import Event, ProbesAnswered
from protocol.terms.effects import Probing
from protocol.terms.ids import PeerId
from protocol.terms.sealed import TunnelAnswer, TunnelPlace, TunnelProbe

FETCH_S = (0.05, 0.2, 0.5, 0.75)
"""Pauses before the answers to what was sent last are fetched. Together they are less than the time until the
node sends the next probe to who has not answered."""
WAITING_MAX = 16
"""What the node wants probed while the forwarder is busy, at most; of more the oldest is dropped."""


class Prober:
    """The probes of this host, as long as the daemon lives."""

    def __init__(self, forwarder: Forwarder, tell: Callable[[Event], None]) -> None:
        self._forwarder, self._tell = forwarder, tell
        self._wanted: list[Probing] = []
        self._hint = asyncio.Event()
        self._missing: set[tuple[str, int]] = set()

    def probe(self, probing: Probing) -> None:
        """The node wants these probed."""
        self._wanted = [*self._wanted, probing][-WAITING_MAX:]
        self._hint.set()

    async def run(self) -> None:
        """Probes for as long as the daemon lives."""
        while True:
            await self._hint.wait()
            await self.settle()

    async def settle(self) -> None:
        """Sends what is wanted, and fetches answers until all came or it has been long enough."""
        turn, instance = len(FETCH_S), ""
        while self._wanted or (self._missing and turn < len(FETCH_S)):
            self._hint.clear()
            wanted, self._wanted = self._wanted, []
            try:
                for probing in wanted:
                    instance, turn = probing.instance, 0
                    await self._send(probing)
                if not wanted:
                    self._told(instance, await self._forwarder.probe(instance, ()))
            except ForwarderError as error:
                # It is not there, or another: the node is told of it by who starts it.
                logger().debug("probes.not-sent", why=str(error))
                self._missing.clear()
            if not self._missing or turn == len(FETCH_S):
                continue
            pause_s, turn = FETCH_S[turn], turn + 1
            await self._pause(pause_s)
        self._missing.clear()

    async def _pause(self, pause_s: float) -> None:
        """Sleeps, or until more is wanted."""
        try:
            async with asyncio.timeout(pause_s):
                await self._hint.wait()
        except TimeoutError:
            return

    async def _send(self, probing: Probing) -> None:
        probes = [probe_of(probe) for probe in probing.probes]
        for start in range(0, len(probes), PROBES_MAX):
            some = tuple(probes[start : start + PROBES_MAX])
            self._missing |= {(probe.peer, probe.number) for probe in some}
            self._told(probing.instance, await self._forwarder.probe(probing.instance, some))

    def _told(self, instance: str, answers: tuple[ProbeAnswer, ...]) -> None:
        self._missing.difference_update((answer.peer, answer.number) for answer in answers)
        if answers:
            self._tell(ProbesAnswered(instance, tuple(map(answer_of, answers))))


def probe_of(probe: TunnelProbe) -> Probe:
    """As the forwarder is told."""
    place = probe.place or TunnelPlace("", 0)
    size_bytes = max(probe.size_bytes, PROBE_BYTES_MIN)
    return Probe(probe.peer, probe.number, size_bytes, place.address, place.port, probe.pair)


def answer_of(answer: ProbeAnswer) -> TunnelAnswer:
    """As the node is told."""
    return TunnelAnswer(
        PeerId(answer.peer),
        answer.number,
        answer.round_trip_s,
        TunnelPlace(answer.address, answer.port),
        TunnelPlace(answer.seen_address, answer.seen_port),
    )
