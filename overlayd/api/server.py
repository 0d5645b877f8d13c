"""uvicorn on a Unix socket, inside a loop that is already running and keeps its signal handlers."""

import asyncio
import errno
import grp
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from litestar import Litestar

from overlayd.api.app import service_of

MODE = 0o660
CONNECTIONS_MAX = 256
"""Open at once, followers among them; beyond it 503."""
STOP_WITHIN_S = 2
"""Seconds answers under way get to finish."""
_ANSWER_WITHIN_S = 2.0


class SocketError(Exception):
    """The socket cannot be listened on; the text says where, why, and what would work."""


class Served:
    """An API that is being served."""

    def __init__(self, server: "_Server", app: Litestar, path: Path) -> None:
        self._server, self._app, self.path = server, app, path
        self._inode = path.stat().st_ino
        self._task: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket) -> None:
        """Answers from now on."""
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task

    async def wait(self) -> None:
        """Until it has stopped; raises what ended it."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Takes no more requests, ends what follows, lets answers finish, removes the socket."""
        service_of(self._app).stopping.set()
        self._server.leave.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        except FileNotFoundError:
            pass


class _Server(uvicorn.Server):
    """Says when it listens, stops when told; signals are the daemon's business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready, self.leave = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Waits, where uvicorn's own looks ten times a second."""
        await self.on_tick(0)
        await self.leave.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: Litestar, socket_path: str | Path, group: str = "") -> Served:
    """Serves `app` on a Unix socket of mode 0660, owned by `group` if one is named.

    A socket nobody listens on any more is replaced. SocketError if somebody does, or the path cannot
    be used.
    """
    path = Path(socket_path)
    listening = await asyncio.to_thread(_bind, path, group)
    config = uvicorn.Config(
        app,
        http="h11",
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
    served = Served(_Server(config), app, path)
    await served.start(listening)
    return served


def _bind(path: Path, group: str) -> socket.socket:
    """Bound and listening. Nobody can connect before mode and group are right: it listens last."""
    _clear_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        before = os.umask(0o777 & ~MODE)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        if group:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        listening.listen(128)
        listening.setblocking(False)
    except KeyError:
        listening.close()
        path.unlink(missing_ok=True)
        raise SocketError(f"{path}: there is no group {group} on this host") from None
    except OSError as error:
        listening.close()
        why = "its path is too long" if error.errno is None else (error.strerror or str(error))
        raise SocketError(f"cannot listen on {path}: {why}") from None
    return listening


def _clear_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketError(f"cannot listen on {path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise SocketError(f"{path} is not a socket; move it away, or name another api.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_WITHIN_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                path.unlink(missing_ok=True)
                return
            raise SocketError(f"cannot tell whose {path} is: {error}") from None
    raise SocketError(f"another daemon answers on {path}; stop it, or name another api.socket")
