"""Where a peer is on the network, as a point: distances between points estimate round-trip times.

The space is that of Vivaldi (Dabek, Cox, Kaashoek, Morris, SIGCOMM 2004) with height: a few dimensions for the
wide area, and a height for the access link that every path of a peer goes through. How points move:
membership/vivaldi.py.
"""

from math import dist
from typing import Annotated

import msgspec

DIMENSIONS = 4
"""The paper finds 2 with height nearly as good as any; two more cost 18 bytes a ping and fold less."""

FAR_S = 10.0
ERROR_MOST = 1.5
"""The error of a peer that has measured nothing."""

Axis = Annotated[float, msgspec.Meta(ge=-FAR_S, le=FAR_S)]


class Coordinate(msgspec.Struct, frozen=True, array_like=True):
    """A point, in seconds of round-trip time. `error` is relative: 0 is perfect, 1.5 nothing known."""

    at: Annotated[tuple[Axis, ...], msgspec.Meta(min_length=DIMENSIONS, max_length=DIMENSIONS)]
    height_s: Annotated[float, msgspec.Meta(ge=0.0, le=FAR_S)]
    error: Annotated[float, msgspec.Meta(ge=0.0, le=ERROR_MOST)]


NOWHERE = Coordinate((0.0,) * DIMENSIONS, 0.0, ERROR_MOST)
"""The point of a peer that has measured nothing yet."""


def distance_s(a: Coordinate, b: Coordinate) -> float:
    """Estimated round-trip time between two points, in seconds."""
    return dist(a.at, b.at) + a.height_s + b.height_s


def point(*at_ms: float) -> Coordinate:
    """A place that is known exactly, by up to DIMENSIONS axes in milliseconds. ValueError for more."""
    if len(at_ms) > DIMENSIONS or any(abs(x) > FAR_S * 1000 for x in at_ms):
        raise ValueError(f"a place has at most {DIMENSIONS} axes of at most {FAR_S:.0f} s each")
    axes = (*(x / 1000 for x in at_ms), *(0.0,) * (DIMENSIONS - len(at_ms)))
    return Coordinate(axes, 0.0, 0.0)


def known(coordinate: Coordinate) -> bool:
    """Whether the peer there has measured enough for a distance to mean something."""
    return coordinate.error < ERROR_MOST / 2
