"""What workspaces are wanted to be after an order of their owner. All that are meant follow it, or none."""

from collections.abc import Iterable, Mapping

from protocol.capacity.advert import ImageLabel
from protocol.contract.messages import Act, ActReply
from protocol.grid.lifecycle import Phase, Status, Wanted, follow
from protocol.grid.model import ImageRef, Workspace
from protocol.grid.record import GridRecord
from protocol.grid.stopping import STOPS, rebuild_terms, stop_terms
from protocol.image.facts import ImageKind
from protocol.terms.effects import Note, Send
from protocol.terms.ids import PeerId
from protocol.terms.quantities import format_size
from protocol.trust.order import Action, Order
from protocol.wire.codec import Malformed

_NOT_OFF = (Action.PAUSE, Action.RESUME)
"""What means nothing to a guest that is off."""


def after(
    order: Order,
    meant: list[Wanted],
    members: Mapping[str, Workspace],
    told: Mapping[str, Status],
    images: Iterable[ImageLabel] = (),
) -> tuple[dict[str, Wanted], str]:
    """What each of the workspaces `meant` is wanted to be, by name, and why nothing is done, if nothing is.

    `told` has where they are, as the shell reported last, and `images` what this host has.
    """
    try:
        at_once, image = _terms(order)
    except Malformed as error:
        return {}, f"an order to {order.action}: {error}"
    followed: dict[str, Wanted] = {}
    for wanted in meant:
        name = wanted.workspace
        why = _hindered(order, told.get(name))
        if order.action is Action.REBUILD:
            why = why or _not_rebuilt(members[name], wanted, image, images)
        if why:
            return {}, why
        result = follow(wanted, order.action, at_once, image)
        if result is None:
            return {}, f"{name} is wanted {wanted.power}: {order.action} does not apply"
        followed[name] = result
    return followed, ""


def note_of(order: Order, record: GridRecord) -> Note:
    """What is told of an order that is carried out. One that throws data away is a line of its grid's story."""
    kind, subject = f"workspace.{order.action}", f"{record.name}/{order.workspace or '*'}"
    if order.action is not Action.REBUILD:
        return Note(kind, subject)
    image = rebuild_terms(order).image.name or "its image"
    return Note(kind, subject, f"root disk thrown away, made anew from {image}", record.id)


def reply(sender: PeerId, message: Act, workspace: str, problem: str) -> Send:
    """Answers who passed an order on, with why nothing is done, if nothing is."""
    return Send(sender, ActReply(message.request, workspace, problem), message.request)


def _terms(order: Order) -> tuple[bool, ImageRef]:
    if order.action is Action.REBUILD:
        terms = rebuild_terms(order)
        return terms.at_once, terms.image
    return order.action in STOPS and stop_terms(order).at_once, ImageRef("")


def _hindered(order: Order, told: Status | None) -> str:
    """Why an order for one workspace does not apply to it as it is. One for a whole grid leaves it as it is."""
    if not order.workspace or order.action not in _NOT_OFF:
        return ""
    if told is None or told.phase is not Phase.OFF:
        return ""
    off = f"{told.workspace} is off: {told.detail}"
    return f"{off}\n  would work: `overlayctl restart` starts it again"


def _not_rebuilt(
    workspace: Workspace, wanted: Wanted, image: ImageRef, images: Iterable[ImageLabel]
) -> str:
    """Why a workspace is not rebuilt of an image, as far as this host knows the two images; empty if it is."""
    known = {label.digest: label for label in images}
    made_of = wanted.image if wanted.image.name else workspace.image
    old, new = known.get(made_of.digest), known.get(image.digest)
    name = workspace.name
    if old is not None and old.kind == ImageKind.APPLIANCE:
        return (
            f"{name} boots from an appliance, {made_of.name}: it has no root disk to throw away\n"
            "  would work: `overlayctl restart` starts it anew"
        )
    if new is None or old is None:
        return ""
    if new.kind != old.kind:
        return f"{name} is made of {made_of.name}, of kind {old.kind}; {image.name} is of kind {new.kind}"
    if 0 < workspace.root_bytes < new.virtual_bytes:
        has, needs = format_size(workspace.root_bytes), format_size(new.virtual_bytes)
        return f"{image.name} has {needs}, and the root disk of {name} has {has}"
    return ""
