"""Commits. What is asked is relayed to the host that carries the workspace, which checks the order itself."""

from litestar import Router, post
from litestar.params import JSONBody

from overlayd.api.grids import BODY_MAX_BYTES, ordered_action, ordered_workspace
from overlayd.api.problems import ApiProblem
from overlayd.api.service import Here
from protocol.image.commit import CommitView
from protocol.trust.order import Action, SignedOrder


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
    row = ordered_workspace(service, ordered_action(data, Action.COMMIT, "a commit"))
    told = await service.peer.commit(row.peer, data)
    if told.problem:
        what = f"{row.grid}/{row.workspace}"
        raise ApiProblem(502, f"{row.host} makes no image of {what}: {told.problem}")
    return told.view


router = Router("/", route_handlers=[commit], tags=["images"])
