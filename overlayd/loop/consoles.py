"""Consoles of workspaces: they are read from the log, typed into the socket, and relayed from host to host."""

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable
from pathlib import Path

from overlayd.loop.asks import Asks
from overlayd.realise.paths import Paths
from protocol.node.events import Say
from protocol.node.messages import ConsoleAsk, ConsoleText
from protocol.node.rows import NoConsole
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

_CHUNK_BYTES = 64 << 10
_KEYS_BYTES = 4 << 10
_TAKEN_EVERY_S = 0.02
_TAKEN_LOOKS = 150
_ECHO_S = 0.15
"""How many seconds a guest has to answer what was typed before its log is read."""


class Consoles:
    """This host's consoles for others, and other hosts' consoles for people here."""

    def __init__(
        self,
        me: PeerId,
        opens: Callable[[SignedOrder, PeerId, float], tuple[GridId, str]],
        paths: Paths,
        say: Callable[[Say], None],
        now: Callable[[], float],
    ) -> None:
        """`opens` answers the grid and the workspace whose console an order opens now, for the peer that shows
        it. It raises Untrusted or NoConsole.
        """
        self._me, self._opens, self._paths = me, opens, paths
        self._now, self._asks = now, Asks[ConsoleText](me, "console", say)

    async def ask(self, peer: PeerId, order: SignedOrder, offset: int, keys: bytes) -> ConsoleText:
        """The console of a workspace on `peer`. What went wrong is in the answer's `problem`."""
        ask = ConsoleAsk(self._asks.session(), order, offset, keys)
        if peer == self._me:
            return await self.serve(peer, ask)
        said = "its host does not answer; `overlayctl peers`"
        text = await self._asks.ask(peer, ask.session, ask)
        return text or ConsoleText(ask.session, offset, b"", said)

    def deliver(self, peer: PeerId, text: ConsoleText) -> None:
        """An answer came."""
        self._asks.deliver(peer, text)

    async def serve(self, peer: PeerId, ask: ConsoleAsk) -> ConsoleText:
        """Types into a console of this host and reads it, if the order allows that peer to."""
        try:
            grid, workspace = self._opens(ask.order, peer, self._now())
            log, socket = self._paths.console(grid, workspace)
            if ask.keys:
                await _type(socket, ask.keys[:_KEYS_BYTES])
            offset, data = await asyncio.to_thread(_read, log, ask.offset)
        except FileNotFoundError:
            return ConsoleText(ask.session, ask.offset, b"", "it has no console, or none yet")
        except (Untrusted, NoConsole, OSError) as error:
            return ConsoleText(ask.session, ask.offset, b"", str(error))
        return ConsoleText(ask.session, offset, data, "")


async def _type(socket: Path, keys: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(keys)
        await writer.drain()
        await _taken(writer)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ECHO_S):
                while await reader.read(4096):
                    pass
    finally:
        writer.close()


async def _taken(writer: asyncio.StreamWriter) -> None:
    """Waits until all that was typed is read, but only a while: a guest that is paused takes nothing.

    QEMU reads no faster than the guest does, and what it has not read when the connection ends is lost.
    """
    socket = writer.get_extra_info("socket")
    for _ in range(_TAKEN_LOOKS):
        (left,) = struct.unpack("i", fcntl.ioctl(socket, termios.TIOCOUTQ, bytes(4)))
        if not left:
            return
        await asyncio.sleep(_TAKEN_EVERY_S)


def _read(log: Path, offset: int) -> tuple[int, bytes]:
    """The log from `offset` on, and where that really is. A negative offset counts from the end.

    A log that is shorter than what was read of it was cut meanwhile (realise/logs.py). It is read from its
    beginning.
    """
    with log.open("rb") as file:
        size = file.seek(0, 2)
        begins = max(0, size + offset) if offset < 0 else offset if offset <= size else 0
        file.seek(begins)
        return begins, file.read(_CHUNK_BYTES)
