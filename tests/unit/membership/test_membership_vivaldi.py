"""Coordinates: distances become round-trip times, and no liar moves anybody far at once."""

from math import sqrt
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.membership.vivaldi import STEP_MOST_S, Vivaldi
from protocol.terms.coordinate import (
    DIMENSIONS,
    ERROR_MOST,
    FAR_S,
    NOWHERE,
    Coordinate,
    distance_s,
    known,
)
from protocol.wire.codec import Malformed, decode, encode


def test_points_settle_where_round_trips_put_them() -> None:
    """Forty peers at random places in a square of 80 ms, each with an access link of its own."""
    dice = Random(4)
    places = [(dice.uniform(0, 0.08), dice.uniform(0, 0.08)) for _ in range(40)]
    access = [dice.uniform(0.0, 0.005) for _ in places]

    def round_trip_s(a: int, b: int) -> float:
        (x, y), (u, v) = places[a], places[b]
        return sqrt((x - u) ** 2 + (y - v) ** 2) + access[a] + access[b]

    peers = [Vivaldi(Random(i)) for i in range(len(places))]
    for _ in range(6000):
        a, b = dice.sample(range(len(peers)), 2)
        peers[a].measured(peers[b].here, round_trip_s(a, b))
    wrong = [
        abs(distance_s(peers[a].here, peers[b].here) - round_trip_s(a, b)) / round_trip_s(a, b)
        for a in range(40)
        for b in range(a)
    ]
    assert median(wrong) < 0.1
    assert all(known(peer.here) for peer in peers)


def test_nothing_measured_is_nowhere() -> None:
    assert not known(Vivaldi(Random(1)).here)
    assert Vivaldi(Random(1)).here == NOWHERE


@pytest.mark.parametrize("round_trip_s", [0.0, -1.0, FAR_S, 1e9])
def test_what_cannot_be_a_round_trip_changes_nothing(round_trip_s: float) -> None:
    vivaldi = Vivaldi(Random(1))
    vivaldi.measured(NOWHERE, round_trip_s)
    assert vivaldi.here == NOWHERE


AXES = st.tuples(*[st.floats(-FAR_S, FAR_S)] * DIMENSIONS)
COORDINATES = st.builds(Coordinate, AXES, st.floats(0.0, FAR_S), st.floats(0.0, ERROR_MOST))


@given(st.lists(st.tuples(COORDINATES, st.floats(0.0, 11.0)), max_size=30))
def test_whatever_others_say_a_peer_stays_on_the_map(said: list[tuple[Coordinate, float]]) -> None:
    vivaldi = Vivaldi(Random(1))
    for other, round_trip_s in said:
        before = vivaldi.here
        vivaldi.measured(other, round_trip_s)
        moved = sqrt(sum((a - b) ** 2 for a, b in zip(before.at, vivaldi.here.at, strict=True)))
        assert moved <= STEP_MOST_S + 1e-6
        assert decode(encode(vivaldi.here), Coordinate) == vivaldi.here


def test_a_place_off_the_map_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode(encode(Coordinate((FAR_S * 2, 0.0, 0.0, 0.0), 0.0, 1.0)), Coordinate)
    with pytest.raises(Malformed):
        decode(encode(Coordinate((0.0,), 0.0, 1.0)), Coordinate)
