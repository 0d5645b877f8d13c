"""Grids: what there is, plans, signed orders, and the requests that those become.

An order's request id is derived from the order itself, so sending it twice is the same as sending it once.
"""

import asyncio
import secrets
from collections import Counter
from typing import Annotated

from litestar import Router, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from overlayd.api.attaching import FILES_BODY_BYTES, Wanted, attach, files_of, ordered_files
from overlayd.api.problems import ApiProblem, no_such
from overlayd.api.service import Here, Service
from overlayd.api.views import Accepted, ElasticView, GridView, OrderBody, PlanBody, SizeView
from overlayd.ports.peer import Busy
from protocol.grid.expand import cluster_of, members, names_of
from protocol.grid.record import is_about
from protocol.node.rows import GridRow, UnknownRow, WorkspaceRow
from protocol.node.standing import Standing
from protocol.requesting.events import CancelAsked, GridsAsked, OrderGiven, PlanAsked
from protocol.requesting.proposal import Proposal
from protocol.requesting.request import UNENDED, RequestState, RequestView
from protocol.terms.ids import GridId, RequestId
from protocol.terms.limits import PROPOSAL_S
from protocol.terms.quantities import format_duration
from protocol.trust.order import Action, Order, SignedOrder, order_key, read_order
from protocol.trust.owner import plain
from protocol.trust.signing import Untrusted
from protocol.wire.limits import MAX_ORDER_BYTES

BODY_MAX_BYTES = 2 * MAX_ORDER_BYTES + FILES_BODY_BYTES
"""An order is base64 in JSON, beside its chain and its files. The JSON of the largest grid is smaller."""

Site = Annotated[str, QueryParameter(max_length=63, description="Whose admin would order it.")]
ChangeId = Annotated[str, QueryParameter(max_length=64, description="A grid to be changed.")]
QuoteId = Annotated[str, QueryParameter(max_length=64, description="A quote to take up.")]

Named = Annotated[str, QueryParameter(max_length=64, description="A name or an id.")]

CONFIRM_WAITS_S = 1.5
"""Stewards answer within a round trip. Who is asked and silent is waited for no longer than that."""
_LOOKS = 75
_NAMED_MOST = 8

_PS = "`overlayctl ps` lists the grids there are"


@get("/grids", summary="Every grid anybody tells of")
async def grids(service: Here, name: FromQuery[Named] = "") -> list[GridRow]:
    """Every grid that a host tells of, those that are up first; with `name`, those of that name or id.

    What is told and not checked yet is checked now. Of what is not shown in time `confirmed` is false: a member
    may tell of anything.
    """
    await confirm(service, name)
    rows = service.peer.view.grids(service.peer.now())
    return [row for row in rows if not name or name == row.name or is_about(row.grid, name)]


@get("/unknown", summary="What is on this host and unknown to it")
async def unknown(service: Here) -> list[UnknownRow]:
    """Machines and disks that this host found and does not remember, by grid, and what their stewards say."""
    return service.peer.view.unknown(service.peer.now())


@get("/grids/{name:str}", summary="One grid and its workspaces")
async def grid(name: FromPath[str], service: Here) -> GridView:
    """The grid with that name or id, of several the one that is up, and confirmed before only told.

    A 409 if several owners have one of that name that is up; it says how to name one of them.
    """
    await confirm(service, name)
    return grid_view(service, name)


@get("/grids/{site:str}/{name:str}", summary="One grid of one site")
async def grid_of_site(site: FromPath[str], name: FromPath[str], service: Here) -> GridView:
    """The same, of the grids of that site's admin."""
    await confirm(service, name)
    return grid_view(service, name, site)


async def confirm(service: Service, about: str = "") -> None:
    """Has the peer check what is told of grids of that name or id; of all, if empty. Waits a moment for that.

    What was checked before costs nothing. What nobody shows is asked about again after a while.
    """
    peer = service.peer
    if not peer.view.checking(about, peer.now()):
        return
    try:
        peer.submit(GridsAsked(about))
    except Busy:
        return  # A list of what is known is better than none.
    for _ in range(_LOOKS):
        await asyncio.sleep(CONFIRM_WAITS_S / _LOOKS)
        if not peer.view.checking(about, peer.now()):
            return


def grid_view(service: Service, name: str, site: str = "") -> GridView:
    """A grid as the API shows it. Raises a 404 that names the grids there are, or a 409."""
    view, now = service.peer.view, service.peer.now()
    rows = view.grids(now)
    grids = view.find_grids(name, site)
    if not grids:
        said = f"{site}/{name}" if site else name
        known = [f"{plain(row.owner_site)}/{row.name}" if site else row.name for row in rows]
        raise no_such("grid", said, known, _PS if rows else "")
    if len(grids) > 1:
        owners = {row.grid: plain(row.owner_site) for row in rows}
        each = [f"{owners[grid]}/{name}, id {grid}" for grid in grids[:_NAMED_MOST]]
        said = f"{len(grids)} owners have a grid named {name}"
        if not all(row.confirmed for row in rows if row.grid in grids):
            said = f"{len(grids)} grids named {name} are told of, and none is confirmed"
        raise ApiProblem(409, said, "; ".join(each))
    (found,) = grids
    row = next(row for row in rows if row.grid == found)
    workspaces, story = tuple(view.workspaces(found, now)), tuple(view.story(found))
    decided = view.standing(found)
    return GridView(
        row,
        workspaces,
        story,
        files_of(service, found),
        _elastic(decided),
        view.carriers(found),
        _sizes(decided),
    )


def _elastic(now: Standing | None) -> tuple[ElasticView, ...]:
    """How large the elastic clusters of a grid are and may be, as far as this peer was shown."""
    if now is None:
        return ()
    here = Counter(cluster_of(row.workspace) for row in now.placed)
    return tuple(
        ElasticView(c.name, here[c.name], c.least, now.most_of(c))
        for c in now.spec.clusters
        if c.elastic
    )


def _sizes(now: Standing | None) -> tuple[SizeView, ...]:
    """What the workspaces of a grid are promised, as far as this peer was shown."""
    if now is None:
        return ()
    here = {row.workspace for row in now.placed}
    return tuple(
        SizeView(
            name,
            each.cpus_milli,
            each.memory_bytes,
            each.disk_bytes + each.scratch_bytes,
            each.network_bits_s,
            each.disk_bytes_s,
            each.disk_operations_s,
        )
        for cluster in now.spec.clusters
        for name, each in zip(names_of(cluster), members(cluster), strict=True)
        if name in here
    )


def ordered_action(signed: SignedOrder, action: Action, what: str) -> Order:
    """The order, if it is to do that; `what` asks for it. Nothing of it is believed. Raises ApiProblem."""
    try:
        order = read_order(signed)
    except Untrusted as error:
        raise ApiProblem(400, error.detail) from None
    if order.action is not action:
        raise ApiProblem(400, f"an order to {order.action}; {what} needs one to {action}")
    return order


def ordered_workspace(service: Service, order: Order) -> WorkspaceRow:
    """The workspace that an order names. Raises ApiProblem if there is none."""
    view = grid_view(service, order.grid)
    row = next((row for row in view.workspaces if row.workspace == order.workspace), None)
    if row is None:
        names = [row.workspace for row in view.workspaces]
        raise no_such(f"workspace of {view.grid.name} named", order.workspace, names)
    return row


@get("/standing/{name:str}", summary="What a grid is now, to be changed")
async def standing(name: FromPath[str], service: Here) -> Standing:
    """The specification, epoch and history of the grid with that name or id, as its stewards decided it.

    A 404 if there is none that this peer can check, a 409 if several owners have one of that name.
    """
    return await _standing(service, name)


@get("/standing/{site:str}/{name:str}", summary="What a grid of one site is now")
async def standing_of_site(site: FromPath[str], name: FromPath[str], service: Here) -> Standing:
    """The same, of the grids of that site's admin."""
    return await _standing(service, name, site)


async def _standing(service: Service, name: str, site: str = "") -> Standing:
    await confirm(service, name)
    row = grid_view(service, name, site).grid
    found = service.peer.view.standing(row.grid) or await _looked_up(service, row.grid)
    if found is None:
        said = f"what was decided of {row.name} is not known here: too few of its stewards answer"
        raise ApiProblem(409, said, "the same again, once they are heard")
    return found


async def _looked_up(service: Service, grid: GridId) -> Standing | None:
    """What a grid is now, of which this peer knows that it was decided, and has no record any more.

    It carried the grid before it was changed, or was shown other grids since.
    """
    peer = service.peer
    try:
        peer.submit(GridsAsked(grid))
    except Busy:
        return None
    for _ in range(_LOOKS):
        await asyncio.sleep(CONFIRM_WAITS_S / _LOOKS)
        if (found := peer.view.standing(grid)) is not None:
            return found
    return None


@post("/plans", status_code=202, request_max_body_size=BODY_MAX_BYTES, summary="Plan a grid")
async def plan(
    data: JSONBody[PlanBody],
    service: Here,
    keep: FromQuery[bool] = False,
    site: Site = "",
    change: ChangeId = "",
) -> Accepted:
    """Asks for a round of quotes. Nothing is held. The grid's images have their digests.

    With `keep` the answer is a quote for `POST /v1/orders?quote=ID`, and the files that the grid names come
    along. `site` is the one whose admin would order it, if not this peer's own. `change` is the id of a grid
    that is up and is to become that.
    """
    kind = "quote" if keep else "plan"
    request, spec = RequestId(f"{kind}-{secrets.token_hex(6)}"), data.spec
    if keep:
        await attach(service, Wanted(request, spec.files), data.attachments)
    service.peer.submit(PlanAsked(request, spec, site, keep, GridId(change), data.without))
    service.take(request, kind, data.name)
    return Accepted(request)


@get("/quotes", summary="Quotes that can be taken up")
async def quotes(service: Here) -> list[Proposal]:
    """The quotes of this peer whose time is not up, oldest first."""
    return service.peer.view.quotes()


@get("/quotes/{quote_id:str}", summary="One quote")
async def quote(quote_id: FromPath[str], service: Here) -> Proposal:
    """One quote. A 404 names the quotes there are."""
    view = service.peer.view
    found = view.quote(RequestId(quote_id))
    if found is None:
        lasts = format_duration(PROPOSAL_S)
        again = f"`overlayctl plan --quote` again; a quote lasts {lasts}"
        raise no_such("quote", quote_id, [p.id for p in view.quotes()], again)
    return found


@post("/orders", status_code=202, request_max_body_size=BODY_MAX_BYTES, summary="Give an order")
async def order(data: JSONBody[OrderBody], service: Here, quote: QuoteId = "") -> Accepted:
    """Takes in an order (up, hold, down, pause, resume, restart, rebuild ...), signed by a site's key.

    It is safe to repeat. With `quote` an `up`, or an `apply`, makes exactly what was quoted, or nothing. The
    files that a grid names are in `attachments`, base64; they are kept before the answer, and are in no record,
    notice or log.
    """
    given = data.order
    try:
        said = read_order(given)
    except Untrusted as error:
        raise ApiProblem(400, error.detail) from None
    if quote and said.action not in (Action.UP, Action.APPLY):
        raise ApiProblem(
            400, f"a quote is taken up by an order to up or apply, not to {said.action}"
        )
    if said.action is Action.CONSOLE:
        raise ApiProblem(400, "a console is not an order to carry out", "POST it to /v1/console")
    if said.action is Action.COMMIT:
        raise ApiProblem(400, "a commit is not an order to carry out", "POST it to /v1/commits")
    if said.action is Action.ATTACH:
        raise ApiProblem(400, "to attach is not an order to carry out", "POST it to /v1/attach")
    request = RequestId(order_key(given))
    known = service.request(request)
    if known is None or known.state is RequestState.INTERRUPTED:
        await attach(service, ordered_files(service, said, request), data.attachments, quote)
        service.peer.submit(OrderGiven(request, given, quote))
        service.take(request, said.action, said.grid)
    return Accepted(request)


@get("/requests", summary="Requests made of this peer")
async def requests(service: Here) -> list[RequestView]:
    """The requests that run or are remembered, oldest first."""
    return service.requests()


@get("/requests/{request_id:str}", summary="One request, its answer and its story")
async def request(request_id: FromPath[str], service: Here) -> RequestView:
    """One request. A 404 names the requests there are."""
    return _request(service, request_id)


@delete("/requests/{request_id:str}", status_code=202, summary="Cancel a request")
async def cancel(request_id: FromPath[str], service: Here) -> Accepted:
    """Asks to cancel a request. It is safe to repeat.

    Before its grid is committed everything is let go; afterwards it goes on. A plan that is held is let go.
    """
    view = _request(service, request_id)
    if view.state is RequestState.CANCELLED:
        return Accepted(view.id)
    if view.state not in UNENDED:
        raise ApiProblem(409, f"request {view.id} has ended: {view.state}")
    service.peer.submit(CancelAsked(view.id))
    return Accepted(view.id)


def _request(service: Service, request: str) -> RequestView:
    view = service.request(RequestId(request))
    if view is None:
        known = [view.id for view in reversed(service.requests())]
        raise no_such("request", request, known, "`overlayctl request list` lists them")
    return view


router = Router(
    "/",
    route_handlers=[
        grids,
        unknown,
        grid,
        grid_of_site,
        standing,
        standing_of_site,
        plan,
        quotes,
        quote,
        order,
        requests,
        request,
        cancel,
    ],
    tags=["grids"],
)
