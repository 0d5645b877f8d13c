"""uvicorn on a Unix socket, inside a loop that is already running and keeps its signal handlers."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from litestar import Litestar

from overlayd.api.app import create_app, service_of
from overlayd.api.connections import CONNECTIONS_MAX, Guarded
from overlayd.api.listening import Listening, SocketError, listen
from overlayd.ports.peer import LocalPeer

__all__ = ["Served", "SocketError", "serve"]

STOP_WITHIN_S = 2
"""How many seconds answers that are under way get to finish."""


class Served:
    """An API that is being served."""

    def __init__(self, server: "_Server", app: Litestar, listening: Listening) -> None:
        self._server, self._app, self._listening = server, app, listening
        self.path = listening.path
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def of(cls, peer: LocalPeer, uploads: Path, listening: Listening) -> "Served":
        """The API of a running peer, on a socket that listens already."""
        return await _serve_on(create_app(peer, uploads), listening)

    async def start(self) -> None:
        """Begins to answer. Returns once it listens."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listening.socket]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task

    async def wait(self) -> None:
        """Waits until it has stopped. Raises what ended it."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Takes no more requests, ends streams that follow, lets answers finish, removes the socket."""
        service_of(self._app).stopping.set()
        self._server.leave.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._listening.close()


class _Server(uvicorn.Server):
    """A server that says when it listens, and stops when told. Signals are the daemon's business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready, self.leave = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Waits until it is told to stop. Uvicorn's own loop looks ten times a second."""
        await self.on_tick(0)
        await self.leave.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: Litestar, socket_path: str | Path, group: str = "") -> Served:
    """Serves `app` on a Unix socket of mode 0660, owned by `group` if one is named. Raises SocketError."""
    return await _serve_on(app, await asyncio.to_thread(listen, Path(socket_path), group))


async def _serve_on(app: Litestar, listening: Listening) -> Served:
    """Serves `app` on a socket that listens already."""
    config = uvicorn.Config(
        app,
        http=Guarded,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    served = Served(_Server(config), app, listening)
    await served.start()
    return served
