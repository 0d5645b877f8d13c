"""This host's audit log: its lines as they are on the disk, where it ends, and whether it is whole."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Response, Router, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from overlayd.api.events import MEDIA_TYPE
from overlayd.api.problems import ApiProblem
from overlayd.api.service import Here, Service
from overlayd.api.views import AuditEndView
from overlayd.ports.audit import AuditFault
from protocol.policy.audit import Report

LINES_MOST = 5000
_EVERY_S = 1.0
"""How often is looked for lines that came, in seconds: they are written about as often."""

After = Annotated[
    int, QueryParameter(ge=0, description="The number of the last line already seen.")
]


@get("/audit", summary="What this host decided, one JSON object a line", media_type=MEDIA_TYPE)
async def lines(
    service: Here, after: After = 0, follow: FromQuery[bool] = False
) -> Stream | Response[bytes]:
    """At most 5,000 lines behind that one, as they are on the disk; with `follow` all, and those to come."""
    if follow:
        return Stream(_follow(service, after), media_type=MEDIA_TYPE)
    return Response(_joined(await _lines(service, after)), media_type=MEDIA_TYPE)


@get("/audit/end", summary="The number and digest of the log's last line")
async def end(service: Here) -> AuditEndView:
    """Whoever keeps it elsewhere finds out later if lines up to there were cut off, or made anew."""
    log, view = service.peer.audit_log, service.peer.view
    return AuditEndView(log.end.n, log.end.digest, view.me, view.name, log.fault)


@get("/audit/report", summary="Whether the log is whole")
async def report(service: Here) -> Report:
    """All of it is gone through."""
    try:
        return await service.peer.audit_log.examine()
    except AuditFault as error:
        raise ApiProblem(500, str(error)) from None


async def _lines(service: Service, after: int) -> list[bytes]:
    try:
        return await service.peer.audit_log.lines(after, LINES_MOST)
    except AuditFault as error:
        raise ApiProblem(500, str(error)) from None


async def _follow(service: Service, after: int) -> AsyncIterator[bytes]:
    while not service.stopping.is_set():
        found = await _lines(service, after)
        if found:
            after += len(found)
            yield _joined(found)
        else:
            await service.unless_stopping(asyncio.sleep(_EVERY_S))


def _joined(found: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in found)


router = Router("/", route_handlers=[lines, end, report], tags=["audit"])
"""Read-only: nobody can have a line changed."""
