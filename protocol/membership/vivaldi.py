"""Vivaldi: a peer moves in a space of points until distances are round-trip times.

Dabek, Cox, Kaashoek, Morris: Vivaldi (SIGCOMM 2004), with height vectors and the adaptive time step. Each
measurement moves this peer along the line to the other, by a part of the distance's error. The part is larger
the less sure this peer is, and the surer the other.

What we change: round trips are measured on neighbours' pings only, and smoothed before they count (links.py),
which stands for Serf's median filter. One measurement moves a point by at most STEP_MOST_S, so that a neighbour
that lies about its place pulls others only slowly. We leave out Serf's gravity and adjustment terms.
"""

from math import sqrt

from protocol.terms.coordinate import ERROR_MOST, FAR_S, NOWHERE, Coordinate, distance_s
from protocol.terms.dice import Dice

_CE = _CC = 0.25
"""The paper's tuning constants for error and position."""
_HEIGHT_LEAST_S = 1e-5
_ROUND_TRIP_LEAST_S = 1e-6
_MATTERS_S = 0.005
"""An error counts relative to at least this distance. Round trips within a site are so short that a point a few
milliseconds off would count as wrong many times over, and its peer would never be sure of anything."""
STEP_MOST_S = 0.25


class Vivaldi:
    """This peer's coordinate."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self.here = NOWHERE

    def measured(self, other: Coordinate, round_trip_s: float) -> None:
        """Takes a measured round trip to a peer at `other`."""
        if not 0 < round_trip_s < FAR_S:
            return
        round_trip_s = max(round_trip_s, _ROUND_TRIP_LEAST_S)
        here, apart_s = self.here, distance_s(self.here, other)
        weight = here.error / max(here.error + other.error, 1e-9)
        wrong = abs(apart_s - round_trip_s) / max(round_trip_s, _MATTERS_S)
        error = _CE * weight * wrong + here.error * (1 - _CE * weight)
        force_s = _CC * weight * (round_trip_s - apart_s)
        force_s = max(-STEP_MOST_S, min(STEP_MOST_S, force_s))
        way, flat_s = self._way(other)
        at = tuple(_within(x + w * force_s) for x, w in zip(here.at, way, strict=True))
        height_s = here.height_s
        if flat_s > 0:
            height_s += (here.height_s + other.height_s) * force_s / flat_s
        height_s = min(FAR_S, max(_HEIGHT_LEAST_S, height_s))
        self.here = Coordinate(at, height_s, min(ERROR_MOST, error))

    def _way(self, other: Coordinate) -> tuple[tuple[float, ...], float]:
        """The direction from `other` to here, and the distance. From the same place, any direction."""
        apart = [x - y for x, y in zip(self.here.at, other.at, strict=True)]
        flat_s = sqrt(sum(x * x for x in apart))
        if flat_s > _ROUND_TRIP_LEAST_S:
            return tuple(x / flat_s for x in apart), flat_s
        drawn = [self._dice.uniform(-1.0, 1.0) for _ in apart]
        length = sqrt(sum(x * x for x in drawn)) or 1.0
        return tuple(x / length for x in drawn), 0.0


def _within(x: float) -> float:
    return max(-FAR_S, min(FAR_S, x))
