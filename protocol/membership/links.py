"""Connections: made when there is something to say to a peer, introduced before anything is believed.

Rules. The transport authenticates a connection to a key. The first message each way is a Hello with the
peer's presence, whose certificates must end in the federation's key. Until then nothing else is heard, and
what is to be sent waits in a bounded queue. Neighbours' connections stand. A connection for an errand is
given up after a silence. A peer that cannot be introduced in time is hung up on.

A peer that does not answer when it is dialled, or is not worth dialling (its address is empty then), is
*sought*: the room `relay` makes a path to it, which is as good as a connection (`up` with `relayed`). Dialling
goes on beside it, and the first direct connection takes over.
"""

from collections import deque

import msgspec

from protocol.membership.dialling import Dialling
from protocol.membership.presence import Known
from protocol.terms.effects import Deadline, Dial, Effect, HangUp, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CLOCK_AGAIN_S,
    CLOCK_ASKED_S,
    CLOCK_BOUND_S,
    CLOCK_SAID_MOST_S,
    DIRECT_WITHIN_S,
    HELLO_WITHIN_S,
    IDLE_LINK_S,
    PARTLY_WITHIN_S,
    QUEUED_PER_PEER,
    SEEK_EVERY_S,
    UNDIALLED,
    UNDIALLED_S,
)
from protocol.terms.reach import Reach

_LONG_AGO_S = float("-inf")


class _Link:
    """One peer that we speak with, or want to."""

    def __init__(self, now: float) -> None:
        self.connected = False
        self.dialled = False
        self.sought = False
        """The peer is wanted, and as far as is known only a relay leads to it."""
        self.relayed = False
        self.accepted = False
        """The other end made the connection."""
        self.introduced = False
        self.stands = False
        self.since_s = now
        self.heard_s = now
        self.used_s = now
        self.round_trip_s = 0.0
        self.pinged_s = now
        self.offset_s: float | None = None
        self.compared_s, self.asked_s = 0.0, _LONG_AGO_S
        self.waiting: deque[Send] = deque()


class LinkView(msgspec.Struct, frozen=True):
    """What there is to know about a connection, for snapshots."""

    connected: bool
    introduced: bool
    heard_s: float
    round_trip_s: float
    pinged_s: float
    """When a ping last came or was answered."""
    relayed: bool
    """It is a path through a relay."""


class Links:
    """All connections of one peer."""

    def __init__(self, dialling: Dialling | None = None) -> None:
        """`dialling` says which addresses are dialled, and how often."""
        self._dialling = dialling or Dialling(lambda: "")
        self._links: dict[PeerId, _Link] = {}
        self._unreachable: list[PeerId] = []
        self._seek_s: dict[PeerId, float] = {}
        """When to seek peers that are not connected through a relay."""
        self._undialled: dict[PeerId, float] = {}
        """Peers that did not answer when they were dialled, and when that was."""
        self._partly: dict[PeerId, None] = {}
        """Peers that say that some others cannot dial them."""
        self.dropped = 0
        """How many messages were dropped: too old, or too many, while they waited for a connection."""

    def view(self, peer: PeerId) -> LinkView | None:
        """What there is to know about one connection; None if there is none."""
        link = self._links.get(peer)
        if link is None:
            return None
        return LinkView(
            link.connected,
            link.introduced,
            link.heard_s,
            link.round_trip_s,
            link.pinged_s,
            link.relayed,
        )

    def introduced(self, peer: PeerId) -> bool:
        """Whether the peer showed who it is, on a connection that stands."""
        link = self._links.get(peer)
        return link is not None and link.introduced

    def direct(self, peer: PeerId) -> bool:
        """Whether it is introduced on a direct connection, through no relay."""
        link = self._links.get(peer)
        return link is not None and link.introduced and not link.relayed

    def count_introduced(self) -> int:
        """How many peers showed who they are, on connections or through relays."""
        return sum(link.introduced for link in self._links.values())

    def any_introduced(self) -> bool:
        """Whether any peer is."""
        return any(link.introduced for link in self._links.values())

    def directs(self) -> list[PeerId]:
        """All peers that are introduced on a direct connection."""
        return [p for p, link in self._links.items() if link.introduced and not link.relayed]

    def relayed(self, peer: PeerId) -> bool:
        """Whether what is said to it goes through a relay."""
        link = self._links.get(peer)
        return link is not None and link.relayed

    def accepted(self, peer: PeerId) -> bool:
        """Whether the other end made the connection."""
        link = self._links.get(peer)
        return link is not None and link.accepted

    def dialled(self, peer: PeerId) -> bool:
        """Whether the transport dials that peer."""
        link = self._links.get(peer)
        return link is not None and link.dialled

    def undialled(self, peer: PeerId, now: float) -> bool:
        """Whether that peer did not answer when it was dialled lately."""
        at_s = self._undialled.get(peer)
        return at_s is not None and now < at_s + UNDIALLED_S

    def seeking(self, now: float) -> list[PeerId]:
        """The peers to seek through a relay now: wanted, but not connected in time."""
        due = [peer for peer, at_s in self._seek_s.items() if now >= at_s]
        sought = []
        for peer in due:
            link = self._links[peer]
            self._seek_s[peer] = now + SEEK_EVERY_S
            if link.dialled:
                self._undialled.pop(peer, None)
                self._undialled[peer] = now
                if len(self._undialled) > UNDIALLED:
                    del self._undialled[next(iter(self._undialled))]
            sought.append(peer)
        return sought

    def moved(self, before: Known | None, known: Known) -> None:
        """Takes what is known of a peer now. If it says that it is elsewhere, it may be dialled again."""
        if before is not None and _whereabouts(before) == _whereabouts(known):
            return
        self._undialled.pop(known.peer, None)
        self._partly.pop(known.peer, None)
        if known.reach is Reach.RELAYED:
            self._partly[known.peer] = None

    def near(self, peer: PeerId, address: str | None, now: float) -> bool:
        """Whether a peer at that address is within direct reach, as far as is known.

        Neighbours watch each other, and over a relay they would watch the relay.
        """
        if not self._undialled and address != "":
            return True
        return self.direct(peer) or (bool(address) and not self.undialled(peer, now))

    def route(self, send: Send, address: str | None, now: float) -> list[Effect]:
        """Sends now, or queues and dials `address`, or has the peer sought if `address` is empty. If it is
        None, the message is dropped and counted."""
        link = self._links.get(send.peer)
        if link is not None and link.introduced:
            link.used_s = now
            return [send]
        effects: list[Effect] = []
        if link is None or not (link.connected or link.dialled or link.sought):
            if address is None:
                self.dropped += 1
                return []
            link = link or self._open(send.peer, now)
            effects += self._call(send.peer, link, address, now)
        if len(link.waiting) >= QUEUED_PER_PEER:
            link.waiting.popleft()
            self.dropped += 1
        link.waiting.append(send)
        return effects

    def stand(self, peer: PeerId, address: str | None, now: float) -> list[Effect]:
        """Keeps a neighbour's connection, which is made if need be."""
        link = self._links.get(peer) or self._open(peer, now)
        link.stands = True
        if link.connected or link.dialled or link.sought or address is None:
            return []
        return self._call(peer, link, address, now)

    def dial(self, peer: PeerId, address: str, now: float) -> list[Effect]:
        """Dials a peer that was not dialled so far, but turned out to answer at `address`."""
        link = self._links.get(peer)
        if link is None or link.dialled or not (address and self._dialling.allows(address, now)):
            return []
        link.dialled, link.sought = True, False
        self._undialled.pop(peer, None)
        return [Dial(peer, address)]

    def reach(
        self, peer: PeerId, address: str, now: float, *, direct: bool = False
    ) -> list[Effect]:
        """Makes a connection for a moment, to say hello and to hear it. `direct`: through no relay."""
        effects = self.stand(peer, address, now)
        self.release(peer, now)
        if direct and peer in self._seek_s and not self._links[peer].waiting:
            del self._seek_s[peer]
        return effects

    def release(self, peer: PeerId, now: float) -> None:
        """The connection is no longer a neighbour's. It ends after a silence."""
        link = self._links.get(peer)
        if link is not None:
            link.stands, link.used_s = False, now

    def up(
        self,
        peer: PeerId,
        hello: msgspec.Struct,
        now: float,
        *,
        relayed: bool = False,
        accepted: bool = False,
    ) -> list[Effect]:
        """The transport connected, or a relay did. This peer introduces itself."""
        link = self._links.get(peer) or self._open(peer, now)
        if relayed and link.connected and not link.relayed:
            return []  # What was sought has come of itself.
        link.connected, link.since_s, link.heard_s, link.used_s = True, now, now, now
        link.relayed, link.accepted = relayed, accepted
        self._seek_s.pop(peer, None)
        if not relayed:
            self._undialled.pop(peer, None)
        return [Send(peer, hello)]

    def introduce(self, peer: PeerId, now: float) -> list[Effect]:
        """The peer's Hello was good, so what waited goes out."""
        link = self._links.get(peer)
        if link is None:
            return []
        link.introduced, link.heard_s, link.used_s = True, now, now
        waiting, link.waiting = list(link.waiting), deque()
        return list(waiting)

    def heard(self, peer: PeerId, now: float) -> None:
        """Something came from the peer."""
        link = self._links.get(peer)
        if link is not None:
            link.heard_s = now

    def used(self, peer: PeerId, now: float) -> None:
        """Something other than a ping came, so the errand goes on."""
        link = self._links.get(peer)
        if link is not None:
            link.used_s = now

    def compared(self, peer: PeerId, round_trip_s: float, offset_s: float, now: float) -> None:
        """A pong told the other's clock. A pong that was long under way tells little, and does not count."""
        link = self._links.get(peer)
        if link is None or not 0 <= round_trip_s <= CLOCK_BOUND_S:
            return
        offset_s = max(-CLOCK_SAID_MOST_S, min(CLOCK_SAID_MOST_S, offset_s))
        old = link.offset_s
        # A clock that was set jumps. A drift is smoothed.
        jumped = old is None or abs(offset_s - old) > CLOCK_BOUND_S
        link.offset_s = offset_s if old is None or jumped else old + (offset_s - old) / 4
        link.compared_s = now

    def asks_time(self, peer: PeerId, now: float) -> bool:
        """Whether that peer's clock is to be asked for: it was not compared on this connection, or long ago.

        It is asked for once in CLOCK_ASKED_S, however often this says so.
        """
        link = self._links.get(peer)
        if link is None or not link.introduced or now < link.asked_s + CLOCK_ASKED_S:
            return False
        if link.offset_s is not None and now < link.compared_s + CLOCK_AGAIN_S:
            return False
        link.asked_s = now
        return True

    def forget_times(self) -> None:
        """What peers' clocks said does not count any more. They are asked again, as if for the first time."""
        for link in self._links.values():
            link.offset_s, link.asked_s, link.pinged_s = None, _LONG_AGO_S, _LONG_AGO_S

    def offset(self, peer: PeerId) -> float | None:
        """How many seconds that peer's clock is ahead of ours; None if it was not compared."""
        link = self._links.get(peer)
        return link.offset_s if link is not None and link.introduced else None

    def offsets(self) -> list[float]:
        """How many seconds connected peers' clocks are ahead of ours, for those that were compared."""
        return [
            link.offset_s
            for link in self._links.values()
            if link.introduced and link.offset_s is not None
        ]

    def pinged(self, peer: PeerId, now: float) -> None:
        """A ping came or was sent, so none is due for a while."""
        link = self._links.get(peer)
        if link is not None:
            link.pinged_s = now

    def measured(self, peer: PeerId, round_trip_s: float) -> float:
        """A pong came back. Answers the round trip in seconds, smoothed as in RFC 6298."""
        link = self._links.get(peer)
        if link is None or round_trip_s < 0:
            return 0.0
        old = link.round_trip_s or round_trip_s
        link.round_trip_s = old + (round_trip_s - old) / 8
        return link.round_trip_s

    def down(self, peer: PeerId, now: float) -> None:
        """The transport lost the connection, and goes on dialling if it dialled; or the path is over."""
        link = self._links.get(peer)
        if link is None:
            return
        link.connected = link.introduced = link.relayed = link.sought = False
        # It may be another life of that peer, with another clock, that comes back.
        link.offset_s, link.asked_s = None, _LONG_AGO_S
        link.since_s = now
        if not link.dialled and not link.stands and not link.waiting:
            del self._links[peer]
        elif link.dialled:
            self._seek_s[peer] = now + self._patience_s(peer, now)

    def close(self, peer: PeerId, why: str) -> list[Effect]:
        """Hangs up and forgets the connection. What waited is dropped and counted."""
        link = self._links.pop(peer, None)
        self._seek_s.pop(peer, None)
        if link is None:
            return []
        self.dropped += len(link.waiting)
        return [HangUp(peer, why)]

    def tick(self, now: float) -> list[Effect]:
        """Ends connections that nobody needs, and those that were not introduced in time."""
        effects: list[Effect] = []
        for peer, link in list(self._links.items()):
            late = not link.introduced and now >= link.since_s + HELLO_WITHIN_S
            idle = now >= link.used_s + IDLE_LINK_S
            if late and link.connected and link.stands:
                # It is a neighbour's: the next connection begins with another Hello.
                link.connected = link.dialled = link.relayed = link.sought = False
                link.since_s = now
                effects.append(HangUp(peer, "not introduced in time"))
            elif late and link.connected:
                effects += self.close(peer, "not introduced in time")
            elif late and not link.stands:
                self._unreachable.append(peer)
                effects += self.close(peer, "does not answer")
            elif late:
                link.since_s = now
                self.dropped += len(link.waiting)
                link.waiting.clear()
            elif link.introduced and not link.stands and idle:
                effects += self.close(peer, "idle")
        return effects

    def pop_unreachable(self) -> list[PeerId]:
        """Peers that could not be reached since the last call."""
        unreachable, self._unreachable = self._unreachable, []
        return unreachable

    def next_deadline(self) -> Deadline | None:
        """When a connection may have to end."""
        ends = [
            link.used_s + IDLE_LINK_S if link.introduced else link.since_s + HELLO_WITHIN_S
            for link in self._links.values()
            if not (link.introduced and link.stands)
        ]
        ends += self._seek_s.values()
        return Deadline(min(ends), "link") if ends else None

    def _call(self, peer: PeerId, link: _Link, address: str, now: float) -> list[Effect]:
        link.since_s = now
        if not (address and self._dialling.allows(address, now)):
            link.sought = True
            self._seek_s[peer] = now
            return []
        link.dialled = True
        self._seek_s[peer] = now + self._patience_s(peer, now)
        return [Dial(peer, address)]

    def _patience_s(self, peer: PeerId, now: float) -> float:
        if self.undialled(peer, now):
            return 0.0
        return PARTLY_WITHIN_S if peer in self._partly else DIRECT_WITHIN_S

    def _open(self, peer: PeerId, now: float) -> _Link:
        link = _Link(now)
        self._links[peer] = link
        return link


def _whereabouts(known: Known) -> tuple[int, str, Reach]:
    return known.incarnation, known.address, known.reach
