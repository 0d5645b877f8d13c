"""The audit log as the API gives it: the lines of the disk, unchanged."""

import asyncio
from typing import Any

import httpx
import msgspec
from one_host import OneHost
from orders import DEADLINE_S, grid_spec, signed

from overlayd.api.views import AuditEndView
from protocol.policy.audit import Kind, Report, read_line
from protocol.terms.effects import Audit
from protocol.trust.order import Action, order_id
from protocol.wire.codec import encode

NOW = 1_000_000.0


def decision(number: int) -> Audit:
    return Audit("act", True, order=f"{number:064d}")


async def test_its_lines_its_end_and_whether_it_is_whole(
    api: httpx.AsyncClient, host: OneHost
) -> None:
    assert (await api.get("/audit")).content == b""
    await host.audit_log.add([(NOW, decision(1)), (NOW, decision(2))])
    lines = (await api.get("/audit")).content.splitlines()
    kinds = [read_line(line).kind for line in lines]
    assert kinds == [Kind.BEGUN, Kind.HEAD, Kind.ORDER, Kind.ORDER, Kind.HEAD]
    assert (await api.get("/audit", params={"after": 3})).content.splitlines() == lines[3:]
    end = msgspec.json.decode((await api.get("/audit/end")).content, type=AuditEndView)
    assert (end.n, end.key, end.host, end.fault) == (5, host.node.me, "h1", "")
    report = msgspec.json.decode((await api.get("/audit/report")).content, type=Report)
    assert (report.lines, report.digest, report.faults) == (5, end.digest, ())


async def test_a_follower_gets_what_comes(api: httpx.AsyncClient, host: OneHost) -> None:
    await host.audit_log.add([(NOW, decision(1))])
    params: dict[str, Any] = {"after": 2, "follow": "true"}
    async with api.stream("GET", "/audit", params=params) as stream:
        lines = stream.aiter_lines()
        seen = [read_line((await anext(lines)).encode()) for _ in range(2)]
        await host.audit_log.add([(NOW, decision(2))])
        seen += [read_line((await anext(lines)).encode()) for _ in range(2)]
    assert [line.n for line in seen] == [3, 4, 5, 6]
    assert [line.order for line in seen[::2]] == [decision(1), decision(2)]


async def test_a_log_that_cannot_be_read_is_said(api: httpx.AsyncClient, host: OneHost) -> None:
    await host.audit_log.add([(NOW, decision(1))])
    path = next(host.audit_log._directory.glob("from-*"))
    path.unlink()
    path.mkdir()
    for asked in ("/audit", "/audit/report"):
        answer = await api.get(asked)
        assert answer.status_code == 500
        assert answer.json()["problem"].startswith("the audit log in ")


async def test_an_order_that_is_given_here_has_its_line_and_so_has_one_that_is_refused(
    api: httpx.AsyncClient, host: OneHost
) -> None:
    good = signed(host.site_dir, Action.UP, "demo", body=encode(await grid_spec(host)))
    other = signed(host.site_dir, Action.UP, "other", body=encode(await grid_spec(host, "other")))
    bad = msgspec.structs.replace(other, signature=b"\0" * 64)
    for order in (bad, good):
        await api.post("/orders", content=msgspec.json.encode(order))
    said: dict[str, Audit] = {}
    async with asyncio.timeout(DEADLINE_S):
        while len(said) < 3:
            for line in (await api.get("/audit")).content.splitlines():
                audit = read_line(line).order
                if audit is not None:
                    said[f"{audit.what} {audit.allowed}"] = audit
    assert said["order False"].order == order_id(bad)
    assert said["order True"].order == said["hold True"].order == order_id(good)
    refused = said["order False"]
    assert (refused.believed, refused.whose, refused.via) == (False, "ams", host.node.me)
    assert "bad-signature" in refused.why
    assert said["order True"].believed
    assert said["hold True"].via_site == "ams"
