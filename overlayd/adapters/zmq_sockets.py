"""ZeroMQ sockets on the asyncio loop: made with every limit set, and read without starving anybody.

A ZeroMQ descriptor is edge-triggered: it becomes readable when something changed, not while something waits.
So after each edge, and after each send (which may swallow an edge), a socket is read until it is empty, in
turns of at most TURN messages.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import zmq

from overlayd.ports.keys import Identity
from protocol.terms.address import Ip
from protocol.wire.limits import MAX_FRAME_BYTES

TURN = 4
"""How many messages are read before others get their turn."""

QUEUE_FRAMES = 256
"""Frames queued for one path, each way. A burst of gossip fits, and a peer that reads nothing costs no more
than this."""

HANDSHAKE_MS, DIALLED_HANDSHAKE_MS = 5000, 4000
"""What a handshake may take. A dialler gives up a little sooner, so that it is told before anybody hangs up."""
CONNECT_MS = 3000
PARTING_S = 0.5
"""How long the last words to a peer that is hung up on have to go out."""
MAX_SOCKETS = 8192

_CURVE_OVERHEAD_BYTES = 256
"""What encryption adds to a frame, with room to spare."""

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]


class Pump:
    """Calls `step` for each message there is, and `empty` when none is left.

    `step` reads one message and handles it. If it fails, the rest is still read.
    """

    def __init__(
        self, socket: Socket, step: Callable[[], None], empty: Callable[[], None] = lambda: None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._fd = int(socket.getsockopt(zmq.FD))
        self._step, self._empty = step, empty
        self._next: asyncio.Handle | None = None
        self._closed = False
        self._loop.add_reader(self._fd, self._turn)
        self.wake()

    def wake(self) -> None:
        """Reads in the loop's next round, whether or not the descriptor says so."""
        if self._next is None and not self._closed:
            self._next = self._loop.call_soon(self._turn)

    def sent(self) -> None:
        """Call this after each send, which may have swallowed an edge."""
        if not self._closed and self._has_some():
            self.wake()

    def drain(self) -> None:
        """Reads now, but at most as much as can be queued."""
        for _ in range(4 * QUEUE_FRAMES):
            if not self._one():
                return

    def close(self) -> None:
        """Stops reading. Call this before the socket is closed."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._fd)
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _turn(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        for _ in range(TURN):
            if not self._one():
                return
        self.wake()

    def _has_some(self) -> bool:
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def _one(self) -> bool:
        if self._closed:
            return False
        # To ask costs a tenth of the exception that a try in vain would raise.
        if not self._has_some():
            self._empty()
            return False
        try:
            self._step()
        except Exception:
            self.wake()
            raise
        return True


def new_context() -> Context:
    """A context with one I/O thread, since a peer has tens of paths, not thousands."""
    context: Context = zmq.Context(io_threads=1)
    context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
    return context


def acceptor_socket(context: Context, identity: Identity, at: Ip) -> Socket:
    """A ROUTER that knows the sender of each frame, and says when it cannot reach a receiver."""
    socket = _limited(context.socket(zmq.ROUTER), at)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, identity.transport_secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, b"overlayd")
    return socket


def dialler_socket(context: Context, identity: Identity, server_key: bytes, to: Ip) -> Socket:
    """A DEALER for one connection. It never reconnects by itself, so that each connection has its greeting."""
    socket = _limited(context.socket(zmq.DEALER), to)
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, DIALLED_HANDSHAKE_MS)
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, identity.transport_public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, identity.transport_secret)
    return socket


def _limited(socket: Any, ip: Ip) -> Socket:
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.IPV6, int(ip.version == 6)),  # not always: a kernel may have none
        (zmq.SNDHWM, QUEUE_FRAMES),
        (zmq.RCVHWM, QUEUE_FRAMES),
        (zmq.MAXMSGSIZE, MAX_FRAME_BYTES + _CURVE_OVERHEAD_BYTES),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
    ):
        socket.setsockopt(option, value)
    limited: Socket = socket
    return limited
