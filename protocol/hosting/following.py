"""What workspaces are wanted to be after an order of their owner. All that are meant follow it, or none."""

from collections.abc import Mapping

from protocol.grid.lifecycle import Phase, Status, Wanted, follow
from protocol.grid.model import ImageRef, Workspace
from protocol.grid.stopping import STOPS, rebuild_terms, stop_terms
from protocol.trust.order import Action, Order
from protocol.wire.codec import Malformed

_NOT_OFF = (Action.PAUSE, Action.RESUME)
"""What means nothing to a guest that is off."""


def after(
    order: Order,
    meant: list[Wanted],
    members: Mapping[str, Workspace],
    told: Mapping[str, Status],
) -> tuple[dict[str, Wanted], str]:
    """What each of the workspaces `meant` is wanted to be, by name, and why nothing is done, if nothing is.

    `told` has where they are, as the shell reported last.
    """
    try:
        at_once, image = _terms(order)
    except Malformed as error:
        return {}, f"an order to {order.action}: {error}"
    followed: dict[str, Wanted] = {}
    for wanted in meant:
        name = wanted.workspace
        if why := _hindered(order.action, members[name], told.get(name)):
            return {}, why
        result = follow(wanted, order.action, at_once, image)
        if result is None:
            return {}, f"{name} is wanted {wanted.power}: {order.action} does not apply"
        followed[name] = result
    return followed, ""


def _terms(order: Order) -> tuple[bool, ImageRef]:
    if order.action is Action.REBUILD:
        terms = rebuild_terms(order)
        return terms.at_once, terms.image
    return order.action in STOPS and stop_terms(order).at_once, ImageRef("")


def _hindered(action: Action, workspace: Workspace, told: Status | None) -> str:
    """Why an action does not apply to a workspace as it is."""
    name = workspace.name
    if action in _NOT_OFF and told is not None and told.phase is Phase.OFF:
        return f"{name} is off: {told.detail}\n  would work: `overlayctl restart` starts it again"
    return ""
