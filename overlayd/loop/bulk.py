"""Bulk traffic that the node hands over unread (images, consoles, streams, attachments), beside its work."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

from overlayd.loop.attachments import AttachmentTraffic
from overlayd.loop.commits import Commits
from overlayd.loop.consoles import Consoles
from overlayd.loop.path_asks import PathAsks
from overlayd.loop.streams import Streams
from overlayd.loop.usage_asks import UsageAsks
from overlayd.ports.images import ImageError, Images
from overlayd.realise.fetch import Fetcher
from overlayd.telemetry.supervisor import Supervisor
from protocol.image.fetching import PIECE_BYTES, ImagePiece
from protocol.image.summary import summary_bytes
from protocol.node.events import Say
from protocol.node.messages import (
    AttachmentAsk,
    AttachmentOffer,
    AttachmentPart,
    CommitAsk,
    CommitTold,
    ConsoleAsk,
    ConsoleText,
    ImageAsk,
    ImageChunk,
    PathsAsk,
    PathsTold,
    UsageAsk,
    UsageTold,
)
from protocol.stream.messages import StreamClose, StreamCredit, StreamData, StreamOpen
from protocol.terms.ids import PeerId

_AT_ONCE = 16
"""Pieces that are read for others at once. More have to wait, and a peer that waits too long asks another."""
_WAITING = 1024
"""Asks that wait for their turn: 256 fetchers with full windows. Beyond it they are dropped and counted."""


class Bulk:
    """Serves what peers ask of this host, and delivers what they answer."""

    def __init__(
        self,
        images: Images,
        fetcher: Fetcher,
        consoles: Consoles,
        streams: Streams,
        attachments: AttachmentTraffic,
        commits: Commits,
        paths: PathAsks,
        usage: UsageAsks,
        supervisor: Supervisor,
        say: Callable[[Say], None],
    ) -> None:
        self._images, self._fetcher, self._consoles = images, fetcher, consoles
        self._streams, self._commits, self._paths = streams, commits, paths
        self._attachments, self._usage = attachments, usage
        self._supervisor, self._say = supervisor, say
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._asks = 0
        self.counts: Counter[str] = Counter()

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        """Takes one message that was handed over."""
        match message:
            case ImageChunk():
                self._fetcher.deliver(peer, message)
            case StreamOpen() | StreamData() | StreamCredit() | StreamClose():
                self._streams.take(peer, message)
            case CommitTold():
                self._commits.deliver(peer, message)
            case CommitAsk():
                self._say(Say(peer, self._commits.serve(peer, message), cause))
            case PathsTold():
                self._paths.deliver(peer, message)
            case PathsAsk():
                if not self._paths.serve(peer, message, cause, time.monotonic()):
                    self.counts["asks-dropped"] += 1
            case ConsoleText():
                self._consoles.deliver(peer, message)
            case AttachmentOffer() | AttachmentPart():
                self._attachments.deliver(peer, message)
            case UsageTold():
                self._usage.deliver(peer, message)
            case ImageAsk() | ConsoleAsk() | AttachmentAsk() | UsageAsk() if self._asks >= _WAITING:
                self.counts["asks-dropped"] += 1
            case ImageAsk():
                self._spawn("image-ask", self._image(peer, message, cause))
            case ConsoleAsk():
                self._spawn("console-ask", self._console(peer, message, cause))
            case AttachmentAsk():
                self._spawn("attachment-ask", self._attachment(peer, message, cause))
            case UsageAsk():
                self._spawn("usage-ask", self._told_usage(peer, message, cause))

    def _spawn(self, name: str, work: Coroutine[None, None, None]) -> None:
        self._asks += 1
        self._supervisor.spawn(name, work).add_done_callback(self._served)

    def _served(self, _: asyncio.Task[None]) -> None:
        self._asks -= 1

    async def _image(self, peer: PeerId, ask: ImageAsk, cause: str) -> None:
        async with self._turns:
            try:
                data, total = await self._part(ask)
            except (ImageError, OSError):
                data, total = b"", -1
        answer = ImageChunk(ask.session, ask.digest, ask.offset, total, data, ask.piece)
        self._say(Say(peer, answer, cause))

    async def _part(self, ask: ImageAsk) -> tuple[bytes, int]:
        offset, length = max(0, ask.offset), max(1, min(ask.length, PIECE_BYTES))
        match ask.piece:
            case ImagePiece.CONTENT:
                return await self._images.read(ask.digest, offset, length)
            case ImagePiece.LEAVES:
                return await self._images.leaves(ask.digest, offset, length)
            case ImagePiece.SUMMARY:
                data = summary_bytes(await self._images.summary(ask.digest))
                return data, len(data)
            case _:
                assert_never(ask.piece)

    async def _attachment(self, peer: PeerId, ask: AttachmentAsk, cause: str) -> None:
        async with self._turns:
            part = await self._attachments.serve(peer, ask)
        if part is not None:
            self._say(Say(peer, part, cause))

    async def _console(self, peer: PeerId, ask: ConsoleAsk, cause: str) -> None:
        async with self._turns:
            text = await self._consoles.serve(peer, ask)
        self._say(Say(peer, text, cause))

    async def _told_usage(self, peer: PeerId, ask: UsageAsk, cause: str) -> None:
        async with self._turns:
            told = await self._usage.serve(peer, ask)
        self._say(Say(peer, told, cause))
