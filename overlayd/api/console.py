"""Consoles. What is asked is relayed to the host that carries the workspace, which checks the order itself."""

from litestar import Router, post
from litestar.params import JSONBody

from overlayd.api.grids import BODY_MAX_BYTES, grid_view
from overlayd.api.problems import ApiProblem, no_such
from overlayd.api.service import Here
from overlayd.api.views import ConsoleRequest, ConsoleView
from protocol.trust.order import Action, read_order
from protocol.trust.signing import Untrusted


@post(
    "/console",
    status_code=200,
    request_max_body_size=BODY_MAX_BYTES,
    summary="Read a workspace's console, and type into it",
)
async def console(data: JSONBody[ConsoleRequest], service: Here) -> ConsoleView:
    """The console from `offset` on. A client that asks again and again follows it; an answer may be empty."""
    try:
        order = read_order(data.order)
    except Untrusted as error:
        raise ApiProblem(400, error.detail) from None
    if order.action is not Action.CONSOLE:
        raise ApiProblem(400, f"an order to {order.action}; a console needs one to console")
    view = grid_view(service, order.grid)
    row = next((row for row in view.workspaces if row.workspace == order.workspace), None)
    if row is None:
        names = [row.workspace for row in view.workspaces]
        raise no_such(f"workspace of {view.grid.name} named", order.workspace, names)
    text = await service.peer.console(row.peer, data.order, data.offset, data.keys)
    if text.problem:
        what = f"{view.grid.name}/{row.workspace}"
        said = f"{row.host} does not show the console of {what}: {text.problem}"
        raise ApiProblem(502, said)
    return ConsoleView(text.offset, text.data)


router = Router("/", route_handlers=[console], tags=["console"])
