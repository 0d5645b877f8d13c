"""How many more of a shape fit, and what stops the next: what an operator asks before buying.

As in ganeti's hspace, every host is filled with the shape until it takes no more. Rules of a grid play no
part. The shape cannot use what is left over then.
"""

import msgspec

from protocol.capacity.quantum import Quantum, total
from protocol.placement.explain import Obstacle, reasons
from protocol.placement.fit import Offer, lacking
from protocol.terms.refusal import Refusal


class HostRoom(msgspec.Struct, frozen=True):
    """One host, filled."""

    host: str
    site: str
    fits: int
    stops: Refusal
    """What the host lacks for one more."""
    left: Quantum


class Headroom(msgspec.Struct, frozen=True):
    """All hosts, filled."""

    fits: int
    hosts: tuple[HostRoom, ...]
    stops: tuple[Obstacle, ...]
    """By dimension; the one that stops most hosts comes last."""
    left: Quantum


def headroom(shape: Quantum, offers: tuple[Offer, ...]) -> Headroom:
    """How many more of a shape fit. The shape must ask for something."""
    rooms = tuple(_room(shape, offer) for offer in offers)
    return Headroom(
        fits=sum(room.fits for room in rooms),
        hosts=rooms,
        stops=reasons(tuple(room.stops for room in rooms)),
        left=total([room.left for room in rooms]),
    )


def _room(shape: Quantum, offer: Offer) -> HostRoom:
    fits, left = shape.times_in(offer.free), offer.free
    for _ in range(fits):
        left = left - shape
    return HostRoom(offer.host, offer.site, fits, lacking(shape, offer, left)[-1], left)
