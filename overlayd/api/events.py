"""What happens at this peer, as lines of JSON: those that are kept, and with `follow` those to come."""

from collections.abc import AsyncIterator, Iterable
from typing import Annotated

from litestar import Response, Router, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream
from litestar.serialization import encode_json

from overlayd.api.service import Here, Service
from overlayd.ports.peer import EventLine

MEDIA_TYPE = "application/x-ndjson"

WAIT_S = 30.0
"""How many seconds one wait for news lasts at most. An answer comes as soon as there is one."""

Since = Annotated[int, QueryParameter(ge=0, description="The `seq` of the last line already seen.")]


@get("/events", summary="What happened, one JSON object a line", media_type=MEDIA_TYPE)
async def events(
    service: Here, since: Since = 0, follow: FromQuery[bool] = False
) -> Stream | Response[bytes]:
    """EventLines, one a line. A gap in `seq` means that lines are not kept any more."""
    if follow:
        return Stream(_follow(service, since), media_type=MEDIA_TYPE)
    return Response(_lines(service.peer.events(since)), media_type=MEDIA_TYPE)


async def _follow(service: Service, since: int) -> AsyncIterator[bytes]:
    while not service.stopping.is_set():
        fresh = await service.unless_stopping(service.peer.events_after(since, WAIT_S))
        if fresh:
            since = fresh[-1].seq
            yield _lines(fresh)


def _lines(events: Iterable[EventLine]) -> bytes:
    return b"".join(encode_json(event) + b"\n" for event in events)


router = Router("/", route_handlers=[events], tags=["events"])
