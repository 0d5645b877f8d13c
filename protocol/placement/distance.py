"""How far two hosts are apart: the round trip their network coordinates promise.

A coordinate is a point in a few dimensions and a height over them, all in milliseconds (Dabek and others,
"Vivaldi: a decentralized network coordinate system", 2004, section 5.4): packets go down to the core, across,
and up again. Two hosts of one site whose coordinates nobody measured yet count as next to each other; of two
at different sites without coordinates nothing is known.
"""

from math import dist

import msgspec


class Coordinate(msgspec.Struct, frozen=True):
    """Where a host is in the network, in milliseconds of round trip."""

    at_ms: tuple[float, ...]
    height_ms: float = 0.0


def distance_ms(a: Coordinate, b: Coordinate) -> float:
    """Estimated round trip; of points with different numbers of dimensions the shared ones count."""
    here, there = a.at_ms, b.at_ms
    if len(here) != len(there):
        both = min(len(here), len(there))
        here, there = here[:both], there[:both]
    return dist(here, there) + a.height_ms + b.height_ms
