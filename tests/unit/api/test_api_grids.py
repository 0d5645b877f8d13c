"""Plans, orders and requests through the API, answered by a real node."""

import msgspec
import pytest
from httpx import AsyncClient
from one_host import OneHost
from orders import accepted, answered, building, grid_spec, post, signed, up_order, view_when

from overlayd.api.views import GridView
from protocol.grid.lifecycle import Phase
from protocol.grid.model import ImageRef
from protocol.node.events import Event
from protocol.node.rows import GridRow
from protocol.node.snapshot import PeerView
from protocol.requesting.events import GridsAsked
from protocol.requesting.proposal import Proposal
from protocol.terms.ids import GridId
from protocol.trust.order import Action, order_key


async def test_a_plan_says_where_everything_would_go_and_holds_nothing(
    api: AsyncClient, host: OneHost
) -> None:
    request = await accepted(api, "/plans", await grid_spec(host))
    view = await answered(api, request)
    assert (view["kind"], view["state"], view["grid"]) == ("plan", "done", "demo")
    assert [(row["workspace"], row["host"], row["image_cached"]) for row in view["placement"]] == [
        ("node-1", "h1", True),
        ("node-2", "h1", True),
    ]
    assert host.view.this_peer().holds == 0
    assert (await api.get("/grids")).json() == []


async def test_an_up_is_followed_from_order_to_answer(api: AsyncClient, host: OneHost) -> None:
    spec = await grid_spec(host)
    order = up_order(host.site_dir, spec)
    request = await accepted(api, "/orders", order)
    assert request == order_key(order)
    await building(api, request)
    (row,) = msgspec.json.decode((await api.get("/grids")).content, type=list[GridRow])
    assert (row.name, row.owner_site, row.workspaces, row.phases) == (
        "demo",
        "ams",
        2,
        (("held", 2),),
    )
    host.progress(row.grid, Phase.BOOTING)
    host.progress(row.grid, Phase.READY)
    view = await answered(api, request)
    assert (view["state"], view["answer"]) == ("done", ["demo is up: 2 workspaces"])
    for name in ("demo", row.grid):
        shown = msgspec.json.decode((await api.get(f"/grids/{name}")).content, type=GridView)
        assert [(w.workspace, w.phase, w.host) for w in shown.workspaces] == [
            ("node-1", "ready", "h1"),
            ("node-2", "ready", "h1"),
        ]
        assert shown.grid.state == "up"


async def test_an_image_in_use_is_not_removed(api: AsyncClient, host: OneHost) -> None:
    spec = await grid_spec(host)
    await building(api, await accepted(api, "/orders", up_order(host.site_dir, spec)))
    refused = await api.delete("/images/guest")
    assert (refused.status_code, refused.json()) == (
        409,
        {
            "problem": 'image "guest" is in use here, by demo/node-1 and demo/node-2',
            "would_work": "take those down first; each start of theirs needs it",
        },
    )
    assert len(await host.images.list()) == 1
    down = signed(host.site_dir, Action.DOWN, "demo")
    await accepted(api, "/orders", down)
    assert (await api.delete("/images/guest")).status_code == 200


async def test_the_same_order_twice_is_one_request(api: AsyncClient, host: OneHost) -> None:
    order = up_order(host.site_dir, await grid_spec(host))
    first = await accepted(api, "/orders", order)
    assert await accepted(api, "/orders", order) == first
    await building(api, first)
    assert await accepted(api, "/orders", order) == first
    assert [view["id"] for view in (await api.get("/requests")).json()] == [first]


async def test_of_two_ups_of_one_name_one_is_refused(api: AsyncClient, host: OneHost) -> None:
    spec = await grid_spec(host)
    first = await accepted(api, "/orders", up_order(host.site_dir, spec))
    second = await accepted(api, "/orders", up_order(host.site_dir, spec))
    view = await answered(api, second)
    assert (view["state"], view["answer"]) == (
        "failed",
        ["demo is being brought up by another request at this peer"],
    )
    await building(api, first)


async def test_a_request_is_known_before_the_node_has_dealt_with_it(
    api: AsyncClient, host: OneHost
) -> None:
    taken: list[object] = []
    host.submit = taken.append  # type: ignore[method-assign]  # the inbox, standing still
    request = await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    view = (await api.get(f"/requests/{request}")).json()
    assert (view["state"], view["stage"], view["grid"]) == ("running", "queued", "demo")
    assert [v["id"] for v in (await api.get("/requests")).json()] == [request]
    assert len(taken) == 1


async def test_down_in_the_middle_of_an_up_takes_it_down(api: AsyncClient, host: OneHost) -> None:
    up = await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    await building(api, up)
    (row,) = (await api.get("/grids")).json()
    down = await accepted(api, "/orders", signed(host.site_dir, Action.DOWN, "demo"))
    await view_when(api, down, lambda view: view["stage"] == "hosts clear up")
    host.progress(GridId(row["grid"]), Phase.GONE)
    assert (await answered(api, down))["answer"] == ["demo is gone"]
    assert (await answered(api, up))["answer"] == ["demo was taken down meanwhile"]


async def test_an_order_of_another_site_changes_nothing(api: AsyncClient, host: OneHost) -> None:
    up = await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    await building(api, up)
    down = await accepted(api, "/orders", signed(host.other_site_dir, Action.DOWN, "demo"))
    view = await answered(api, down)
    assert (view["state"], view["answer"][0]) == ("failed", "demo belongs to site ams's admin")


async def test_a_forged_order_is_refused_by_the_node(api: AsyncClient, host: OneHost) -> None:
    order = up_order(host.site_dir, await grid_spec(host))
    forged = msgspec.structs.replace(order, signature=bytes(64))
    view = await answered(api, await accepted(api, "/orders", forged))
    assert view["state"] == "failed"
    assert view["answer"][0].startswith("this order is not accepted: bad-signature: ")


async def test_an_image_nobody_has_fails_the_plan(api: AsyncClient, host: OneHost) -> None:
    spec = await grid_spec(host)
    cluster = msgspec.structs.replace(spec.clusters[0], image=ImageRef("other", "0" * 64))
    request = await accepted(api, "/plans", msgspec.structs.replace(spec, clusters=(cluster,)))
    assert (await answered(api, request))["answer"] == [
        "image other of cluster node is on no host",
        "  would work: one of those there are (guest), or `overlayctl image add`",
    ]


async def test_cancelling(api: AsyncClient, host: OneHost) -> None:
    plan = await accepted(api, "/plans", await grid_spec(host))
    await answered(api, plan)
    answer = await api.delete(f"/requests/{plan}")
    assert (answer.status_code, answer.json()) == (
        409,
        {"problem": f"request {plan} has ended: done", "would_work": ""},
    )
    up = await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    await building(api, up)
    assert (await api.delete(f"/requests/{up}")).status_code == 202
    assert (await api.get(f"/requests/{up}")).json()["state"] == "running", "it is decided already"


async def test_a_full_inbox_is_said_and_nothing_is_remembered(
    api: AsyncClient, host: OneHost
) -> None:
    host.full = True
    answer = await post(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "problem": "this peer has too much to do and took nothing in",
        "would_work": "try again in a moment",
    }
    assert (await api.get("/requests")).json() == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/grids/nowhere", 'there is no grid "nowhere"; there is none yet'),
        ("/requests/r-1", 'there is no request "r-1"; there is none yet'),
    ],
)
async def test_unknown_names_when_there_is_nothing(
    api: AsyncClient, path: str, problem: str
) -> None:
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["problem"]) == (404, problem)


async def test_unknown_names_name_what_there_is(api: AsyncClient, host: OneHost) -> None:
    up = await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    await building(api, up)
    grid = await api.get("/grids/demos")
    assert (grid.status_code, grid.json()) == (
        404,
        {
            "problem": 'there is no grid "demos"; there is demo',
            "would_work": "`overlayctl ps` lists the grids there are",
        },
    )
    request = await api.delete("/requests/r-1")
    assert (request.status_code, request.json()) == (
        404,
        {
            "problem": f'there is no request "r-1"; there is {up}',
            "would_work": "`overlayctl request list` lists them",
        },
    )


async def test_a_kept_plan_is_a_quote_with_what_was_offered(
    api: AsyncClient, host: OneHost
) -> None:
    spec = await grid_spec(host)
    quote = await accepted(api, "/plans?keep=true&site=bnl", spec)
    view = await answered(api, quote)
    assert (view["kind"], view["state"]) == ("quote", "done")
    (kept,) = msgspec.json.decode((await api.get("/quotes")).content, type=list[Proposal])
    assert (kept.id, kept.site, kept.spec, kept.until_s) == (quote, "bnl", spec, view["until_s"])
    assert [offer.host for offer in kept.offers] == ["h1"]
    assert (await api.get(f"/quotes/{quote}")).json()["id"] == quote
    missing = await api.get("/quotes/quote-1")
    assert (missing.status_code, missing.json()["problem"]) == (
        404,
        f'there is no quote "quote-1"; there is {quote}',
    )


async def test_a_quote_is_for_the_grid_it_was_made_for(api: AsyncClient, host: OneHost) -> None:
    spec = await grid_spec(host)
    quote = await accepted(api, "/plans?keep=true", spec)
    await answered(api, quote)
    other = up_order(host.site_dir, msgspec.structs.replace(spec, lease_s=120))
    view = await answered(api, await accepted(api, f"/orders?quote={quote}", other))
    assert view["state"] == "failed"
    assert view["answer"][0] == (
        f"cannot make demo: the order is not for the grid that {quote} was made for"
    )
    down = signed(host.site_dir, Action.DOWN, "demo")
    refused = await post(api, f"/orders?quote={quote}", down)
    assert refused.status_code == 400


def _asked(host: OneHost, monkeypatch: pytest.MonkeyPatch) -> list[GridsAsked]:
    """What the peer is asked to check, from now on."""
    asked: list[GridsAsked] = []
    submit = host.submit

    def told(event: Event) -> None:
        if isinstance(event, GridsAsked):
            asked.append(event)
        submit(event)

    monkeypatch.setattr(host, "submit", told)
    return asked


async def test_what_is_told_is_checked_before_it_is_shown(
    api: AsyncClient, host: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    asked = _asked(host, monkeypatch)
    (row,) = (await api.get("/grids")).json()
    assert row["confirmed"]
    assert asked == [], "it is carried here"
    about: list[str] = []

    def checking(view: PeerView, name: str, now: float) -> bool:
        about.append(name)
        return len(about) % 4 != 0

    monkeypatch.setattr(PeerView, "checking", checking)
    assert len((await api.get("/grids", params={"name": "demo"})).json()) == 1
    assert (await api.get("/grids", params={"name": "other"})).json() == []
    assert (await api.get("/grids/demo")).status_code == 200
    assert (await api.get("/grids/ams/demo")).status_code == 200
    assert [event.about for event in asked] == ["demo", "other", "demo", "demo"]
    assert len(about) == 16, "it was waited for each time"


async def test_what_nobody_shows_is_not_waited_for_long_and_is_shown_as_that(
    api: AsyncClient, host: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    monkeypatch.setattr(PeerView, "checking", lambda view, name, now: True)
    grids, find = PeerView.grids, PeerView.find_grids

    def told(view: PeerView, now: float) -> list[GridRow]:
        rows = [msgspec.structs.replace(row, confirmed=False) for row in grids(view, now)]
        others = [msgspec.structs.replace(row, grid=GridId("f" * 20)) for row in rows]
        return rows + others

    monkeypatch.setattr(PeerView, "grids", told)
    monkeypatch.setattr(
        PeerView, "find_grids", lambda view, name, site="": [*find(view, name), GridId("f" * 20)]
    )
    rows = (await api.get("/grids")).json()
    assert [row["confirmed"] for row in rows] == [False, False]
    answer = await api.get("/grids/demo")
    assert answer.status_code == 409
    assert "2 grids named demo are told of, and none is confirmed" in answer.text


async def test_what_a_peer_knows_of_and_has_no_record_of_is_looked_up(
    api: AsyncClient, host: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    whole = (await api.get("/standing/demo")).json()
    asked, known = _asked(host, monkeypatch), PeerView.standing
    monkeypatch.setattr(
        PeerView, "standing", lambda view, grid: known(view, grid) if asked else None
    )
    assert (await api.get("/standing/demo")).json() == whole
    assert [event.about for event in asked] == [whole["grid"]]


async def test_what_nobody_shows_of_a_grid_cannot_be_changed(
    api: AsyncClient, host: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await building(
        api, await accepted(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    )
    monkeypatch.setattr("overlayd.api.grids.CONFIRM_WAITS_S", 0.05)
    monkeypatch.setattr(PeerView, "standing", lambda view, grid: None)
    said = await api.get("/standing/demo")
    assert (said.status_code, said.json()["problem"]) == (
        409,
        "what was decided of demo is not known here: too few of its stewards answer",
    )
