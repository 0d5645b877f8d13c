"""Bulk traffic the node hands over unread: image chunks and consoles, served beside the node's own work."""

import asyncio
from collections.abc import Callable
from typing import Any

from overlayd.loop.consoles import Consoles
from overlayd.ports.images import ImageError, Images
from overlayd.realise.fetch import CHUNK_BYTES, Fetcher
from overlayd.telemetry.supervisor import Supervisor
from protocol.node.events import Say
from protocol.node.messages import ConsoleAsk, ConsoleText, ImageAsk, ImageChunk
from protocol.terms.ids import PeerId

_AT_ONCE = 16
"""Pieces being read for others at once; more wait, and a peer that waits too long asks another."""


class Bulk:
    """Serves what peers ask of this host, and delivers what they answer."""

    def __init__(
        self,
        images: Images,
        fetcher: Fetcher,
        consoles: Consoles,
        supervisor: Supervisor,
        say: Callable[[Say], None],
    ) -> None:
        self._images, self._fetcher, self._consoles = images, fetcher, consoles
        self._supervisor, self._say = supervisor, say
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """One handed-over message."""
        match message:
            case ImageChunk():
                self._fetcher.deliver(peer, message)
            case ConsoleText():
                self._consoles.deliver(peer, message)
            case ImageAsk():
                self._supervisor.spawn("image-ask", self._image(peer, message, cause))
            case ConsoleAsk():
                self._supervisor.spawn("console-ask", self._console(peer, message, cause))

    async def _image(self, peer: PeerId, ask: ImageAsk, cause: str) -> None:
        async with self._turns:
            try:
                length = max(1, min(ask.length, CHUNK_BYTES))
                data, total = await self._images.read(ask.digest, max(0, ask.offset), length)
            except ImageError:
                data, total = b"", -1
        self._say(Say(peer, ImageChunk(ask.session, ask.digest, ask.offset, total, data), cause))

    async def _console(self, peer: PeerId, ask: ConsoleAsk, cause: str) -> None:
        async with self._turns:
            text = await self._consoles.serve(ask)
        self._say(Say(peer, text, cause))
