"""The driver: waits for an event or the node's deadline, asks the node, has the effects carried out.

The deadline is the only timer in the process. Nothing here knows what a grid is.
"""

import asyncio
from collections import Counter

from overlayd.loop.inbox import Inbox
from overlayd.loop.interpreter import Interpreter
from overlayd.loop.mishandled import Mishandled
from overlayd.ports.clock import Clock
from overlayd.ports.store import StoreError
from protocol.node.events import Event, Stopping, Ticked
from protocol.node.node import Node
from protocol.node.verdict import speaker
from protocol.terms.ids import PeerId

_TURN_S = 0.001
"""How long events are handled before the loop gets a turn for sockets, the API and timers. One peer's flood
adds at most this to another's wait."""


class Driver:
    """Runs one node."""

    def __init__(self, node: Node, inbox: Inbox, interpreter: Interpreter, clock: Clock) -> None:
        self._node, self._inbox, self._interpreter, self._clock = node, inbox, interpreter, clock
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._stop = False
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Runs until `stop`. Raises what ends this life: a store that cannot be written, or Mishandled."""
        loop = asyncio.get_running_loop()
        turn_s = loop.time() + _TURN_S
        while not self._stop:
            event = self._inbox.pop() or self._due()
            if event is None:
                await self._inbox.wait()
                turn_s = loop.time() + _TURN_S
                continue
            await self.step(event)
            if loop.time() >= turn_s:
                await asyncio.sleep(0)
                turn_s = loop.time() + _TURN_S
        await self.step(Stopping())
        self._disarm()

    def stop(self) -> None:
        """Ends `run` after the event in hand."""
        self._stop = True
        self._inbox.wake()

    async def step(self, event: Event) -> None:
        """Handles one event, and everything that follows from it at once. Raises StoreError or Mishandled."""
        try:
            await self._step(event)
        except (StoreError, Mishandled):
            raise
        except Exception as error:  # whatever it is, the state is half changed
            raise Mishandled(event, error) from error

    async def _step(self, event: Event, *, first: bool = True) -> None:
        now = self._clock.now()
        self.counts["events"] += 1
        effects = self._node.handle(event, now)
        if first:  # What this peer then says to itself follows from the same words.
            self._interpreter.of = speaker(event, self._judged)
        for follower in await self._interpreter.carry_out(effects):
            await self._step(follower, first=False)

    def _judged(self) -> PeerId | None:
        """Who said what came through a relay. The view is loaded then, or with the host's side."""
        from protocol.node.snapshot import PeerView

        return PeerView(self._node).judged

    def _due(self) -> Event | None:
        """The deadline as an event if it has come. Otherwise it sets a timer, and answers None."""
        deadline = self._node.next_deadline()
        left_s = deadline.at_s - self._clock.now()
        if left_s <= 0:
            return Ticked()
        if self._timer is None or deadline.at_s != self._timer_s:
            self._disarm()
            self._timer_s = deadline.at_s
            self._timer = asyncio.get_running_loop().call_later(left_s, self._fire)
        return None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._inbox.wake()
