"""This host on a network of a grid that it carries nothing of: for as long as a request stays open.

Its body begins with an order and goes on with newer ones, its answer tells how it stands; api/frames.py says
what they look like. When the client is gone, however that came, so is the host from the network.
"""

import asyncio

import msgspec
from litestar import Router, asgi
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from overlayd.api import frames
from overlayd.api.grids import BODY_MAX_BYTES, grid_view, ordered_action
from overlayd.api.problems import ApiProblem, ClientGone
from overlayd.api.service import Service
from overlayd.api.streams import Body
from overlayd.api.views import AttachRequest, AttachView
from overlayd.ports.peer import Busy
from protocol.grid.attached import AttachBody
from protocol.grid.record import is_about
from protocol.node.events import Event
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.terms.ids import GridId
from protocol.trust.order import Action, SignedOrder
from protocol.trust.owner import admin, signing_as
from protocol.wire.codec import Malformed, decode

_EVERY_S = 0.1
"""How often it is looked how it stands."""
_BUSY_S = 0.2


@asgi("/attach", copy_scope=False)
async def attach(scope: Scope, receive: Receive, send: Send) -> None:
    """This host on a network."""
    service: Service = scope["litestar_app"].state.service
    if scope["type"] != ScopeType.HTTP or scope["method"] != "POST":
        raise ApiProblem(405, "a host is attached with POST")
    body = Body(receive)
    first = await _order(body)
    if first is None:
        raise ApiProblem(400, "it begins with a frame that has an order")
    given = _given(service, first)
    key = given.grid, given.network
    if key in service.attached:
        said = f"this host is being attached to {given.network} of that grid already"
        raise ApiProblem(409, said, "end the other command first")
    service.attached[key] = None
    try:
        service.peer.submit(given)
        kind = [(b"content-type", b"application/vnd.overlayd.frames")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await _told(service, body, given, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await _submit(service, AttachDropped(*key))
        del service.attached[key]


async def _order(body: Body) -> SignedOrder | None:
    """The next order; None if there is none any more. Raises ClientGone, ApiProblem."""
    found = await body.next(BODY_MAX_BYTES)
    if found is None or found[0] != frames.ORDER:
        return None
    try:
        return msgspec.json.decode(found[1], type=AttachRequest).order
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiProblem(400, f"order: {error}") from None


def _given(service: Service, signed: SignedOrder) -> AttachGiven:
    """Raises ApiProblem."""
    order = ordered_action(signed, Action.ATTACH, "a host that is to be on a network")
    try:
        network = decode(order.body, AttachBody).network
    except Malformed as error:
        raise ApiProblem(400, f"an order to attach names a network: {error}") from None
    view = grid_view(service, order.grid)
    if not is_about(GridId(view.grid.grid), order.grid):
        # Who has no grid of that name leaves it at the name.
        owner = f"{view.grid.name} is a grid of {admin(view.grid.owner_site)}"
        raise ApiProblem(403, owner, f"the same {signing_as(view.grid.owner_site)}")
    hosts = tuple(dict.fromkeys(row.peer for row in view.workspaces))
    return AttachGiven(GridId(view.grid.grid), network, signed, hosts)


async def _told(service: Service, body: Body, given: AttachGiven, send: Send) -> None:
    """Tells how it stands, until the client has gone or nothing will come of it."""
    more = asyncio.create_task(_renewed(service, body, given))
    stop = asyncio.create_task(service.stopping.wait())
    last: AttachView | None = None
    try:
        while not more.done() and not stop.done():
            now = _view(service, given)
            if now is not None and now != last:
                data = frames.frame(frames.DATA, msgspec.json.encode(now))
                await send({"type": "http.response.body", "body": data, "more_body": True})
            if now is not None and now.over:
                return
            last = now
            await asyncio.wait((more, stop), timeout=_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (more, stop):
            task.cancel()
        await asyncio.gather(more, stop, return_exceptions=True)


async def _renewed(service: Service, body: Body, given: AttachGiven) -> None:
    """Passes newer orders on. Returns when the client has gone, or says what makes no sense."""
    try:
        while (order := await _order(body)) is not None:
            newer = _given(service, order)
            if (newer.grid, newer.network) != (given.grid, given.network):
                return
            await _submit(service, newer)
    except (ClientGone, ApiProblem):
        return


async def _submit(service: Service, event: Event) -> None:
    """Hands the node an event, however long that takes."""
    while True:
        try:
            service.peer.submit(event)
        except Busy:
            await asyncio.sleep(_BUSY_S)
        else:
            return


def _view(service: Service, given: AttachGiven) -> AttachView | None:
    key = given.grid, given.network
    rows = service.peer.view.visits()
    row = next((row for row in rows if (row.grid, row.network) == key), None)
    if row is None:
        return None
    card = service.peer.cards.get(key)
    return AttachView(
        up=bool(row.address) and card == "",
        address=row.address,
        cidr=row.cidr,
        given=row.given,
        hosts=row.hosts,
        problem=row.problem or (card or "" if row.address else ""),
        over=row.over,
    )


router = Router("/", route_handlers=[attach], tags=["attach"])
