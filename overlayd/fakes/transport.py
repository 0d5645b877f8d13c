"""The transport within one process: a hub that transports listen at and dial through.

It keeps the contract of the real one, but without its cryptography: an identity is what its object says,
unless a test makes it lie (`claims`). The hub can cut two peers off from each other.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Set

from overlayd.ports.transport import (
    Arrived,
    Down,
    Knocked,
    Refused,
    Traffic,
    TransportError,
    TransportEvent,
    Up,
    dialled,
)
from protocol.terms.ids import PeerId
from protocol.terms.problem import Trouble
from protocol.trust.certificate import is_key
from protocol.wire.limits import MAX_FRAME_BYTES

QUEUE_FRAMES = 256
RETRY_S = 0.02


class FakeHub:
    """The network between FakeTransports."""

    def __init__(self) -> None:
        self.listening: dict[str, FakeTransport] = {}
        self._cut: set[frozenset[PeerId]] = set()
        self._next_port = 20_000

    def cut(self, a: PeerId, b: PeerId) -> None:
        """Cuts two peers off: neither reaches the other any more, and what stands falls."""
        self._cut.add(frozenset((a, b)))
        for transport in tuple(self.listening.values()):
            if transport.peer in (a, b):
                transport.drop_paths({a, b}, "the network was cut")

    def heal(self, a: PeerId, b: PeerId) -> None:
        """Undoes `cut`."""
        self._cut.discard(frozenset((a, b)))

    def connected(self, a: PeerId, b: PeerId) -> bool:
        """Whether nothing cuts the two off."""
        return frozenset((a, b)) not in self._cut

    def port(self) -> int:
        """A port that nobody listens at."""
        self._next_port += 1
        return self._next_port


class FakeTransport:
    """The Transport of `peer` at a hub."""

    def __init__(self, hub: FakeHub, peer: PeerId, *, claims: PeerId | None = None) -> None:
        self.traffic: dict[PeerId, Traffic] = {}
        self.refused: Counter[str] = Counter()
        self.peer = peer
        self.claims = claims or peer
        self._hub = hub
        self._address = ""
        self._on_event: Callable[[TransportEvent], None] | None = None
        self._events: deque[TransportEvent] = deque()
        self._giving: asyncio.Handle | None = None
        self._denied: frozenset[PeerId] = frozenset()
        self._dialled: dict[PeerId, str] = {}
        self._timers: dict[PeerId, asyncio.TimerHandle] = {}
        self._paths: dict[PeerId, FakeTransport] = {}
        self._waiting: Counter[PeerId] = Counter()

    @property
    def address(self) -> str:
        """The address it listens at."""
        if not self._address:
            raise TransportError("this transport is not open")
        return self._address

    async def open(self, listen: str, on_event: Callable[[TransportEvent], None]) -> None:
        """Listens. Raises TransportError if the address is taken."""
        host, _, port = listen.rpartition(":")
        where = f"{host}:{self._hub.port()}" if port in ("0", "*") else listen
        if dialled(where) is None or where in self._hub.listening:
            raise TransportError(f"cannot listen on {listen}: it is no address, or in use")
        self._address, self._on_event = where, on_event
        self._hub.listening[where] = self

    def dial(self, peer: PeerId, address: str) -> None:
        """Keeps a path to the peer."""
        if self._on_event is None:
            raise TransportError("this transport is not open")
        if not is_key(peer) or peer in self._denied | {self.peer} or dialled(address) is None:
            self._emit(Refused(address, "it can never come up", peer, self._never(peer, address)))
            return
        known = self._dialled.get(peer)
        self._dialled[peer] = address
        if known is None or (known != address and peer not in self._paths):
            self._retry(peer, 0)

    def knock(self, peer: PeerId, address: str) -> None:
        """Tries once whether the peer answers at `address`."""
        other = self._hub.listening.get(address)
        reached = (
            other is not None
            and other.peer == peer
            and peer not in self._denied | {self.peer}
            and self._hub.connected(self.peer, peer)
            and not other.denies(self.peer)
        )
        self._emit(Knocked(peer, reached))

    def hang_up(self, peer: PeerId, *, parting: bool = False) -> None:
        """Stops dialling and closes every path. What was sent has arrived already."""
        self._dialled.pop(peer, None)
        if (timer := self._timers.pop(peer, None)) is not None:
            timer.cancel()
        self.drop_paths({peer}, "hung up")

    def denies(self, peer: PeerId) -> bool:
        """Whether a peer is refused here."""
        return peer in self._denied

    def deny(self, peers: Set[PeerId]) -> None:
        """Refuses these peers, and only these, from now on."""
        self._denied = frozenset(peers)
        for peer in peers:
            self.hang_up(peer)

    def send(self, peer: PeerId, frame: bytes) -> bool:
        """Hands over one frame; False if it could not."""
        other = self._paths.get(peer)
        if other is None:
            self.refused["no-path"] += 1
            return False
        traffic = self.traffic.setdefault(peer, Traffic())
        if not 0 < len(frame) <= MAX_FRAME_BYTES or not other.take(self.claims, frame):
            return False
        traffic.bytes_out += len(frame)
        return True

    async def close(self) -> None:
        """Closes everything at once."""
        self._hub.listening.pop(self._address, None)
        for peer in tuple(self._dialled):
            self.hang_up(peer)
        self.drop_paths(set(self._paths), "the peer closed")
        self._on_event = None
        self._events.clear()

    # What the hub and other transports call.

    def drop_paths(self, peers: Set[PeerId], why: str) -> None:
        """Both ends of the paths to these peers are gone. Diallers on either side try again."""
        for peer in sorted(peers & set(self._paths)):
            other = self._paths[peer]
            self.lose(peer, why)
            other.lose(self.claims, "it closed the connection or fell silent")

    def lose(self, peer: PeerId, why: str) -> None:
        """This end of a path is gone."""
        if self._paths.pop(peer, None) is not None:
            self._waiting.pop(peer, None)
            self._emit(Down(peer, why))
            if peer in self._dialled:
                self._retry(peer, RETRY_S)

    def take(self, peer: PeerId, frame: bytes) -> bool:
        """A frame from the other end; False if too many wait."""
        if self._waiting[peer] >= 2 * QUEUE_FRAMES:
            return False
        self._waiting[peer] += 1
        traffic = self.traffic.setdefault(peer, Traffic())
        traffic.bytes_in += len(frame)
        self._emit(Arrived(peer, frame))
        return True

    def greeted(self, other: "FakeTransport") -> str:
        """Another transport dialled this one. Answers why it is not welcome; empty if it is."""
        if other.peer in self._denied:
            self.refused["denied"] += 1
            return "it refuses this peer"
        if other.claims != other.peer:
            self.refused["impostor"] += 1
            self._emit(Refused(other.address, f"it is not {other.claims[:16]}, as it says"))
            return "no welcome"
        old = self._paths.get(other.peer)
        if old is not None and old is not other:
            self.lose(other.peer, "it was restarted")
        if other.peer not in self._paths:
            self._paths[other.peer] = other
            self._emit(Up(other.peer, accepted=True))
        return ""

    def _never(self, peer: PeerId, address: str) -> Trouble:
        if not is_key(peer):
            return Trouble.NO_KEY
        if peer == self.peer:
            return Trouble.OWN_KEY
        return Trouble.DENIED if peer in self._denied else Trouble.NO_ADDRESS

    def _retry(self, peer: PeerId, wait_s: float) -> None:
        if (timer := self._timers.pop(peer, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[peer] = loop.call_later(wait_s, self._attempt, peer)

    def _attempt(self, peer: PeerId) -> None:
        address = self._dialled[peer]
        if peer in self._paths:
            return
        other = self._hub.listening.get(address)
        trouble = Trouble.CLOSED
        if other is None:
            why, trouble = "nobody listens there", Trouble.REFUSED
        elif not self._hub.connected(self.peer, other.peer):
            why, trouble = "no answer", Trouble.NO_ANSWER
        elif other.peer != peer:
            why, trouble = "the handshake failed: another peer listens there", Trouble.OTHER_KEY
        elif why := other.greeted(self):
            trouble = Trouble.TURNED_AWAY if other.denies(self.peer) else Trouble.CLOSED
        if why or other is None:
            self._emit(Refused(address, why, peer, trouble))
            self._retry(peer, RETRY_S)
            return
        self._paths[peer] = other
        self._emit(Up(peer))

    def _emit(self, event: TransportEvent) -> None:
        if self._on_event is None:
            return
        self._events.append(event)
        if self._giving is None:
            self._giving = asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        self._giving = None
        while self._events and self._on_event is not None:
            event = self._events.popleft()
            if isinstance(event, Arrived):
                self._waiting[event.peer] = max(0, self._waiting[event.peer] - 1)
            self._on_event(event)
