"""Files beside orders: checked against what the grid names, and kept before anything is promised."""

import msgspec
import pytest
from httpx import AsyncClient
from one_host import OneHost
from orders import accepted, answered, building, grid_spec, post, signed, up_order

from overlayd.api.views import OrderBody, PlanBody
from overlayd.ports.attachments import AttachmentError
from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.grid.model import GridSpec
from protocol.grid.record import HoldTerms
from protocol.terms.ids import digest_of
from protocol.trust.order import Action, SignedOrder, order_key
from protocol.wire.codec import encode

FILE, OTHER = b"#cloud-config\npackages: [secret-word]\n", b"#!/bin/sh\n"


async def with_file(host: OneHost, *files: bytes) -> GridSpec:
    """A grid with a cluster for each file."""
    spec = await grid_spec(host, count=1)
    clusters = tuple(
        msgspec.structs.replace(spec.clusters[0], name=f"c{index}", user_data=digest_of(file))
        for index, file in enumerate(files)
    )
    return msgspec.structs.replace(spec, clusters=clusters)


def body(order: SignedOrder, *files: bytes) -> OrderBody:
    return OrderBody.of(order, files)


async def test_files_are_kept_by_the_order_they_came_with(api: AsyncClient, host: OneHost) -> None:
    order = up_order(host.site_dir, await with_file(host, FILE, FILE, OTHER))
    request = await accepted(api, "/orders", body(order, FILE, OTHER))
    assert request == order_key(order)
    assert set(host.attachments.kept()[request]) == {digest_of(FILE), digest_of(OTHER)}
    await building(api, request)


async def test_it_is_safe_to_repeat_and_then_needs_no_files(
    api: AsyncClient, host: OneHost
) -> None:
    order = up_order(host.site_dir, await with_file(host, FILE))
    first = await accepted(api, "/orders", body(order, FILE))
    assert await accepted(api, "/orders", body(order, FILE)) == first
    assert await accepted(api, "/orders", order) == first


async def test_an_order_without_its_files_is_refused_with_the_cluster(
    api: AsyncClient, host: OneHost
) -> None:
    refused = await post(api, "/orders", up_order(host.site_dir, await with_file(host, FILE)))
    assert refused.status_code == 422
    assert refused.json()["problem"].startswith(f"the user-data of c0, {digest_of(FILE)[:12]}")
    assert host.attachments.kept() == {}
    assert host.view.requests() == []


@pytest.mark.parametrize(
    ("files", "status", "said"),
    [
        ((OTHER,), 400, "is none that the order names"),
        ((FILE, OTHER), 400, "is none that the order names"),
        ((FILE + b"x",), 400, "is none that the order names"),
        ((FILE, bytes(ATTACHMENT_BYTES_MAX + 1)), 413, "at most 1 MiB are taken"),
        ((FILE,) * 17, 400, "found 17 files; at most 16 are taken"),
        ((bytes(1 << 20),) * 5, 413, "the files have 5 MiB; at most 4 MiB in all"),
    ],
)
async def test_what_is_not_named_or_too_much_is_refused(
    api: AsyncClient, host: OneHost, files: tuple[bytes, ...], status: int, said: str
) -> None:
    order = up_order(host.site_dir, await with_file(host, FILE))
    refused = await post(api, "/orders", body(order, *files))
    assert refused.status_code == status
    assert said in refused.json()["problem"]
    assert host.attachments.kept() == {}


async def test_an_order_that_names_none_takes_none(api: AsyncClient, host: OneHost) -> None:
    order = up_order(host.site_dir, await grid_spec(host))
    assert (await post(api, "/orders", body(order, FILE))).status_code == 400
    down = signed(host.site_dir, Action.DOWN, "demo")
    assert (await post(api, "/orders", body(down, FILE))).status_code == 400


async def test_nothing_is_promised_that_could_not_be_kept(
    api: AsyncClient, host: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(key: str, contents: tuple[bytes, ...]) -> None:
        raise AttachmentError("no room for 38 B of files")

    monkeypatch.setattr(host.attachments, "keep", full)
    order = up_order(host.site_dir, await with_file(host, FILE))
    refused = await post(api, "/orders", body(order, FILE))
    assert (refused.status_code, refused.json()["problem"]) == (507, "no room for 38 B of files")
    assert host.view.requests() == []


async def test_a_quote_keeps_its_files_for_the_up_that_takes_it(
    api: AsyncClient, host: OneHost
) -> None:
    spec = await with_file(host, FILE)
    refused = await api.post("/plans", params={"keep": "true"}, content=msgspec.json.encode(spec))
    assert refused.status_code == 422
    plan = PlanBody.of(spec, (FILE,))
    answer = await api.post("/plans", params={"keep": "true"}, content=msgspec.json.encode(plan))
    quote = answer.json()["request"]
    assert (await answered(api, quote))["state"] == "done"
    assert quote in host.view.file_keys()
    order = up_order(host.site_dir, spec)
    await building(api, await accepted(api, f"/orders?quote={quote}", order))
    assert host.attachments.has(order_key(order), digest_of(FILE))


async def test_a_held_plan_keeps_its_files_too(api: AsyncClient, host: OneHost) -> None:
    spec = await with_file(host, FILE)
    hold = signed(host.site_dir, Action.HOLD, spec.name, body=encode(HoldTerms(spec, 60.0)))
    assert (await post(api, "/orders", hold)).status_code == 422
    quote = await accepted(api, "/orders", body(hold, FILE))
    assert (await answered(api, quote))["state"] == "held"
    assert quote in host.view.file_keys()
    order = up_order(host.site_dir, spec)
    request = await accepted(api, f"/orders?quote={quote}", order)
    assert host.attachments.has(request, digest_of(FILE))


async def test_a_plan_that_is_only_shown_needs_no_files(api: AsyncClient, host: OneHost) -> None:
    request = await accepted(api, "/plans", await with_file(host, FILE))
    assert (await answered(api, request))["state"] == "done"
    assert host.attachments.kept() == {}


async def test_what_a_file_says_is_in_no_record_notice_row_or_event(
    api: AsyncClient, host: OneHost
) -> None:
    order = up_order(host.site_dir, await with_file(host, FILE))
    await building(api, await accepted(api, "/orders", body(order, FILE)))
    stored = b"".join(value for value in host.store.values() if value)
    assert digest_of(FILE).encode() in stored
    assert b"secret-word" not in stored
    assert "secret-word" not in str(host.events(0))
    assert b"secret-word" not in (await api.get("/grids/demo")).content
