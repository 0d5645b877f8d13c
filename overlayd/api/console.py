"""Consoles. What is asked is relayed to the host that carries the workspace, which checks the order itself."""

from litestar import Router, post
from litestar.params import JSONBody

from overlayd.api.grids import BODY_MAX_BYTES, ordered_action, ordered_workspace
from overlayd.api.problems import ApiProblem
from overlayd.api.service import Here
from overlayd.api.views import ConsoleRequest, ConsoleView
from protocol.trust.order import Action


@post(
    "/console",
    status_code=200,
    request_max_body_size=BODY_MAX_BYTES,
    summary="Read a workspace's console, and type into it",
)
async def console(data: JSONBody[ConsoleRequest], service: Here) -> ConsoleView:
    """The console from `offset` on. A client that asks again and again follows it; an answer may be empty."""
    row = ordered_workspace(service, ordered_action(data.order, Action.CONSOLE, "a console"))
    text = await service.peer.console(row.peer, data.order, data.offset, data.keys)
    if text.problem:
        what = f"{row.grid}/{row.workspace}"
        said = f"{row.host} does not show the console of {what}: {text.problem}"
        raise ApiProblem(502, said)
    return ConsoleView(text.offset, text.data)


router = Router("/", route_handlers=[console], tags=["console"])
