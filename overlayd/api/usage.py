"""What leases of this site's hosts reserved and used: added up; and of this host, as signed receipts."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter
from litestar.serialization import encode_json

from overlayd.api.events import MEDIA_TYPE
from overlayd.api.problems import ApiProblem
from overlayd.api.service import Here, Service
from overlayd.api.views import UsageRow, UsageView
from overlayd.ports.usage import UsageFault
from protocol.node.messages import UsageTold
from protocol.node.rows import PeerRow
from protocol.policy.receipts import SignedReceipt

_ASKED = ("self", "alive", "suspect")
_AT_ONCE = 64
"""How many hosts are asked at once."""
Since = Annotated[float, QueryParameter(ge=0, description="Unix seconds.")]


@get("/usage", summary="What leases of this site's hosts reserved and used")
async def usage(service: Here, since: Since = 0.0) -> UsageView:
    """A row for each host, lease and member that made it what it was: of the receipts that end after `since`,
    and of what is in none yet. Each host of the site is asked."""
    view = service.peer.view
    hosts = [row for row in view.peers(service.peer.now()) if row.site == view.site]
    asked = [row for row in hosts if row.health in _ASKED]
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(row: PeerRow) -> UsageTold:
        async with turns:
            return await service.peer.usage_of(row.peer, since)

    told = list(zip(asked, await asyncio.gather(*map(ask, asked)), strict=True))
    rows = tuple(
        UsageRow(row.name, row.site, *msgspec.structs.astuple(lease))
        for row, answer in told
        for lease in answer.leases
    )
    away = [(row.name, f"it is {row.health}") for row in hosts if row not in asked]
    return UsageView(rows, (*filter(None, (_short(*each) for each in told)), *away))


@get("/usage/receipts", summary="The receipts, one JSON object a line", media_type=MEDIA_TYPE)
async def receipts(service: Here, since: Since = 0.0) -> Response[bytes]:
    """SignedReceipts that end after `since`, oldest first."""
    signed = await _signed(service, since)
    return Response(b"".join(encode_json(each) + b"\n" for each in signed), media_type=MEDIA_TYPE)


async def _signed(service: Service, since: float) -> list[SignedReceipt]:
    try:
        return await service.peer.usage.signed(since)
    except UsageFault as error:
        raise ApiProblem(503, str(error), "try again in a moment") from None


def _short(row: PeerRow, told: UsageTold) -> tuple[str, str] | None:
    """What a host left out, and why; None if it told all."""
    if told.problem:
        return row.name, told.problem
    return (row.name, f"{told.left_out} leases before these") if told.left_out else None


router = Router("/", route_handlers=[usage, receipts], tags=["usage"])
