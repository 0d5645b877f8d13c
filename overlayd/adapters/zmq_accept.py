"""The acceptor: the one ROUTER a peer listens with.

A connection may do one thing first: greet, with its Ed25519 key. If that key does not belong to the Curve25519
key that the connection proved at its handshake, it is an impostor. ZeroMQ has no call to close one connection
of a ROUTER, so its TCP socket is shut down by descriptor, after a check that the descriptor still leads where
it did.
"""

import asyncio
import os
import socket as tcp
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from overlayd.adapters.zmq_beat import BEAT, BEAT_S
from overlayd.adapters.zmq_paths import greeting, read_greeting
from overlayd.adapters.zmq_sockets import PARTING_S, Context, Pump, Socket, acceptor_socket
from overlayd.ports.keys import Identity
from overlayd.ports.transport import SCHEME, Refused, TransportError, TransportEvent
from protocol.terms.address import Address, Ip
from protocol.terms.ids import PeerId

GREETING_S = 6.0
"""From TCP to greeting: one second more than ZeroMQ's own handshake may take."""

MAX_CONNECTIONS = 1024
"""Greeted connections: far more than a peer ever has neighbours, and far fewer than descriptors."""

_ANSWER_EVERY_S = BEAT_S / 4
"""A heartbeat that comes sooner is not answered: nobody needs it."""

_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED


class Accepted:
    """One accepted connection, which is a Path once it is greeted."""

    dialled = False

    def __init__(self, acceptor: "Acceptor", fd: int) -> None:
        self.peer = PeerId("")
        self.instance = b""
        self.route = b""
        self.user = ""
        self.turned_away = False
        self.why = "it closed the connection"
        self.heard_s = self.said_s = self.beat_s = asyncio.get_running_loop().time()
        self.far = _far_end(fd)
        self._fd = fd
        self._acceptor = acceptor

    @property
    def address(self) -> str:
        """The far end's address."""
        if not self.far:
            return ""
        # Where one socket takes both families an IPv4 address is written so.
        return f"{SCHEME}{Address(self.far[0].removeprefix('::ffff:'), self.far[1])}"

    def send(self, frame: bytes) -> bool:
        """Queues a frame; False if the queue is full or the connection is gone."""
        return self._acceptor.send_to(self, frame)

    def cut(self, why: str = "it closed the connection") -> None:
        """Closes it."""
        self.turned_away = True
        self.why = why
        if self.far is None:
            return
        try:
            with _borrow(self._fd) as handle:
                if handle.getpeername() == self.far:
                    handle.shutdown(tcp.SHUT_RDWR)
        except OSError:
            return

    def part(self) -> None:
        """Closes it in a moment, when what was queued has gone out."""
        self.turned_away = True
        asyncio.get_running_loop().call_later(PARTING_S, self.cut)


class Acceptor:
    """Listens; tells `on_path`, `on_frame` and `on_gone`."""

    def __init__(
        self,
        identity: Identity,
        instance: bytes,
        refused: Counter[str],
        emit: Callable[[TransportEvent], None],
        on_path: Callable[[Accepted], None],
        on_frame: Callable[[Accepted, bytes], None],
        on_gone: Callable[[Accepted, str], None],
    ) -> None:
        self._identity = identity
        self._welcome = greeting(PeerId(identity.key), instance)
        self._refused = refused
        self._emit = emit
        self._on_path, self._on_frame, self._on_gone = on_path, on_frame, on_gone
        self._by_fd: dict[int, Accepted] = {}
        self._by_route: dict[bytes, Accepted] = {}
        self._ended: list[Accepted] = []
        self._loop = asyncio.get_running_loop()
        self._router: Socket | None = None
        self._monitor: Socket | None = None
        self._pumps: list[Pump] = []

    def has_room(self) -> bool:
        """Whether one more may be let in."""
        return len(self._by_route) < MAX_CONNECTIONS

    def open(self, context: Context, ip: Ip, port: str) -> str:
        """Binds, and answers the address with its real port. Raises TransportError."""
        listen = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
        self._router = acceptor_socket(context, self._identity, ip)
        self._monitor = self._router.get_monitor_socket(_EVENTS)
        try:
            self._router.bind(f"{SCHEME}{listen}")
        except zmq.ZMQError as error:
            self.close()
            raise TransportError(
                f"cannot listen on {listen}: {error.strerror}; write an address of this host, with a port "
                "nobody uses, or [::]:PORT for all that it has and gets (0.0.0.0:PORT: its IPv4 addresses)"
            ) from None
        self._pumps = [
            Pump(self._monitor, self._monitor_step),
            # Ended connections are gone only once everything they sent is read.
            Pump(self._router, self._router_step, self._forget_ended),
        ]
        return self._router.get_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def close(self) -> None:
        """Closes every connection."""
        for pump in self._pumps:
            pump.close()
        if self._router is not None and self._monitor is not None:
            self._router.disable_monitor()
            self._monitor.close(0)
            self._router.close(0)
        self._router = self._monitor = None
        self._by_fd.clear()

    def send_to(self, connection: Accepted, frame: bytes) -> bool:
        """Queues a frame; False if the queue is full or the connection is gone."""
        if self._router is None:
            return False
        try:
            self._router.send_multipart([connection.route, frame], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            # EHOSTUNREACH: the connection ended, and the monitor says so in a moment.
            return False
        finally:
            self._pumps[1].sent()
        connection.said_s = self._loop.time()
        return True

    def _monitor_step(self) -> None:
        assert self._monitor is not None
        event = recv_monitor_message(self._monitor, zmq.NOBLOCK)
        fd = event["value"]
        if event["event"] == zmq.EVENT_ACCEPTED:
            connection = Accepted(self, fd)
            self._by_fd[fd] = connection
            self._loop.call_later(GREETING_S, self._require_greeting, connection)
        elif (gone := self._by_fd.pop(fd, None)) is not None:
            self._ended.append(gone)
            self._pumps[1].wake()

    def _router_step(self) -> None:
        assert self._router is not None
        parts = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
        route = parts[0].bytes
        connection = self._by_route.get(route)
        if connection is None:
            self._greeted(route, parts)
        elif connection.turned_away:
            return
        elif parts[-1].get("User-Id") != connection.user:
            # A dialler may choose its route, but it may not speak on the route of an ended connection.
            self._refused["not-its-route"] += 1
        elif len(parts) != 2:
            self._turn_away(connection, "not-a-frame", f"a message of {len(parts) - 1} parts")
            self._on_gone(connection, "it broke the rules")
        else:
            self._heard(connection, parts[1].bytes)

    def _heard(self, connection: Accepted, frame: bytes) -> None:
        connection.heard_s = self._loop.time()
        if frame != BEAT:
            self._on_frame(connection, frame)
        elif connection.heard_s - connection.beat_s >= _ANSWER_EVERY_S:
            connection.beat_s = connection.heard_s
            self.send_to(connection, BEAT)

    def _greeted(self, route: bytes, parts: list[zmq.Frame]) -> None:
        # The monitor comes first, since its news of this descriptor may still wait.
        self._pumps[0].drain()
        connection = self._by_fd.get(int(parts[1].get("__fd"))) if len(parts) > 1 else None
        if connection is None or connection.turned_away or connection.route:
            return
        read = read_greeting(parts[1].bytes) if len(parts) == 2 else None
        if read is None:
            self._turn_away(connection, "no-greeting", "its first frame is no greeting")
            return
        peer, instance = read
        key = self._identity.transport_key_of(peer)
        if key is None or key.hex() != parts[1].get("User-Id"):
            self._turn_away(connection, "impostor", f"it is not {peer[:16]}, as it says")
            return
        if peer == PeerId(self._identity.key):
            self._turn_away(connection, "self", "it has this peer's own key")
            return
        connection.peer, connection.instance = peer, instance
        connection.route, connection.user = route, key.hex()
        self._by_route[route] = connection
        connection.heard_s = self._loop.time()
        if self.send_to(connection, self._welcome):
            self._on_path(connection)

    def _require_greeting(self, connection: Accepted) -> None:
        here = connection in self._by_fd.values()
        if here and not connection.route and not connection.turned_away:
            self._turn_away(connection, "silent", f"no greeting within {GREETING_S:.0f} s")

    def _turn_away(self, connection: Accepted, reason: str, why: str) -> None:
        self._refused[reason] += 1
        connection.cut()
        self._emit(Refused(connection.address, why))

    def _forget_ended(self) -> None:
        ended, self._ended = self._ended, []
        for connection in ended:
            if self._by_route.pop(connection.route, None) is not None:
                self._on_gone(connection, connection.why)


def _borrow(fd: int) -> tcp.socket:
    """ZeroMQ's TCP socket under a descriptor of our own. Raises OSError if it is no longer one."""
    copy = os.dup(fd)
    try:
        return tcp.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _far_end(fd: int) -> tuple[Any, ...] | None:
    try:
        with _borrow(fd) as handle:
            name: tuple[Any, ...] = handle.getpeername()
            return name
    except OSError:
        return None
