"""A workspace's image, waited for while the workspace is wanted: a large one takes longer than people do."""

import asyncio
from collections.abc import Callable

from overlayd.ports.images import Images
from overlayd.realise.fetch import Fetcher
from overlayd.realise.one_fetch import Progress
from protocol.grid.model import ImageRef
from protocol.terms.ids import Digest

LOOK_EVERY_S = 0.5
"""How often it is looked whether the workspace is still wanted."""


async def image_here(
    images: Images,
    fetcher: Fetcher,
    image: ImageRef,
    wanted: Callable[[], bool],
    say: Callable[[str], None],
) -> bool:
    """Whether it is here. If not it is fetched, and `say` hears how far that is.

    False if it is not wanted any more. What came of it is on disk. Raises ImageError if nobody could give it.
    """
    digest = Digest(image.digest)
    if any(each.digest == digest for each in await images.list()):
        return True
    say("fetching")
    told = -1

    def tell(far: Progress) -> None:
        nonlocal told
        if far.percent != told:  # who serves it changes many times a second
            told = far.percent
            say(far.text)

    work = asyncio.ensure_future(fetcher.ensure(digest, tell, image.name))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=LOOK_EVERY_S)
            if not work.done() and not wanted():
                return False
        await work
        return True
    finally:
        work.cancel()
