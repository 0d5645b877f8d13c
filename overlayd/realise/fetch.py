"""Fetches images from the peers that have them: several at once, chunk by chunk, on from what is here.

Each chunk is checked as it comes, so no peer needs to be trusted: one that lies is out of that fetch, and costs
a chunk. A few images come at a time; the others wait. Room is asked for before content is.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from overlayd.ports.images import ImageError, Images
from overlayd.ports.partials import Partial, Partials
from overlayd.realise.one_fetch import OneFetch, Progress, Wire
from protocol.image.facts import ImageKind
from protocol.node.events import Event
from protocol.node.messages import ImageChunk
from protocol.terms.ids import Digest, PeerId
from protocol.terms.quantities import format_size

AT_ONCE = 3
"""Images that come at once. Their windows with one peer fit in its lane of the inbox (8 MiB)."""
SPARE_MOST_BYTES, SPARE_PART = 256 << 20, 20
"""What stays free on the disk, for guests that run and for what this daemon must write: so much, and of a small
disk a twentieth."""

Following = Callable[[Progress], None]
"""Hears how far a fetch is."""
MakeRoom = Callable[[int], Awaitable[None]]
"""Frees so many bytes if there is anything that nobody uses."""


class Fetcher:
    """All fetches of this host, one for each image at a time."""

    def __init__(
        self,
        images: Images,
        partials: Partials,
        tell: Callable[[Event], None],
        sources: Callable[[Digest], list[PeerId]],
        changed: Callable[[], None],
        make_room: MakeRoom,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sources` names peers that advertise an image, the nearest first. `changed` is called when an image
        has come."""
        self._images, self._partials, self._tell = images, partials, tell
        self._sources, self._changed, self._make_room = sources, changed, make_room
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._running: dict[Digest, asyncio.Task[None]] = {}
        self._fetches: dict[str, OneFetch] = {}
        """By session."""
        self._following: dict[Digest, list[Following]] = {}
        self._claims: dict[Digest, int] = {}
        """Bytes that fetches which run have been given and may not have written yet."""

    @property
    def running(self) -> tuple[Digest, ...]:
        """The images that are coming."""
        return tuple(self._running)

    async def ensure(self, digest: Digest, follow: Following, name: str = "") -> None:
        """Gets the image here, under that name if no other has it. Raises ImageError if no peer could give it.

        When nobody waits for an image any more, its fetch ends. What is here of it stays.
        """
        if any(image.digest == digest for image in await self._images.list()):
            return
        while (last := self._running.get(digest)) is not None and last.cancelling():
            await asyncio.wait({last})  # Nobody waited any more; that one does not come to its end.
        following = self._following.setdefault(digest, [])
        following.append(follow)
        task = self._running.get(digest)
        if task is None:
            task = asyncio.create_task(self._fetch(digest, name), name=f"fetch {digest[:12]}")
            self._running[digest] = task
            task.add_done_callback(lambda over: self._over(digest, over))
        try:
            await asyncio.shield(task)
        finally:
            following.remove(follow)
            if not following:
                task.cancel()
                self._over(digest, task)  # Who comes now must not wait for one that is given up.

    def deliver(self, peer: PeerId, chunk: ImageChunk) -> None:
        """Something of an image came. It is ignored if no fetch waits for it."""
        fetch = self._fetches.get(chunk.session)
        if fetch is not None:
            fetch.deliver(peer, chunk)

    def _over(self, digest: Digest, task: asyncio.Task[None]) -> None:
        if self._running.get(digest) is task:
            del self._running[digest]
            self._following.pop(digest, None)
            self._claims.pop(digest, None)

    async def _fetch(self, digest: Digest, name: str) -> None:
        async with self._turns:
            session = digest[:16]
            wire = Wire(session, self._tell, lambda: self._sources(digest), self._clock)

            unpacked = 0

            def progress(how_far: Progress) -> None:
                self._claims[digest] = how_far.total_bytes - how_far.here_bytes + unpacked
                for follow in tuple(self._following.get(digest, ())):
                    follow(how_far)

            async def room(partial: Partial) -> None:
                nonlocal unpacked
                facts = partial.summary.facts
                unpacked = 0 if facts.kind is ImageKind.DISK else facts.content_bytes
                self._claims[digest] = await self._room(digest, partial, unpacked)

            fetch = self._fetches[session] = OneFetch(digest, wire, self._partials, room, progress)
            try:
                partial = await fetch.run()
            finally:
                if self._fetches.get(session) is fetch:
                    del self._fetches[session]
        partial.close()
        await self._images.adopt(digest, partial.folder, partial.summary, name)
        self._changed()

    async def _room(self, digest: Digest, partial: Partial, unpacked: int) -> int:
        """How much is still to be written. Raises ImageError without room for it."""
        wanted = await asyncio.to_thread(partial.wanted_bytes) + unpacked
        others = sum(self._claims.values())
        free, disk = await asyncio.to_thread(self._partials.room)
        spare = min(SPARE_MOST_BYTES, disk // SPARE_PART)
        need = wanted + others + spare
        if need > free:
            await self._make_room(need - free)
            free, _ = await asyncio.to_thread(self._partials.room)
        if need > free:
            size = format_size(partial.summary.facts.content_bytes)
            coming = f", {format_size(others)} for images that are coming" if others else ""
            raise ImageError(
                f"no room for image {digest[:12]} ({size}): it needs {format_size(wanted)}{coming} and "
                f"{format_size(spare)} to spare, {format_size(free)} are free; `overlayctl image "
                "gc` and `overlayctl volume delete` make room here, `placement` names other hosts"
            )
        return wanted
