"""The transport on ZeroMQ: one ROUTER bound, one DEALER for each connection dialled, CURVE on both.

Read zmq_paths (what merges), zmq_accept, zmq_dial, zmq_beat, zmq_gate and zmq_sockets first. This file joins
them and counts. All of it runs on the loop's thread; ZeroMQ's own thread does the cryptography.
"""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Callable, Set

import zmq

from overlayd.adapters.names import Names, Unresolved
from overlayd.adapters.zmq_accept import Accepted, Acceptor
from overlayd.adapters.zmq_beat import BEAT, Heart
from overlayd.adapters.zmq_dial import Dialler
from overlayd.adapters.zmq_gate import Gate
from overlayd.adapters.zmq_knock import Knock
from overlayd.adapters.zmq_paths import Path, PathTable
from overlayd.adapters.zmq_sockets import Context, new_context
from overlayd.ports.keys import Identity
from overlayd.ports.transport import (
    SCHEME,
    Arrived,
    Knocked,
    Refused,
    Slept,
    Traffic,
    TransportError,
    TransportEvent,
    dialled,
)
from protocol.terms.address import Ip, ip_of
from protocol.terms.ids import PeerId
from protocol.terms.problem import Trouble
from protocol.wire.limits import MAX_FRAME_BYTES

MAX_KNOCKS = 64
"""Knocks at once. Each is a socket and its monitor, for three seconds at most."""

MAX_COUNTED = 4096
"""Peers whose traffic is counted at a time."""


class ZmqTransport:
    """The Transport of one identity. Opened once."""

    def __init__(self, identity: Identity, names: Names | None = None) -> None:
        self.traffic: dict[PeerId, Traffic] = {}
        self.refused: Counter[str] = Counter()
        self._identity, self._names = identity, names or Names()
        self._own = PeerId(identity.key)
        self._instance = secrets.token_bytes(8)
        self._paths = PathTable(self._emit)
        self._diallers: dict[PeerId, Dialler] = {}
        self._knocks: dict[PeerId, Knock] = {}
        self._denied: frozenset[PeerId] = frozenset()
        self._events: deque[TransportEvent] = deque()
        self._giving: asyncio.Handle | None = None
        self._address = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_event: Callable[[TransportEvent], None] | None = None
        self._context: Context | None = None
        self._readiness: Gate | None = None
        self._acceptor: Acceptor | None = None
        self._heart: Heart | None = None

    @property
    def address(self) -> str:
        """The address it listens at."""
        if not self._address:
            raise TransportError("this transport is not open")
        return self._address

    async def open(self, listen: str, on_event: Callable[[TransportEvent], None]) -> None:
        """Listens on `tcp://HOST:PORT`. Raises TransportError."""
        if self._context is not None:
            raise TransportError("this transport was opened before")
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._context = new_context()
        acceptor = Acceptor(
            self._identity,
            self._instance,
            self.refused,
            self._emit,
            on_path=self._paths.add,
            on_frame=self._arrived,
            on_gone=self._gone,
        )
        self._readiness = Gate(self._context, self.refused, acceptor.has_room)
        self._acceptor = acceptor
        try:
            self._address = acceptor.open(self._context, *await self._here(listen))
        except TransportError:
            await self.close()
            raise
        self._heart = Heart(self._loop, self._paths.all, self._slept)

    def dial(self, peer: PeerId, address: str) -> None:
        """Keeps a path to the peer. If it can never come up, there is a Refused and no more."""
        if self._context is None or self._on_event is None:
            raise TransportError("this transport is not open")
        key = self._identity.transport_key_of(peer)
        if why := self._never(peer, address, key):
            self._emit(Refused(address, why[1], peer, why[0]))
        elif (dialler := self._diallers.get(peer)) is not None:
            dialler.redirect(address)
        elif key is not None:
            self._diallers[peer] = Dialler(
                self._context,
                self._identity,
                self._instance,
                peer,
                key,
                address,
                self._names,
                on_path=self._paths.add,
                on_frame=self._arrived,
                on_gone=self._gone,
                on_failed=self._failed,
            )

    def knock(self, peer: PeerId, address: str) -> None:
        """Tries once whether the peer answers at `address`."""
        if self._context is None or self._on_event is None:
            raise TransportError("this transport is not open")
        key = self._identity.transport_key_of(peer)
        if key is None or self._never(peer, address, key):
            self._emit(Knocked(peer, False))
        elif (
            (where := dialled(address))
            and peer not in self._knocks
            and len(self._knocks) < MAX_KNOCKS
        ):
            try:
                self._knocks[peer] = Knock(
                    self._context, self._identity, peer, key, where, self._names, self._knocked
                )
            except zmq.ZMQError:
                self.refused["knock"] += 1

    def hang_up(self, peer: PeerId, *, parting: bool = False) -> None:
        """Stops dialling and closes every path, at once or after what was handed over has gone out."""
        if (dialler := self._diallers.pop(peer, None)) is not None:
            dialler.stop(parting=parting)
        for path in self._paths.of(peer):
            if parting:
                path.part()
            else:
                path.cut()
            self._paths.remove(path, "hung up")

    def deny(self, peers: Set[PeerId]) -> None:
        """Refuses these peers, and only these, from now on."""
        self._denied = frozenset(peers)
        if self._readiness is not None:
            keys = (self._identity.transport_key_of(peer) for peer in peers)
            self._readiness.denied = frozenset(key for key in keys if key is not None)
        for peer in peers:
            self.hang_up(peer)

    def send(self, peer: PeerId, frame: bytes) -> bool:
        """Hands over one frame; False if it could not."""
        path = self._paths.best(peer)
        if path is None:
            self.refused["no-path"] += 1
            return False
        traffic = self._traffic_of(peer)
        if frame == BEAT or len(frame) > MAX_FRAME_BYTES or not path.send(frame):
            return False
        traffic.bytes_out += len(frame)
        return True

    async def close(self) -> None:
        """Closes everything at once."""
        self._on_event = None
        self._events.clear()
        if self._heart is not None:
            self._heart.stop()
        for peer in tuple(self._diallers):
            self._diallers.pop(peer).stop()
        for knock in self._knocks.values():
            knock.close()
        self._knocks.clear()
        if self._acceptor is not None:
            self._acceptor.close()
        if self._readiness is not None:
            self._readiness.close()
        self._acceptor = self._readiness = None
        if self._context is not None and not self._context.closed:
            await asyncio.to_thread(self._context.term)

    def _never(self, peer: PeerId, address: str, key: bytes | None) -> tuple[Trouble, str] | None:
        if key is None:
            return Trouble.NO_KEY, "its key is no key"
        if peer == self._own:
            return Trouble.OWN_KEY, "it is this peer itself"
        if peer in self._denied:
            return Trouble.DENIED, "it is denied"
        if dialled(address) is None:
            return Trouble.NO_ADDRESS, "an address is tcp://HOST:PORT"
        return None

    async def _here(self, listen: str) -> tuple[Ip, str]:
        """Where to listen. Raises TransportError."""
        host, _, port = listen.removeprefix(SCHEME).rpartition(":")
        if ip := ip_of(host.removeprefix("[").removesuffix("]")):
            return ip, port
        try:
            return (await self._names.all_of(host))[0], port
        except Unresolved as error:
            raise TransportError(
                f"cannot listen on {host}:{port}: {error}; write the name into DNS or into /etc/hosts of this "
                "host, or an address of this host, or [::]:PORT for all that it has and gets"
            ) from None

    def _arrived(self, path: Path, frame: bytes) -> None:
        if not self._paths.holds(path):
            self.refused["stale-path"] += 1
            return
        traffic = self._traffic_of(path.peer)
        traffic.bytes_in += len(frame)
        event = Arrived(path.peer, frame)
        if self._events or self._on_event is None:
            self._emit(event)
        else:
            # It is read in a turn of the loop of its own: nothing waits before it, and it need not wait.
            self._on_event(event)

    def _knocked(self, peer: PeerId, reached: bool) -> None:
        del self._knocks[peer]
        self._emit(Knocked(peer, reached))

    def _gone(self, path: Accepted | Dialler, why: str) -> None:
        self._paths.remove(path, why)

    def _failed(self, dialler: Dialler, trouble: Trouble, why: str) -> None:
        self._emit(Refused(dialler.address, why, dialler.peer, trouble))

    def _slept(self, for_s: float) -> None:
        """Tells of it before what waits: this process itself lost what was lost meanwhile."""
        self._emit(Slept(for_s))
        self._events.rotate(1)

    def _traffic_of(self, peer: PeerId) -> Traffic:
        traffic = self.traffic.get(peer)
        if traffic is None:
            traffic = self.traffic[peer] = Traffic()
            if len(self.traffic) > MAX_COUNTED:
                del self.traffic[next(iter(self.traffic))]
        return traffic

    def _emit(self, event: TransportEvent) -> None:
        """Queues an event for the loop's next round: never from inside a call, and always in order."""
        if self._loop is None or self._on_event is None:
            return
        self._events.append(event)
        if self._giving is None:
            self._giving = self._loop.call_soon(self._give)

    def _give(self) -> None:
        self._giving = None
        try:
            while self._events and self._on_event is not None:
                self._on_event(self._events.popleft())
        finally:
            if self._events and self._loop is not None:
                self._giving = self._loop.call_soon(self._give)
