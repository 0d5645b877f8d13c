"""Commits. What is asked is relayed to the host that carries the workspace, which checks the order itself."""

from litestar import Router, post
from litestar.params import JSONBody

from overlayd.api.grids import BODY_MAX_BYTES, grid_view
from overlayd.api.problems import ApiProblem, no_such
from overlayd.api.service import Here
from protocol.image.commit import CommitView
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.trust.signing import Untrusted


@post(
    "/commits",
    status_code=200,
    request_max_body_size=BODY_MAX_BYTES,
    summary="Make an image of a workspace's root disk, and hear how far that is",
)
async def commit(data: JSONBody[SignedOrder], service: Here) -> CommitView:
    """How far the commit is that the order names. The first time it begins; who asks again only hears.

    The image is on the workspace's host then, and others fetch it from there.
    """
    try:
        order = read_order(data)
    except Untrusted as error:
        raise ApiProblem(400, error.detail) from None
    if order.action is not Action.COMMIT:
        raise ApiProblem(400, f"an order to {order.action}; a commit needs one to commit")
    view = grid_view(service, order.grid)
    row = next((row for row in view.workspaces if row.workspace == order.workspace), None)
    if row is None:
        names = [row.workspace for row in view.workspaces]
        raise no_such(f"workspace of {view.grid.name} named", order.workspace, names)
    told = await service.peer.commit(row.peer, data)
    if told.problem:
        what = f"{view.grid.name}/{row.workspace}"
        raise ApiProblem(502, f"{row.host} makes no image of {what}: {told.problem}")
    return told.view


router = Router("/", route_handlers=[commit], tags=["images"])
