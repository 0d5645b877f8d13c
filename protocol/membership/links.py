"""Connections: made when somebody is to be spoken to, introduced before anything is believed.

Rules. The transport authenticates a connection to a key. The first message each way is a Hello with the
peer's presence, whose certificates must end in the federation's key; until then nothing else is heard,
and what is to be sent waits in a bounded queue. Neighbours' connections stand; one made for an errand is
given up after a silence. A peer that cannot be introduced in time is hung up on.
"""

from collections import deque

import msgspec

from protocol.terms.effects import Deadline, Dial, Effect, HangUp, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import CLOCK_BOUND_S, HELLO_WITHIN_S, IDLE_LINK_S, QUEUED_PER_PEER


class _Link:
    """One peer we speak with, or want to."""

    def __init__(self, now: float) -> None:
        self.connected = False
        self.dialled = False
        self.introduced = False
        self.standing = False
        self.since_s = now
        self.heard_s = now
        self.used_s = now
        self.round_trip_s = 0.0
        self.pinged_s = now
        self.offset_s: float | None = None
        self.waiting: deque[Send] = deque()


class LinkView(msgspec.Struct, frozen=True):
    """What there is to know about a connection, for snapshots."""

    connected: bool
    introduced: bool
    heard_s: float
    round_trip_s: float
    pinged_s: float
    """When a ping last came or was answered."""


class Links:
    """All connections of one peer."""

    def __init__(self) -> None:
        self._links: dict[PeerId, _Link] = {}
        self._unreachable: list[PeerId] = []
        self.dropped = 0
        """Messages that waited too long or too many for a connection."""

    def view(self, peer: PeerId) -> LinkView | None:
        """One connection."""
        link = self._links.get(peer)
        if link is None:
            return None
        return LinkView(
            link.connected, link.introduced, link.heard_s, link.round_trip_s, link.pinged_s
        )

    def introduced(self, peer: PeerId) -> bool:
        """Whether the peer showed who it is, on a connection that stands."""
        link = self._links.get(peer)
        return link is not None and link.introduced

    def route(self, send: Send, address: str | None, now: float) -> list[Effect]:
        """Sends now, or queues and dials `address`; without an address it is dropped and counted."""
        link = self._links.get(send.peer)
        if link is not None and link.introduced:
            link.used_s = now
            return [send]
        effects: list[Effect] = []
        if link is None or not (link.connected or link.dialled):
            if address is None:
                self.dropped += 1
                return []
            link = link or self._open(send.peer, now)
            link.dialled, link.since_s = True, now
            effects.append(Dial(send.peer, address))
        if len(link.waiting) >= QUEUED_PER_PEER:
            link.waiting.popleft()
            self.dropped += 1
        link.waiting.append(send)
        return effects

    def stand(self, peer: PeerId, address: str | None, now: float) -> list[Effect]:
        """This is a neighbour's connection: keep it, make it if need be."""
        link = self._links.get(peer) or self._open(peer, now)
        link.standing = True
        if link.connected or link.dialled or address is None:
            return []
        link.dialled, link.since_s = True, now
        return [Dial(peer, address)]

    def reach(self, peer: PeerId, address: str, now: float) -> list[Effect]:
        """Makes a connection for a moment: to say hello, and hear it."""
        effects = self.stand(peer, address, now)
        self.release(peer, now)
        return effects

    def release(self, peer: PeerId, now: float) -> None:
        """No longer a neighbour's; ends after a silence."""
        link = self._links.get(peer)
        if link is not None:
            link.standing, link.used_s = False, now

    def up(self, peer: PeerId, hello: msgspec.Struct, now: float) -> list[Effect]:
        """The transport connected; we introduce ourselves."""
        link = self._links.get(peer) or self._open(peer, now)
        link.connected, link.since_s, link.heard_s, link.used_s = True, now, now, now
        return [Send(peer, hello)]

    def introduce(self, peer: PeerId, now: float) -> list[Effect]:
        """The peer's Hello was good; what waited goes out."""
        link = self._links.get(peer)
        if link is None:
            return []
        link.introduced, link.heard_s, link.used_s = True, now, now
        waiting, link.waiting = list(link.waiting), deque()
        return list(waiting)

    def heard(self, peer: PeerId, now: float) -> None:
        """Anything at all came from the peer."""
        link = self._links.get(peer)
        if link is not None:
            link.heard_s = now

    def used(self, peer: PeerId, now: float) -> None:
        """Something other than a ping came: the errand goes on."""
        link = self._links.get(peer)
        if link is not None:
            link.used_s = now

    def compared(self, peer: PeerId, round_trip_s: float, offset_s: float) -> None:
        """A pong told the other's clock. One that was long under way tells little, and is not counted."""
        link = self._links.get(peer)
        if link is None or not 0 <= round_trip_s <= CLOCK_BOUND_S:
            return
        old = link.offset_s
        # A clock that was set jumps; what drifts is smoothed.
        jumped = old is None or abs(offset_s - old) > CLOCK_BOUND_S
        link.offset_s = offset_s if old is None or jumped else old + (offset_s - old) / 4

    def offsets(self) -> list[float]:
        """By how much clocks of connected peers are ahead of ours, as far as they have been compared."""
        return [
            link.offset_s
            for link in self._links.values()
            if link.introduced and link.offset_s is not None
        ]

    def pinged(self, peer: PeerId, now: float) -> None:
        """A ping came, or was sent: none is due for a while."""
        link = self._links.get(peer)
        if link is not None:
            link.pinged_s = now

    def measured(self, peer: PeerId, round_trip_s: float) -> float:
        """A pong came back; smoothed as in RFC 6298. Answers the round trip as it is believed now."""
        link = self._links.get(peer)
        if link is None or round_trip_s < 0:
            return 0.0
        old = link.round_trip_s or round_trip_s
        link.round_trip_s = old + (round_trip_s - old) / 8
        return link.round_trip_s

    def down(self, peer: PeerId, now: float) -> None:
        """The transport lost it, and goes on dialling if it dialled."""
        link = self._links.get(peer)
        if link is None:
            return
        link.connected = link.introduced = False
        link.since_s = now
        if not link.dialled and not link.standing and not link.waiting:
            del self._links[peer]

    def close(self, peer: PeerId, why: str) -> list[Effect]:
        """Hangs up and forgets; what waited is dropped and counted."""
        link = self._links.pop(peer, None)
        if link is None:
            return []
        self.dropped += len(link.waiting)
        return [HangUp(peer, why)]

    def tick(self, now: float) -> list[Effect]:
        """Ends connections nobody needs, and those that were not introduced in time."""
        effects: list[Effect] = []
        for peer, link in list(self._links.items()):
            late = not link.introduced and now >= link.since_s + HELLO_WITHIN_S
            idle = now >= link.used_s + IDLE_LINK_S
            if late and link.connected and link.standing:
                # A neighbour's: the next connection begins with another Hello.
                link.connected, link.dialled, link.since_s = False, False, now
                effects.append(HangUp(peer, "not introduced in time"))
            elif late and link.connected:
                effects += self.close(peer, "not introduced in time")
            elif late and not link.standing:
                self._unreachable.append(peer)
                effects += self.close(peer, "does not answer")
            elif late:
                link.since_s = now
                self.dropped += len(link.waiting)
                link.waiting.clear()
            elif link.introduced and not link.standing and idle:
                effects += self.close(peer, "idle")
        return effects

    def pop_unreachable(self) -> list[PeerId]:
        """Peers that could not be reached, since the last call."""
        unreachable, self._unreachable = self._unreachable, []
        return unreachable

    def next_deadline(self) -> Deadline | None:
        """When a connection may have to end."""
        ends = [
            link.used_s + IDLE_LINK_S if link.introduced else link.since_s + HELLO_WITHIN_S
            for link in self._links.values()
            if not (link.introduced and link.standing)
        ]
        return Deadline(min(ends), "link") if ends else None

    def _open(self, peer: PeerId, now: float) -> _Link:
        link = _Link(now)
        self._links[peer] = link
        return link
