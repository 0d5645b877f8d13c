"""How a workspace is ended: its guest is asked first, or its plug is pulled at once."""

import msgspec

from protocol.grid.model import ImageRef
from protocol.grid.record import GridRecord
from protocol.grid.syntax import image_problem
from protocol.trust.order import Action, Order, SignedOrder, read_order
from protocol.wire.codec import Malformed, MalformedReason, decode


class StopTerms(msgspec.Struct, frozen=True):
    """Body of an order to restart or to take down. One without a body asks the guests."""

    at_once: bool = False
    """Whether the plug is pulled without asking the guests to shut down."""


class RebuildTerms(msgspec.Struct, frozen=True):
    """Body of an order to rebuild. One without a body makes the root disk from the same image again."""

    image: ImageRef = ImageRef("")
    """The image it is made from, with its digest, from now on. Without a name: the one that it has."""
    at_once: bool = False
    """As in StopTerms."""


STOPS = (Action.DOWN, Action.RESTART)
"""The actions whose orders may have StopTerms as their body."""


def stop_terms(order: Order) -> StopTerms:
    """What an order to restart or to take down says of the guests. Raises Malformed."""
    return decode(order.body, StopTerms) if order.body else StopTerms()


def rebuild_terms(order: Order) -> RebuildTerms:
    """What an order to rebuild says. Raises Malformed, also for an image that no grid may name.

    The host that fetches an image may call it as the order does, and tells everybody what it has.
    """
    terms = decode(order.body, RebuildTerms) if order.body else RebuildTerms()
    image = terms.image
    if image.name or image.digest:
        problem = image_problem(image.name, image.digest)
        if problem or not image.digest:
            said = problem or f"image {image.name} has no digest"
            raise Malformed(MalformedReason.BAD_SHAPE, said)
    return terms


def is_cut_off(record: GridRecord, workspace: str, halted: SignedOrder | None = None) -> bool:
    """Whether a workspace that is to be gone is ended without asking its guest.

    One that was terminated since the grid was changed last is, and so is a grid that was ordered down at once.
    `halted` is its owner's order to take it down, if that is carried out before it is in the record.
    """
    since = record.changes[record.folded :]
    orders = [read_order(signed) for signed in (*since, *((halted,) if halted else ()))]
    return any(
        (order.action is Action.TERMINATE and order.workspace == workspace)
        or (order.action is Action.DOWN and _at_once(order))
        for order in orders
    )


def _at_once(order: Order) -> bool:
    """What the order says. One that cannot be read, which no vouched record has, cuts nothing off."""
    try:
        return stop_terms(order).at_once
    except Malformed:
        return False
