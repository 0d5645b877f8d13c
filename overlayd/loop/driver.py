"""The driver: waits for an event or the node's deadline, asks the node, has the effects carried out.

The deadline is the only timer in the process. Nothing here knows what a grid is.
"""

import asyncio
from collections import Counter

from overlayd.loop.inbox import Inbox
from overlayd.loop.interpreter import Interpreter
from overlayd.ports.clock import Clock
from protocol.node.events import Event, Stopping, Ticked
from protocol.node.node import Node

_TURNS = 64
"""Events handled before the loop gets a turn for sockets, the API and timers."""


class Driver:
    """Runs one node."""

    def __init__(self, node: Node, inbox: Inbox, interpreter: Interpreter, clock: Clock) -> None:
        self._node, self._inbox, self._interpreter, self._clock = node, inbox, interpreter, clock
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._stop = False
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Until `stop`. Raises what ends the process: a store that cannot be written."""
        while not self._stop:
            handled = 0
            while not self._stop and (event := self._next()) is not None:
                await self.step(event)
                handled += 1
                if handled % _TURNS == 0:
                    await asyncio.sleep(0)
            if not self._stop:
                self._arm()
                await self._inbox.wait()
        await self.step(Stopping())
        if self._timer is not None:
            self._timer.cancel()

    def stop(self) -> None:
        """Ends `run` after the event in hand."""
        self._stop = True
        self._inbox.wake()

    async def step(self, event: Event) -> None:
        """One event, and everything that follows from it at once."""
        now = self._clock.now()
        self.counts["events"] += 1
        followers = await self._interpreter.carry_out(self._node.handle(event, now))
        for follower in followers:
            await self.step(follower)

    def _next(self) -> Event | None:
        """The next event; the deadline is one when it has come."""
        event = self._inbox.pop()
        if event is not None:
            return event
        deadline = self._node.next_deadline()
        if deadline is not None and deadline.at_s <= self._clock.now():
            return Ticked()
        return None

    def _arm(self) -> None:
        deadline = self._node.next_deadline()
        if self._timer is not None:
            if deadline is not None and deadline.at_s == self._timer_s:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            delay_s = max(0.0, deadline.at_s - self._clock.now())
            self._timer_s = deadline.at_s
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._inbox.wake()
