"""Consoles of containers: read into a log, typed into by a socket, as QEMU does for its guests by itself.

libvirt's LXC driver gives a container a terminal, and leaves it to others to open that. While nobody has it
open, a container that writes more than its terminal holds (some tens of KiB) waits. So it is opened as soon as
a container is seen, by each daemon anew. A guest that floods it waits, too: it is read at a pace.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from overlayd.telemetry.logs import logger

AT_ONCE_BYTES = 16 << 10
PAUSE_S = 0.02
"""A rest after so many bytes: 800 KB/s at most, so that a log is cut in time (realise/logs.py)."""
KEYS_WITHIN_S = 3.0
"""So long what was typed waits for a guest that takes nothing. It is lost then."""


class Terminal(NamedTuple):
    """Where a running container's console is."""

    machine: str
    path: str
    """The terminal (`/dev/pts/...`)."""
    log: Path
    socket: Path


class Consoles:
    """The consoles of a host's containers."""

    def __init__(self) -> None:
        self._open: dict[str, _Console] = {}
        self._turn = asyncio.Lock()

    async def follow(self, terminals: tuple[Terminal, ...]) -> None:
        """Opens those that are not open. Each is closed by its container's end."""
        async with self._turn:
            for terminal in terminals:
                before = self._open.get(terminal.machine)
                if before is not None and before.terminal == terminal and before.is_open:
                    continue
                if before is not None:
                    await before.close()
                try:
                    console = await _Console.opened(terminal)
                    self._open[terminal.machine] = console
                    console.at_end(self._forget)
                except OSError as error:  # it has ended meanwhile, or its socket cannot be made
                    self._open.pop(terminal.machine, None)
                    logger().warning(
                        "console.not-opened", machine=terminal.machine, error=str(error)
                    )

    def __len__(self) -> int:
        return len(self._open)

    def _forget(self, console: "_Console") -> None:
        """Its container has ended. Another of that machine may have been opened since."""
        if self._open.get(console.terminal.machine) is console:
            del self._open[console.terminal.machine]

    async def close(self) -> None:
        """Closes all. Containers go on."""
        async with self._turn:
            while self._open:
                _, console = self._open.popitem()
                await console.close()


class _Console:
    """One console, while it is open."""

    def __init__(self, terminal: Terminal, file: int) -> None:
        self.terminal, self._file = terminal, file
        self._server: asyncio.Server | None = None
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def opened(cls, terminal: Terminal) -> "_Console":
        """Opens it. Raises OSError."""
        file = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        console = cls(terminal, file)
        try:
            console._server = await asyncio.start_unix_server(console._type, terminal.socket)
            terminal.socket.chmod(stat.S_IRUSR | stat.S_IWUSR)
        except BaseException:
            os.close(file)
            raise
        console._reading = asyncio.create_task(console._read())
        return console

    @property
    def is_open(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def at_end(self, then: "Callable[[_Console], None]") -> None:
        """Calls that with it once it is closed."""
        assert self._reading is not None
        self._reading.add_done_callback(lambda _: then(self))

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _read(self) -> None:
        try:
            read_bytes = 0
            while data := await self._some():
                await asyncio.to_thread(_append, self.terminal.log, data)
                read_bytes += len(data)
                if read_bytes >= AT_ONCE_BYTES:
                    read_bytes = 0
                    await asyncio.sleep(PAUSE_S)
        finally:
            if self._server is not None:
                self._server.close()
            self.terminal.socket.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    async def _some(self) -> bytes:
        """What it says next; nothing once its container has ended."""
        while True:
            try:
                return os.read(self._file, AT_ONCE_BYTES)
            except BlockingIOError:
                await _ready(self._file, writing=False)
            except OSError:
                return b""

    async def _type(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection that types."""
        with contextlib.suppress(OSError, TimeoutError), contextlib.closing(writer):
            # Its own file, since the console may be closed while somebody types.
            file = os.dup(self._file)
            try:
                while keys := await reader.read(AT_ONCE_BYTES):
                    async with asyncio.timeout(KEYS_WITHIN_S):
                        await _put(file, keys)
            finally:
                os.close(file)


def _append(log: Path, data: bytes) -> None:
    """A log is opened for each write, so whoever keeps it small may cut it or move it away.

    On a full disk what a guest says is lost.
    """
    with contextlib.suppress(OSError):
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, data)
        finally:
            os.close(file)


async def _put(file: int, keys: bytes) -> None:
    while keys:
        try:
            keys = keys[os.write(file, keys) :]
        except BlockingIOError:
            await _ready(file, writing=True)


async def _ready(file: int, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    is_ready = asyncio.Event()
    begin = loop.add_writer if writing else loop.add_reader
    end = loop.remove_writer if writing else loop.remove_reader
    begin(file, is_ready.set)
    try:
        await is_ready.wait()
    finally:
        end(file)
