"""Images that nobody uses are a cache with a limit: who was used longest ago goes first.

An image that was added at this host never goes by itself. Another host that fetched it keeps it in a cache,
too, and removes it some day: then this is the only copy there is. An unfinished fetch that nobody waits for
counts like an image.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from overlayd.ports.images import Collected, ImageError, Images, Unused
from overlayd.ports.partials import Partials
from overlayd.telemetry.logs import logger
from protocol.terms.ids import Digest

LOOK_EVERY_S = 600.0
"""How often the limit is looked at: grids end, and their images are used no more."""


def goes(unused: Iterable[Unused], limit_bytes: int, need_bytes: int) -> list[Unused]:
    """What is to go, so that the rest is within the limit and so many bytes are freed, if that can be."""
    by_age = sorted(unused, key=lambda each: (each.used_s, each.digest))
    left, freed, going = sum(each.size_bytes for each in by_age), 0, list[Unused]()
    for each in by_age:
        if left <= limit_bytes and freed >= need_bytes:
            break
        if not each.added:
            going.append(each)
            left, freed = left - each.size_bytes, freed + each.size_bytes
    return going


class ImageCache:
    """Keeps the images of this host within their limit."""

    def __init__(
        self,
        images: Images,
        partials: Partials,
        users: Callable[[Digest], list[str]],
        coming: Callable[[], tuple[Digest, ...]],
        changed: Callable[[], Awaitable[None]],
        limit_bytes: int,
    ) -> None:
        """`users` names the workspaces here that are made of an image, `coming` says which are being fetched.
        `changed` is called when something was removed."""
        self._images, self._partials, self._users = images, partials, users
        self._coming, self._changed = coming, changed
        self.limit_bytes = limit_bytes
        self._turn = asyncio.Lock()

    async def collect(self, limit_bytes: int | None = None, need_bytes: int = 0) -> Collected:
        """Removes what is beyond a limit (its own if None), and what it takes to free `need_bytes`."""
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        async with self._turn:
            unused = await self._unused()
            gone = [each for each in goes(unused, limit, need_bytes) if await self._remove(each)]
        if any(not each.unfinished for each in gone):
            await self._changed()
        kept = tuple(each for each in unused if each not in gone)
        return Collected(tuple(gone), kept, limit)

    async def _remove(self, each: Unused) -> bool:
        """Whether it is gone: one that a root disk lies on stays, and one that is used or fetched by now."""
        if self._users(Digest(each.digest)) or each.digest in self._coming():
            return False
        try:
            if each.unfinished:
                await asyncio.to_thread(self._partials.remove, Digest(each.digest))
            else:
                await self._images.remove(each.digest)
        except (ImageError, OSError) as error:
            logger().warning("image.kept", image=each.digest[:12], error=str(error))
            return False
        what = "unfinished fetch" if each.unfinished else each.name
        size_bytes = each.size_bytes
        logger().info("image.removed", image=each.digest[:12], name=what, size_bytes=size_bytes)
        return True

    async def watch(self) -> None:
        """Looks at the limit now and then, as long as the daemon runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.collect()

    async def _unused(self) -> list[Unused]:
        uses = await self._images.uses()
        found: list[Unused] = []
        for info in await self._images.list():
            digest, use = Digest(info.digest), uses.get(info.digest)
            if use is None or self._users(digest) or digest in self._coming():
                continue
            name = info.name or info.digest[:12]
            found.append(Unused(info.digest, name, info.size_bytes, use.last_s, not use.fetched))
        for left in await asyncio.to_thread(self._partials.left):
            if not self._users(left.digest) and left.digest not in self._coming():
                name = left.digest[:12]
                found.append(
                    Unused(left.digest, name, left.size_bytes, left.written_s, unfinished=True)
                )
        return found
