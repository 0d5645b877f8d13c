"""The inbox: bounded, fair between peers, and choosy about what it drops when it fills.

Each peer has a lane of its own, this host's events have one, and the node takes one event from each in turn. So
a peer that sends much waits for itself, and nobody else does (fair queueing; Demers, Keshav, Shenker 1989; an
event is the unit). A lane holds LANE events and LANE_BYTES of frames. Gossip may fill half of it and
announcements a quarter, since the directories' comparison brings those again; negotiation may fill all of it.
When all lanes together are full, the newest event of the longest lane gives way. Connections that come and go
are never dropped, or what is believed of a connection would stay wrong. An event that this host slept goes
before everything, because it says what the rest means.
"""

import asyncio
from collections import Counter, deque

from overlayd.loop.inbox_waits import Waits
from overlayd.ports.peer import Busy
from protocol.broadcast.messages import Announce, BroadcastMessage
from protocol.node.events import Arrived, Connected, Disconnected, Event, Garbled, Slept
from protocol.terms.ids import PeerId

ROOM = 8192
"""Events in all."""
LANE = ROOM // 4
"""Events of one peer, 0.2 s of the node's time."""
LANE_BYTES = 8 << 20
"""Bytes of one peer's frames: what eight fetches of images have on their way (4 pieces of 256 KiB each)."""

OVERRUN = 64
"""So many drops from one full lane count as a fault."""
LANE_FULL = "lane-full"

_Lane = deque[tuple[Event, int]]
_OF_PEERS = Arrived | Garbled | Connected | Disconnected


class Inbox:
    """Events that wait for the node, in order for each peer."""

    def __init__(self) -> None:
        self._own: _Lane = deque()
        self._lanes: dict[PeerId, _Lane] = {}
        self._bytes: dict[PeerId, int] = {}
        self._turns: deque[PeerId] = deque()
        """Peers with events, the one whose turn is next first."""
        self._count = 0
        self._own_turn = True
        self._overrun: dict[PeerId, int] = {}
        """By lane that was full: how many of its events were dropped and are not yet held against the peer."""
        self._some = asyncio.Event()
        self.dropped: Counter[str] = Counter()
        self.waits = Waits()

    def __len__(self) -> int:
        return self._count

    def put(self, event: Event) -> None:
        """Takes an event. A peer's event without room is dropped and counted. Raises Busy if an event of this
        host finds no room."""
        if isinstance(event, Slept):
            self._own.appendleft((event, 0))
            self._own_turn = True
        elif not isinstance(event, _OF_PEERS):
            if len(self._own) >= ROOM // 2:
                self.dropped[type(event).__name__] += 1
                raise Busy(f"{len(self._own)} events are waiting already")
            self._own.append((event, 0))
        elif isinstance(event, Connected | Disconnected):
            self._append(event.peer, event, 0)
        elif (why := self._no_room(event)) or not self._make_room(event.peer):
            if why == LANE_FULL:
                self.overrun(event.peer)
            else:
                self.dropped[why or "inbox-full"] += 1
            return
        else:
            self._append(event.peer, event, event.size_bytes if isinstance(event, Arrived) else 0)
        self._count += 1
        self.waits.came(event)
        self._some.set()

    def is_full(self, peer: PeerId) -> bool:
        """Whether there is no room for anything of that peer, so that its frames need not be looked into."""
        lane = self._lanes.get(peer)
        return lane is not None and (len(lane) >= LANE or self._bytes[peer] >= LANE_BYTES)

    def overrun(self, peer: PeerId) -> None:
        """Something of a peer whose lane is full was dropped. The node hears of each OVERRUN of those as one
        fault: no honest peer has a lane full of anything but gossip, which fills half of it."""
        self.dropped[LANE_FULL] += 1
        self._overrun[peer] = min(self._overrun.get(peer, 0) + 1, LANE)

    def wake(self) -> None:
        """Ends the wait without an event."""
        self._some.set()

    async def wait(self) -> None:
        """Returns when there is an event, or after `wake`."""
        await self._some.wait()
        self._some.clear()

    def pop(self) -> Event | None:
        """The next event: one of this host's, one of the next peer's, and so on."""
        event = self._next()
        if event is not None:
            self.waits.went(event)
        return event

    def _next(self) -> Event | None:
        if not self._count:
            return None
        self._count -= 1
        own, self._own_turn = self._own_turn, not self._own_turn
        if self._own and (own or not self._turns):
            return self._own.popleft()[0]
        peer = self._turns.popleft()
        if self._overrun.get(peer, 0) >= OVERRUN:
            self._overrun[peer] -= OVERRUN
            self._count += 1
            self._turns.append(peer)
            return Garbled(peer, "flood-unread")
        lane = self._lanes[peer]
        event, size_bytes = lane.popleft()
        self._bytes[peer] -= size_bytes
        if lane:
            self._turns.append(peer)
        else:
            del self._lanes[peer], self._bytes[peer]
            self._overrun.pop(peer, None)
        return event

    # -- parts

    def _append(self, peer: PeerId, event: Event, size_bytes: int) -> None:
        lane = self._lanes.get(peer)
        if lane is None:
            lane = self._lanes[peer] = deque()
            self._bytes[peer] = 0
            self._turns.append(peer)
        lane.append((event, size_bytes))
        self._bytes[peer] += size_bytes

    def _no_room(self, event: Arrived | Garbled) -> str:
        """What a peer's lane is too full for; empty if it has room."""
        if self.is_full(event.peer):
            return LANE_FULL
        if isinstance(event, Arrived) and isinstance(event.message, BroadcastMessage):
            part = 4 if isinstance(event.message, Announce) else 2
            if len(self._lanes.get(event.peer, ())) >= LANE // part or self._count >= ROOM // 2:
                return "gossip"
        return ""

    def _make_room(self, peer: PeerId) -> bool:
        """Whether there is room in all. If need be, it is made at the cost of the longest lane."""
        if self._count < ROOM:
            return True
        longest = max(self._lanes, key=lambda other: len(self._lanes[other]), default=peer)
        if longest == peer or len(self._lanes[longest]) <= len(self._lanes.get(peer, ())) + 1:
            return False
        event, size_bytes = self._lanes[longest][-1]
        if isinstance(event, Connected | Disconnected):
            return False
        self.waits.went(event)
        self._lanes[longest].pop()
        self._bytes[longest] -= size_bytes
        self._count -= 1
        self.dropped["evicted"] += 1
        return True
