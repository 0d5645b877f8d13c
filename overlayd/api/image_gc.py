"""Images that nobody uses, removed on demand."""

from typing import Annotated

from litestar import Router, post
from litestar.params import QueryParameter

from overlayd.api.service import Here
from overlayd.ports.images import Collected

Keep = Annotated[
    int | None,
    QueryParameter(
        ge=0, description="Bytes that may stay; what the daemon's file says if left out."
    ),
]


@post("/images/gc", status_code=200, summary="Remove images that nothing on this host uses")
async def collect(service: Here, keep: Keep = None) -> Collected:
    """Removes those that were used longest ago, until the rest takes no more than may stay.

    One that was added here and that no other live host has is never removed.
    """
    return await service.peer.collect_images(keep)


router = Router("/", route_handlers=[collect], tags=["images"])
