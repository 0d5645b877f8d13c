"""The API's Unix socket: bound when the daemon starts, so that a mistake is found then.

What answers on it is loaded when somebody first connects. Most daemons of a federation are never asked
anything, and litestar takes 30 MiB, and as long to load as everything else of a start.
"""

import asyncio
import errno
import grp
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

MODE = 0o660
_ANSWER_WITHIN_S = 2.0


class SocketError(Exception):
    """The daemon cannot listen on the socket. The text says where, why, and what would work."""


class Listening:
    """A socket that listens. Connections wait until somebody accepts them."""

    def __init__(self, path: Path, listening: socket.socket) -> None:
        self.path, self.socket = path, listening
        self._inode = path.stat().st_ino
        self._loop: asyncio.AbstractEventLoop | None = None

    def on_first(self, called: Callable[[], None]) -> None:
        """Has `called` called once, when somebody connects."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.socket, self._come, called)

    def close(self) -> None:
        """Stops listening, and removes the socket's file unless it is another's by now."""
        self._quiet()
        self.socket.close()
        try:
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        except FileNotFoundError:
            pass

    def _come(self, called: Callable[[], None]) -> None:
        self._quiet()
        called()

    def _quiet(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self.socket)
            self._loop = None


def listen(path: Path, group: str = "") -> Listening:
    """A Unix socket of mode 0660, owned by `group` if one is named.

    A socket that nobody listens on any more is replaced. Raises SocketError if somebody does, or if the path
    cannot be used. It listens last, so that nobody can connect before mode and group are right.
    """
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
    return Listening(path, listening)


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
