"""Images that nobody uses, removed on demand."""

import asyncio
import shutil
from typing import Annotated

from litestar import Router, post
from litestar.params import QueryParameter

from overlayd.api.service import Here, Service
from overlayd.ports.images import Collected

UNSAID_BYTES = 2 << 30
"""What an upload is taken for that does not say how long it is."""

Keep = Annotated[
    int | None,
    QueryParameter(
        ge=0, description="Bytes that may stay; what the daemon's file says if left out."
    ),
]


@post("/images/gc", status_code=200, summary="Remove images that nothing on this host uses")
async def collect(service: Here, keep: Keep = None) -> Collected:
    """Removes those that were used longest ago, until the rest takes no more than may stay.

    One that was added here is never removed.
    """
    return await service.peer.collect_images(keep)


async def make_room(service: Service, upload_bytes: int | None) -> None:
    """Before an upload: images that nobody uses go, if there is no room for it and what is made of it."""
    need = 2 * (upload_bytes if upload_bytes is not None else UNSAID_BYTES)
    disk = await asyncio.to_thread(shutil.disk_usage, service.uploads)
    if need > disk.free:
        await service.peer.collect_images(None, need - disk.free)


router = Router("/", route_handlers=[collect], tags=["images"])
