"""The inbox: bounded, and choosy about what it drops when it fills. Adverts first, negotiation last."""

import asyncio
from collections import Counter, deque

from overlayd.ports.peer import Busy
from protocol.broadcast.messages import Announce, BroadcastMessage
from protocol.node.events import Arrived, Event

ROOM = 8192
_GOSSIP_ROOM = ROOM // 2
"""Beyond this, what the directories' comparison will bring again anyway is dropped."""


class Inbox:
    """Events waiting for the node, in order."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._some = asyncio.Event()
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Takes an event, or raises Busy. Gossip is dropped and counted instead, and earlier."""
        if isinstance(event, Arrived) and isinstance(event.message, BroadcastMessage):
            if len(self._events) >= _GOSSIP_ROOM or (
                isinstance(event.message, Announce) and len(self._events) >= _GOSSIP_ROOM // 2
            ):
                self.dropped["gossip"] += 1
                return
        elif len(self._events) >= ROOM:
            self.dropped[type(event).__name__] += 1
            raise Busy(f"{ROOM} events are waiting already")
        self._events.append(event)
        self._some.set()

    def wake(self) -> None:
        """Ends the wait without an event."""
        self._some.set()

    async def wait(self) -> None:
        """Returns when there is an event, or after `wake`."""
        await self._some.wait()
        self._some.clear()

    def pop(self) -> Event | None:
        """The next event."""
        return self._events.popleft() if self._events else None
