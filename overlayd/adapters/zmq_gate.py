"""The gate: answers ZeroMQ's authentication requests (ZAP, rfc.zeromq.org/spec/27) in this process.

At the handshake only the far end's Curve25519 key is known. The gate keeps out denied keys and too many
connections. It lets everybody else in as far as the greeting, with the key as `User-Id`.
"""

from collections import Counter
from collections.abc import Callable

import zmq

from overlayd.adapters.zmq_sockets import Context, Pump

_ENDPOINT = "inproc://zeromq.zap.01"


class Gate:
    """The handler of authentication. It is bound before any server socket of the context, and closed after."""

    def __init__(
        self, context: Context, refused: Counter[str], has_room: Callable[[], bool]
    ) -> None:
        self.denied: frozenset[bytes] = frozenset()
        """Curve25519 keys, 32 bytes each."""
        self._refused = refused
        self._has_room = has_room
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ENDPOINT)
        self._pump = Pump(self._socket, self._step)

    def close(self) -> None:
        """Stops answering, so that nobody can connect."""
        self._pump.close()
        self._socket.close()

    def _step(self) -> None:
        request = self._socket.recv_multipart(zmq.NOBLOCK)
        request_id = request[1] if len(request) > 1 else b""
        status, text, user = self._judge(request)
        self._socket.send_multipart([b"1.0", request_id, status, text, user, b""])

    def _judge(self, request: list[bytes]) -> tuple[bytes, bytes, bytes]:
        match request:
            case [b"1.0", _, b"overlayd", _, _, b"CURVE", key] if len(key) == 32:
                if key in self.denied:
                    self._refused["denied"] += 1
                    return b"400", b"denied", b""
                if not self._has_room():
                    self._refused["full"] += 1
                    return b"400", b"full", b""
                return b"200", b"", key.hex().encode()
            case _:
                self._refused["mechanism"] += 1
                return b"400", b"CURVE only", b""
