"""A doorbell: one TCP connection tried, to hear from the system why nobody takes it. Nothing is said on it."""

import asyncio
import errno
import socket as tcp
from collections.abc import Callable

from protocol.terms.address import Ip
from protocol.terms.problem import Trouble

RING_S = 3.0
"""How long an answer is waited for."""

_ANSWERS = {
    errno.ECONNREFUSED: Trouble.REFUSED,
    errno.EHOSTUNREACH: Trouble.NO_ROUTE,
    errno.ENETUNREACH: Trouble.NO_ROUTE,
    errno.EHOSTDOWN: Trouble.NO_ROUTE,
    errno.EPERM: Trouble.NO_ROUTE,
    errno.EACCES: Trouble.NO_ROUTE,
    errno.ENETDOWN: Trouble.NO_ROUTE,
    errno.EADDRNOTAVAIL: Trouble.NO_ROUTE,
    errno.EAFNOSUPPORT: Trouble.NO_ROUTE,
    errno.ETIMEDOUT: Trouble.NO_ANSWER,
    errno.EMFILE: Trouble.THIS_HOST,
    errno.ENFILE: Trouble.THIS_HOST,
    errno.ENOBUFS: Trouble.THIS_HOST,
    errno.ENOMEM: Trouble.THIS_HOST,
}


class Doorbell:
    """Rings once at an address and a port. `on_answer` is called later with what came; None if it was taken."""

    def __init__(self, ip: Ip, port: int, on_answer: Callable[[Trouble | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_answer = on_answer
        self._socket: tcp.socket | None = None
        self._done = False
        self._timer = self._loop.call_later(RING_S, self._answer, errno.ETIMEDOUT)
        family = tcp.AF_INET6 if ip.version == 6 else tcp.AF_INET
        try:
            self._socket = tcp.socket(family, tcp.SOCK_STREAM | tcp.SOCK_NONBLOCK)
            code = self._socket.connect_ex((str(ip), port))
        except OSError as error:
            code = error.errno or errno.ENOBUFS
        if code == errno.EINPROGRESS and self._socket is not None:
            self._loop.add_writer(self._socket, self._ready)
        else:
            self._loop.call_soon(self._answer, code)

    def close(self) -> None:
        """Gives up. There is no answer after this."""
        self._done = True
        self._timer.cancel()
        if self._socket is not None:
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None

    def _ready(self) -> None:
        if self._socket is not None:
            self._answer(self._socket.getsockopt(tcp.SOL_SOCKET, tcp.SO_ERROR))

    def _answer(self, code: int) -> None:
        if not self._done:
            self.close()
            self._on_answer(_ANSWERS.get(code, Trouble.CLOSED) if code else None)
