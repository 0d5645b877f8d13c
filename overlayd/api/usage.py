"""What leases of this host reserved and used: added up, and as signed receipts."""

import asyncio
from collections.abc import Iterable
from typing import Annotated

from litestar import Response, Router, get
from litestar.params import QueryParameter
from litestar.serialization import encode_json

from overlayd.api.events import MEDIA_TYPE
from overlayd.api.problems import ApiProblem
from overlayd.api.service import Here, Service
from overlayd.api.views import UsageRow
from overlayd.ports.usage import UsageFault
from protocol.policy.receipts import Receipt, SignedReceipt, Total, read_receipt

Since = Annotated[float, QueryParameter(ge=0, description="Unix seconds.")]


@get("/usage", summary="What leases of this host reserved and used")
async def usage(service: Here, since: Since = 0.0) -> list[UsageRow]:
    """A row for each lease and each member that made it what it was: of the receipts that end after `since`,
    and of what is in none yet."""
    signed = await _signed(service, since)
    running = [receipt for receipt in service.peer.usage.running() if receipt.until_s > since]
    return await asyncio.to_thread(lambda: _rows([*map(read_receipt, signed), *running]))


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


def _rows(found: Iterable[Receipt]) -> list[UsageRow]:
    rows: dict[tuple[str, str, str], UsageRow] = {}
    for receipt in found:
        key = (receipt.grid, receipt.payer.owner, "/".join(receipt.payer.line))
        row = rows.get(key) or UsageRow(
            receipt.host_name, receipt.site, receipt.grid, receipt.name, receipt.payer, Total()
        )
        rows[key] = UsageRow(
            row.host, row.site, row.grid, row.name, row.payer, row.total + Total.of(receipt)
        )
    return list(rows.values())


router = Router("/", route_handlers=[usage, receipts], tags=["usage"])
