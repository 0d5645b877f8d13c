"""A knock: one handshake at an address, to see whether that peer answers there, and no more.

The handshake is CURVE's, with the peer's key pinned. Only the key's holder completes it, so a stranger at the
same private address is not taken for the peer. Nothing is sent afterwards: to the other end it is a connection
that never greeted.
"""

import asyncio
from collections.abc import Callable

import zmq
from zmq.utils.monitor import recv_monitor_message

from overlayd.adapters.names import Names, Unresolved
from overlayd.adapters.zmq_sockets import Context, Pump, Socket, dialler_socket
from overlayd.ports.keys import Identity
from overlayd.ports.transport import SCHEME
from protocol.terms.address import Address, Ip
from protocol.terms.ids import PeerId

KNOCK_S = 3.0
"""From dialling to the end of the handshake."""

_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class Knock:
    """Calls `on_done(peer, reached)` once, unless it is closed before.

    Raises zmq.ZMQError if there is no room for it.
    """

    def __init__(
        self,
        context: Context,
        identity: Identity,
        peer: PeerId,
        server_key: bytes,
        address: Address,
        names: Names,
        on_done: Callable[[PeerId, bool], None],
    ) -> None:
        self._peer, self._on_done = peer, on_done
        self._key = context, identity, server_key
        self._closed = False
        self._socket: Socket | None = None
        self._monitor: Socket | None = None
        self._pump: Pump | None = None
        self._looking: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        if address.ip is not None:
            self._connect(address.ip, address.port)
        else:
            self._looking = loop.create_task(self._look(address, names))
        self._timer = loop.call_later(KNOCK_S, self._done, False)

    def close(self) -> None:
        """Ends the knock, however far it has come."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        if self._pump is not None:
            self._pump.close()
        if self._socket is not None and self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(0)

    async def _look(self, address: Address, names: Names) -> None:
        try:
            ip = await names.one_of(address, 0)
            self._looking = None
            self._connect(ip, address.port)
        except (Unresolved, zmq.ZMQError):
            self._looking = None
            self._done(False)

    def _connect(self, ip: Ip, port: int) -> None:
        self._socket = dialler_socket(*self._key, ip)
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        self._socket.connect(f"{SCHEME}{Address(str(ip), port)}")
        self._pump = Pump(self._monitor, self._step)

    def _step(self) -> None:
        assert self._monitor is not None
        event = zmq.Event(recv_monitor_message(self._monitor, zmq.NOBLOCK)["event"])
        self._done(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def _done(self, reached: bool) -> None:
        if not self._closed:
            self.close()
            self._on_done(self._peer, reached)
