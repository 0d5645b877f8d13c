"""Usage as the API adds it up, and the receipts as they were signed."""

import httpx
import msgspec
from one_host import OneHost
from used_leases import HOUR, KATE, fill

from overlayd.adapters.nacl_keys import NaclVerifier
from overlayd.api.views import UsageRow, UsageView
from protocol.policy.receipts import HOUR_S, SignedReceipt, check_receipt


async def rows(api: httpx.AsyncClient, since_s: int = 0) -> dict[str, UsageRow]:
    answer = await api.get("/usage", params={"since": since_s})
    found = msgspec.json.decode(answer.content, type=UsageView)
    assert found.missing == ()
    return {f"{row.name} {row.payer.member or row.payer.line[-1:]}": row for row in found.rows}


async def test_a_row_for_each_lease_and_member_with_what_is_in_no_receipt_yet(
    api: httpx.AsyncClient, host: OneHost
) -> None:
    assert await rows(api) == {}
    fill(host)
    found = await rows(api)
    assert len(found) == 4
    sim = found["sim kate"]
    assert (sim.host, sim.site, sim.payer.whose, sim.payer.line) == (
        "h1",
        "ams",
        "vo:star",
        (KATE,),
    )
    assert sim.total.reserved.cpu_milli_s == 2 * 2000 * HOUR_S
    assert (sim.total.from_s, sim.total.until_s) == (HOUR * HOUR_S, (HOUR + 2) * HOUR_S)
    assert found["web ()"].total.used.cpu_ms == 2 * 500 * HOUR_S


async def test_only_what_ends_after_a_moment(api: httpx.AsyncClient, host: OneHost) -> None:
    fill(host)
    found = await rows(api, (HOUR + 1) * HOUR_S)
    assert found["sim kate"].total.reserved.cpu_milli_s == 2000 * HOUR_S
    assert list(await rows(api, (HOUR + 2) * HOUR_S)) == ["web ()"]
    assert await rows(api, (HOUR + 3) * HOUR_S) == {}


async def test_receipts_are_as_they_were_signed(api: httpx.AsyncClient, host: OneHost) -> None:
    fill(host)
    lines = (await api.get("/usage/receipts")).content.splitlines()
    found = [msgspec.json.decode(line, type=SignedReceipt) for line in lines]
    verifier = NaclVerifier()
    assert [check_receipt(each, verifier) for each in found] == host.usage.receipts


async def test_a_disk_that_does_not_answer_is_said(api: httpx.AsyncClient, host: OneHost) -> None:
    host.usage.full = True
    answer = await api.get("/usage/receipts")
    assert answer.status_code == 503
    assert answer.json()["problem"] == "usage.sqlite: the disk is gone"
    view = msgspec.json.decode((await api.get("/usage")).content, type=UsageView)
    assert view == UsageView((), (("h1", "usage.sqlite: the disk is gone"),))
