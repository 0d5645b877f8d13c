"""One fetch of an image: the summary, then the leaves, then what is missing of each page, then it is an image.

protocol/image/fetching.py says whom to ask for what. Here is what that takes: clock, wire, and disk.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import assert_never

import msgspec

from overlayd.ports.images import ImageError
from overlayd.ports.partials import Local, PagePlan, Partial, Partials
from overlayd.telemetry.logs import logger
from protocol.image.fetching import NOBODY, Block, Fetching, ImagePiece, Lied, Whole
from protocol.image.merkle import (
    CHUNK_BYTES,
    HASH_BYTES,
    PAGE,
    chunk_bytes,
    page_count,
    page_leaves,
)
from protocol.image.summary import SUMMARY_MOST_BYTES, ImageSummary, believed_summary
from protocol.node.events import Event, Garbled, Say
from protocol.node.messages import ImageAsk, ImageChunk
from protocol.terms.ids import Digest, PeerId
from protocol.terms.quantities import format_size

LOOK_EVERY_S = 2.0
"""How often peers are looked for that have the image now."""
COPIED_AT_ONCE = 16
"""Chunks that are copied here before others get a turn."""
SUMMARY = Block(ImagePiece.SUMMARY, 0, SUMMARY_MOST_BYTES)


class Progress(msgspec.Struct, frozen=True):
    """How far a fetch is."""

    here_bytes: int
    total_bytes: int
    peers: int
    """From how many it is coming just now."""

    @property
    def percent(self) -> int:
        """In steps of 5, since each step is told to everybody."""
        return 5 * (20 * self.here_bytes // max(1, self.total_bytes))

    @property
    def text(self) -> str:
        """For people: `45 % of 3.5 GiB, from 3 peers`."""
        peers = "1 peer" if self.peers == 1 else f"{self.peers} peers"
        source = f", from {peers}" if self.peers else ""
        return f"{self.percent} % of {format_size(self.total_bytes)}{source}"


class Wire(msgspec.Struct, frozen=True):
    """How a fetch speaks to others."""

    session: str
    tell: Callable[[Event], None]
    sources: Callable[[], list[PeerId]]
    """Live peers that say they have the image, the nearest first."""
    clock: Callable[[], float]


class OneFetch:
    """It is made for one try. What it got is on disk, and the next try goes on from there."""

    def __init__(
        self,
        image: Digest,
        wire: Wire,
        partials: Partials,
        room: Callable[[Partial], Awaitable[None]],
        progress: Callable[[Progress], None],
    ) -> None:
        """`room` raises ImageError without room for what is still to be written."""
        self._image, self._wire, self._partials = image, wire, partials
        self._room, self._progress = room, progress
        self._began_s = wire.clock()
        self._fetching = Fetching(self._began_s)
        self._told: deque[Whole | Lied] = deque()
        self._news = asyncio.Event()
        self._looked_s = float("-inf")
        self._here_bytes = 0
        self._gave: set[PeerId] = set()
        self.fetched_bytes = 0
        """Content that came from others, and was right."""
        self.copied_bytes = 0

    async def run(self) -> Partial:
        """Gets all of it. The partial is whole then, and open. Raises ImageError."""
        partial = await asyncio.to_thread(self._partials.find, self._image)
        if partial is None:
            summary = await self._summary()
            partial = await asyncio.to_thread(self._partials.begin, self._image, summary)
        try:
            await self._content(partial)
        except BaseException:
            # Not awaited: a thread may still copy, and who cancels does not wait for it.
            asyncio.get_running_loop().run_in_executor(None, partial.close)
            raise
        logger().info(
            "image.fetched",
            image=self._image[:12],
            fetched_bytes=self.fetched_bytes,
            copied_bytes=self.copied_bytes,
            twice_bytes=self._fetching.twice_bytes,
            peers=len(self._gave),
            seconds=round(self._wire.clock() - self._began_s, 3),
        )
        return partial

    def deliver(self, peer: PeerId, chunk: ImageChunk) -> None:
        """Something came. It is ignored if nobody was asked for it."""
        found = self._fetching.heard(
            peer, chunk.piece, chunk.offset, chunk.total_bytes, chunk.data, self._wire.clock()
        )
        if found is not None:
            self._told.append(found)
        self._ask()
        self._news.set()

    # -- the parts, in order

    async def _summary(self) -> ImageSummary:
        found: list[ImageSummary] = []

        async def keep(whole: Whole) -> bool:
            summary = await asyncio.to_thread(believed_summary, self._image, whole.data)
            found.extend([summary] if summary is not None else [])
            return summary is not None

        await self._all([SUMMARY], keep, "is not the summary of that image")
        return found[0]

    async def _content(self, partial: Partial) -> None:
        size = partial.summary.facts.content_bytes

        async def keep_page(whole: Whole) -> bool:
            page = whole.block.offset // (PAGE * HASH_BYTES)
            return await asyncio.to_thread(partial.keep_page, page, whole.data)

        async def keep_chunk(whole: Whole) -> bool:
            index = whole.block.offset // CHUNK_BYTES
            kept = await asyncio.to_thread(partial.keep, index, whole.data)
            if kept:
                self.fetched_bytes += len(whole.data)
                self._gave.add(whole.peer)
                self._came(len(whole.data), size)
            return kept

        pages = await asyncio.to_thread(partial.pages_missing)
        await self._all([_page_block(size, page) for page in pages], keep_page, "are wrong leaves")
        self._here_bytes = await asyncio.to_thread(partial.here_bytes)
        await self._room(partial)
        for page in range(page_count(size)):
            while not (plan := await asyncio.to_thread(partial.plan, page)).done:
                copying = asyncio.create_task(self._copy(partial, plan, size))
                try:
                    blocks = [_chunk_block(size, index) for index in plan.fetch]
                    await self._all(blocks, keep_chunk, "is a wrong chunk")
                    await copying
                finally:
                    copying.cancel()
        await asyncio.to_thread(partial.flush)

    async def _copy(self, partial: Partial, plan: PagePlan, size: int) -> None:
        """Copies what is here. A chunk that is not what it should be is in the next plan, to be fetched."""

        def some(locals_: tuple[Local, ...]) -> int:
            return sum(chunk_bytes(size, each.index) for each in locals_ if partial.copy(each))

        for start in range(0, len(plan.copy), COPIED_AT_ONCE):
            copied = await asyncio.to_thread(some, plan.copy[start : start + COPIED_AT_ONCE])
            self.copied_bytes += copied
            self._came(copied, size)

    def _came(self, size_bytes: int, total_bytes: int) -> None:
        self._here_bytes += size_bytes
        self._progress(Progress(self._here_bytes, total_bytes, self._fetching.peers))

    # -- asking, until all is here

    async def _all(
        self, blocks: list[Block], keep: Callable[[Whole], Awaitable[bool]], wrong: str
    ) -> None:
        """Fetches blocks and keeps each. Raises ImageError if no peer gives one."""
        self._fetching.want(blocks, self._wire.clock())
        while not self._fetching.done:
            self._look()
            self._ask()
            if self._told:
                await self._judge(self._told.popleft(), keep, wrong)
                continue
            now = self._wire.clock()
            if why := self._fetching.hopeless(now):
                raise _hopeless(self._image, why)
            wait_s = min(self._fetching.next_deadline(now), self._looked_s + LOOK_EVERY_S) - now
            self._news.clear()
            try:
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _judge(
        self, told: Whole | Lied, keep: Callable[[Whole], Awaitable[bool]], wrong: str
    ) -> None:
        match told:
            case Whole():
                if await keep(told):
                    self._fetching.good(told.block, self._wire.clock())
                else:
                    lied = self._fetching.wrong(told.block, f"what it sent {wrong}")
                    self._blame(lied)
            case Lied():
                self._blame(told)
            case _:
                assert_never(told)

    def _blame(self, lied: Lied | None) -> None:
        """It is out of this fetch, and the node counts a fault of it, once."""
        if lied is None:
            return
        logger().warning("image.source_lied", peer=lied.peer[:12], why=lied.why)
        self._wire.tell(Garbled(lied.peer, "image-lie"))

    def _look(self) -> None:
        now = self._wire.clock()
        if now >= self._looked_s + LOOK_EVERY_S:
            self._looked_s = now
            self._fetching.sources(self._wire.sources())

    def _ask(self) -> None:
        for ask in self._fetching.asks(self._wire.clock()):
            message = ImageAsk(self._wire.session, self._image, ask.offset, ask.length, ask.piece)
            self._wire.tell(Say(ask.peer, message))


def _hopeless(image: Digest, why: str) -> ImageError:
    short = image[:12]
    if why == NOBODY:
        return ImageError(f"no live peer has image {short}; add it with `overlayctl image add`")
    return ImageError(f"image {short} could not be fetched: {why}")


def _page_block(size: int, page: int) -> Block:
    length = page_leaves(size, page) * HASH_BYTES
    return Block(ImagePiece.LEAVES, page * PAGE * HASH_BYTES, length)


def _chunk_block(size: int, index: int) -> Block:
    return Block(ImagePiece.CONTENT, index * CHUNK_BYTES, chunk_bytes(size, index))
