"""The forwarder's end of its control socket: requests are collected, answered one a connection, and forgotten.

Nothing here waits: frames go on while a request arrives in pieces. Who connects is root, or is not heard.
Connections are few, each has a deadline, and what it sends has a limit.
"""

import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Callable

import msgspec

from netns.tunnel.orders import (
    DESCRIPTORS_MAX,
    LENGTH,
    MESSAGE_BYTES_MAX,
    Answer,
    Request,
    request_of,
    written,
)

CONNECTIONS_MAX = 8
DEADLINE_S = 10.0
_READ_BYTES = 1 << 18
_PEER_CREDENTIALS = struct.Struct("3i")

Handler = Callable[[Request, list[int]], Answer]
"""Answers a request. Descriptors that it takes, it takes off the list; the others are closed."""
Watch = Callable[[int, int, Callable[[], None]], None]
"""Calls back while that descriptor has such an event; 0 for none any more."""


class Control:
    """All connections to one control socket."""

    def __init__(
        self, listener: socket.socket, answer: Handler, watch: Watch, allowed_uid: int
    ) -> None:
        self._listener, self._answer, self._watch = listener, answer, watch
        self._allowed_uid = allowed_uid
        self._open: list[_Connection] = []
        watch(listener.fileno(), select.EPOLLIN, self._accept)

    def expire(self) -> None:
        """Ends connections that are past their deadline."""
        now = time.monotonic()
        for connection in [one for one in self._open if one.deadline < now]:
            self._close(connection)

    def _accept(self) -> None:
        try:
            handle, _ = self._listener.accept()
        except OSError:
            return
        fcntl.fcntl(
            handle, fcntl.F_SETFL, os.O_NONBLOCK
        )  # setblocking would be an ioctl, which is refused
        raw = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        _, uid, _ = _PEER_CREDENTIALS.unpack(raw)
        if uid not in (0, self._allowed_uid):
            handle.close()
            return
        if len(self._open) >= CONNECTIONS_MAX:
            self._close(self._open[0])
        connection = _Connection(handle)
        self._open.append(connection)
        self._watch(handle.fileno(), select.EPOLLIN, lambda: self._go_on(connection))

    def _go_on(self, connection: "_Connection") -> None:
        try:
            if connection.reads():
                connection.reply(self._answered(connection))
                self._watch(
                    connection.handle.fileno(), select.EPOLLOUT, lambda: self._go_on(connection)
                )
            if connection.is_done():
                self._close(connection)
        except (OSError, ValueError):
            self._close(connection)

    def _answered(self, connection: "_Connection") -> bytes:
        try:
            request = request_of(bytes(connection.body))
        except msgspec.DecodeError as error:
            raise ValueError(f"not a request: {error}") from None
        try:
            return written(self._answer(request, connection.descriptors))
        finally:
            connection.drop_descriptors()

    def _close(self, connection: "_Connection") -> None:
        self._watch(connection.handle.fileno(), 0, lambda: None)
        connection.drop_descriptors()
        connection.handle.close()
        self._open.remove(connection)


class _Connection:
    """One request as it comes, then its answer as it goes."""

    def __init__(self, handle: socket.socket) -> None:
        self.handle = handle
        self.deadline = time.monotonic() + DEADLINE_S
        self.descriptors: list[int] = []
        self.body = bytearray()
        self._wanted = -1
        self._reply: memoryview | None = None

    def reads(self) -> bool:
        """Takes what is there. True once, when the request is whole. Raises ValueError, OSError at its end."""
        if self._reply is not None:
            return False
        data, descriptors, flags, _ = socket.recv_fds(
            self.handle, _READ_BYTES, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
        )
        self.descriptors += descriptors
        if not data or flags & socket.MSG_CTRUNC or len(self.descriptors) > DESCRIPTORS_MAX:
            raise ValueError("it ended early, or brought too many descriptors")
        self.body += data
        if self._wanted < 0 and len(self.body) >= LENGTH.size:
            (self._wanted,) = LENGTH.unpack_from(self.body)
            if self._wanted > MESSAGE_BYTES_MAX:
                raise ValueError("too long")
            del self.body[: LENGTH.size]
        return len(self.body) >= self._wanted >= 0

    def reply(self, data: bytes) -> None:
        self._reply = memoryview(data)
        self.body.clear()

    def is_done(self) -> bool:
        """Sends what can be sent; whether that was all."""
        if self._reply is None:
            return False
        try:
            self._reply = self._reply[self.handle.send(self._reply) :]
        except BlockingIOError:
            return False
        return not self._reply

    def drop_descriptors(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()
