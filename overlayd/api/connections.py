"""Connections of the API: each has to get on, and nobody has so many that others get none.

uvicorn waits for ever for the rest of a request, and answers everybody 503 when it has too many connections. So
one that says nothing is closed here, and a process, or all of a user, has a bound below what there are in all.
"""

import asyncio
import socket
import struct
from collections import Counter
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX = 256
"""How many connections are open at once, followers among them. Beyond that the answer is 503."""
OF_PROCESS, OF_USER = 160, 224
"""How many of them one process has, and all of one user. All streams that a peer takes (128) and some more may
be one process's; what is above a user's is for others, and for root, who may have to look."""
HEAD_WITHIN_S = 10.0
"""How long a request's head may take, from the connection or the answer before."""
BODY_SILENT_S = 120.0
"""How long a body that is waited for may say nothing: an upload may come from a slow place."""

_CREDENTIALS = struct.Struct("3i")
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s"
)
_SAID = (
    b'{"problem":"this process or user has too many connections to the daemon","would_work":"close some '
    b'of them"}'
)


class Held:
    """Who has how many connections."""

    def __init__(self) -> None:
        self.of_process: Counter[int] = Counter()
        self.of_user: Counter[int] = Counter()

    def take(self, pid: int, uid: int) -> bool:
        """Counts one more. False if it is one too many, which is not counted."""
        if self.of_process[pid] >= OF_PROCESS or self.of_user[uid] >= OF_USER:
            return False
        self.of_process[pid] += 1
        self.of_user[uid] += 1
        return True

    def give(self, pid: int, uid: int) -> None:
        """One of them is over."""
        for counter, key in ((self.of_process, pid), (self.of_user, uid)):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]


class Guarded(H11Protocol):
    """One connection."""

    _who: tuple[int, int] | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        who = _peer_of(transport)
        if not self._held.take(*who):
            transport.write(_BUSY % (len(_SAID), _SAID))
            transport.close()
            transport.set_protocol(asyncio.Protocol())
            return
        self._who = who
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        if self._who is not None:
            self._held.give(*self._who)
            self._who = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        head = self.conn.their_state is h11.IDLE
        super().data_received(data)
        if not (head and self.conn.their_state is h11.IDLE):
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    @property
    def _held(self) -> Held:
        held: Held | None = vars(self.server_state).get("held")
        if held is None:
            held = vars(self.server_state)["held"] = Held()
        return held

    def _watch(self) -> None:
        """Closes the connection if what is waited for does not come."""
        self._unwatch()
        within_s = HEAD_WITHIN_S if self.conn.their_state is h11.IDLE else BODY_SILENT_S
        self._timer = self.loop.call_later(within_s, self._give_up)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        answering = self.cycle is not None and not self.cycle.response_complete
        idle = self.conn.their_state is h11.IDLE and not answering
        begun = answering and self.cycle.response_started
        if idle or (self.conn.their_state is h11.SEND_BODY and not begun):
            self.transport.close()


def _peer_of(transport: asyncio.Transport) -> tuple[int, int]:
    """The process and the user at the other end of a Unix socket; zeros if the kernel does not say."""
    end = cast(Any, transport.get_extra_info("socket"))
    try:
        said = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (OSError, AttributeError):
        return 0, 0
    pid, uid, _ = _CREDENTIALS.unpack(said)
    return pid, uid
