"""Fetches an image from peers that have it: in chunks, a few on their way at once, resumable.

The image store checks the whole against its digest, so no peer needs to be trusted. A peer that is slow, or
does not have the image after all, is left for the next. If several peers gave an image, perhaps over restarts,
and it is wrong, that is nobody's proven fault: the last of them is asked for all of it.
"""

import asyncio
from collections.abc import Callable

from overlayd.ports.images import ImageError, Images
from overlayd.telemetry.logs import logger
from protocol.node.events import Say
from protocol.node.messages import ImageAsk, ImageChunk
from protocol.terms.ids import Digest, PeerId

CHUNK_BYTES = 256 << 10
_WINDOW = 4
_CHUNK_WITHIN_S = 10.0

Progress = Callable[[int, int], None]
"""It is called with (bytes here, bytes in all)."""


class _Mixed(ImageError):
    """The whole image is wrong, and not all of it came from the last peer."""


class Fetcher:
    """All fetches of this host, one for each image at a time."""

    def __init__(
        self,
        images: Images,
        say: Callable[[Say], None],
        sources: Callable[[Digest], list[PeerId]],
        changed: Callable[[], None],
    ) -> None:
        """`sources` names peers that advertise an image. `changed` is called when an image has come."""
        self._images, self._say, self._sources, self._changed = images, say, sources, changed
        self._running: dict[Digest, asyncio.Task[None]] = {}
        self._waiting: dict[tuple[PeerId, str, int], asyncio.Future[ImageChunk]] = {}

    async def ensure(self, digest: Digest, progress: Progress) -> None:
        """Gets the image here. Raises ImageError if no peer could give it."""
        if any(image.digest == digest for image in await self._images.list()):
            return
        task = self._running.get(digest)
        if task is None:
            task = asyncio.create_task(self._fetch(digest, progress), name=f"fetch {digest[:12]}")
            self._running[digest] = task
            task.add_done_callback(lambda _: self._running.pop(digest, None))
        await asyncio.shield(task)

    def deliver(self, peer: PeerId, chunk: ImageChunk) -> None:
        """A chunk came. It is ignored if nothing waits for it, or not from that peer."""
        waiting = self._waiting.pop((peer, chunk.session, chunk.offset), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(chunk)

    async def _fetch(self, digest: Digest, progress: Progress) -> None:
        tried: list[str] = []
        for peer in self._sources(digest):
            try:
                try:
                    await self._fetch_from(peer, digest, progress)
                except _Mixed:
                    await self._fetch_from(peer, digest, progress)
            except (TimeoutError, ImageError) as error:
                why = str(error) or "does not answer"
                tried.append(f"{peer[:12]}: {why}")
                logger().warning("image.source_failed", peer=peer[:12], why=why)
                continue
            self._changed()
            return
        if not tried:
            raise ImageError(
                f"no live peer has image {digest[:12]}; add it with `overlayctl image add`"
            )
        raise ImageError(f"image {digest[:12]} could not be fetched: {'; '.join(tried)}")

    async def _fetch_from(self, peer: PeerId, digest: Digest, progress: Progress) -> None:
        session = f"{digest[:16]}-{peer[:8]}"
        offset = began = await self._images.partial(digest)
        first = await self._chunk(session, peer, digest, offset)
        total = first.total_bytes
        if total < 0:
            raise ImageError("does not have it after all")
        on_the_way = [asyncio.ensure_future(_now(first))]
        asked = offset + CHUNK_BYTES
        try:
            while offset < total:
                while asked < total and len(on_the_way) < _WINDOW:
                    ask = self._chunk(session, peer, digest, asked)
                    on_the_way.append(asyncio.ensure_future(ask))
                    asked += CHUNK_BYTES
                chunk = await on_the_way.pop(0)
                if chunk.offset != offset or not 0 < len(chunk.data) <= CHUNK_BYTES:
                    raise ImageError("sends something else than was asked")
                await self._images.append(digest, offset, chunk.data)
                offset += len(chunk.data)
                progress(offset, total)
        finally:
            for left in on_the_way:
                left.cancel()
        try:
            await self._images.finish(digest)
        except ImageError as error:
            if began:
                raise _Mixed(str(error)) from error
            raise

    async def _chunk(self, session: str, peer: PeerId, digest: Digest, offset: int) -> ImageChunk:
        future: asyncio.Future[ImageChunk] = asyncio.get_running_loop().create_future()
        key = (peer, session, offset)
        self._waiting[key] = future
        try:
            self._say(Say(peer, ImageAsk(session, digest, offset, CHUNK_BYTES)))
            async with asyncio.timeout(_CHUNK_WITHIN_S):
                return await future
        finally:
            self._waiting.pop(key, None)


async def _now(chunk: ImageChunk) -> ImageChunk:
    return chunk
