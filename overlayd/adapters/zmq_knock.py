"""A knock: one handshake at an address, to see whether that peer answers there, and no more.

The handshake is CURVE's, with the peer's key pinned. Only the key's holder completes it, so a stranger at the
same private address is not taken for the peer. Nothing is sent afterwards: to the other end it is a connection
that never greeted.
"""

import asyncio
from collections.abc import Callable

import zmq
from zmq.utils.monitor import recv_monitor_message

from overlayd.adapters.zmq_sockets import Context, Pump, dialler_socket
from overlayd.ports.keys import Identity
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
        address: str,
        on_done: Callable[[PeerId, bool], None],
    ) -> None:
        self._peer, self._on_done = peer, on_done
        self._socket = dialler_socket(context, identity, server_key)
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        self._socket.connect(address)
        self._pump: Pump | None = Pump(self._monitor, self._step)
        self._timer = asyncio.get_running_loop().call_later(KNOCK_S, self._done, False)

    def close(self) -> None:
        """Ends the knock, however far it has come."""
        if self._pump is not None:
            self._pump.close()
            self._pump = None
            self._timer.cancel()
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(0)

    def _step(self) -> None:
        event = zmq.Event(recv_monitor_message(self._monitor, zmq.NOBLOCK)["event"])
        self._done(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def _done(self, reached: bool) -> None:
        if self._pump is not None:
            self.close()
            self._on_done(self._peer, reached)
