"""The search for what a path takes: ends where the path does, is quiet then, and follows it."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.tunnel_paths.limits import (
    AGAIN_S,
    CONFIRM_S,
    GRAIN_BYTES,
    LEAST_BYTES,
    RAISE_S,
    TRIES,
)
from protocol.tunnel_paths.size import REFERENCE, Size

NOW, MOST = 1_000_000.0, 1418


class Way:
    """A path that takes packets of `width` at most, and loses some of the others."""

    def __init__(self, width: int, most: int = MOST, loss: float = 0.0) -> None:
        self.width, self.loss, self.now = width, loss, NOW
        self.size, self.dice = Size(most, NOW), Random(7)
        self.sent: list[int] = []
        self.number = 0

    def turn(self) -> None:
        """A round, and what is answered of it."""
        self.now = self.size.due_s
        probes = self.size.probes(self.number, self.now)
        self.number += len(probes)
        self.sent += probes.values()
        for number, size in probes.items():
            if size <= self.width and self.dice.random() >= self.loss:
                self.size.answer(number, self.now)
        self.size.check()

    def settle(self, within_s: float = 40.0) -> "Way":
        end_s = self.now + within_s
        self.turn()
        self.turn()
        while not self.size.is_settled:
            self.turn()
            assert self.now < end_s, (self.size.takes, self.now - NOW)
        self.turn()
        return self


def test_a_path_that_takes_all_is_known_by_one_round_and_quiet_then() -> None:
    way = Way(1500)
    way.turn()
    assert way.sent == [REFERENCE, LEAST_BYTES, MOST]
    assert (way.size.is_settled, way.size.takes) == (True, 0)
    way.sent.clear()
    for _ in range(100):
        way.turn()
    assert way.sent == [REFERENCE, MOST] * 100
    assert way.now - NOW >= 99 * CONFIRM_S


@pytest.mark.parametrize("width", [1398, 1338, 1318, 1268, 1198, LEAST_BYTES])
def test_a_common_size_is_found_exactly(width: int) -> None:
    way = Way(width).settle()
    assert way.size.takes == way.size.settled == width


@given(st.integers(LEAST_BYTES, 8999), st.sampled_from([1418, 1450, 8918]), st.booleans())
def test_any_other_nearly(width: int, most: int, lossy: bool) -> None:
    way = Way(width, most, 0.05 if lossy else 0.0).settle(200.0)
    found = way.size.takes or most
    assert found <= max(width, LEAST_BYTES)
    if not lossy:
        assert found > min(width, most) - GRAIN_BYTES - 1


def test_a_path_narrower_than_any_is_to_be_ends_the_search_too() -> None:
    way = Way(LEAST_BYTES - 1).settle()
    assert way.size.takes == LEAST_BYTES
    way.sent.clear()
    for _ in range(5):
        way.turn()
    assert len(way.sent) <= 10


def test_a_path_that_shrinks_counts_as_narrow_soon_and_as_wide_as_it_is_after_that() -> None:
    way = Way(1500).settle()
    way.width = 1318
    since_s = way.now
    while not way.size.takes:
        way.turn()
    assert way.now - since_s <= CONFIRM_S + TRIES * AGAIN_S
    way.turn()
    assert way.size.takes == 1318, "the common ones are tried at once"
    assert way.size.settled == 0, "guests are told only once it is certain"
    way.settle()
    assert way.size.settled == 1318


def test_a_path_that_grows_is_found_to_after_a_while() -> None:
    way = Way(1318).settle()
    way.width = 1500
    while way.size.takes:
        way.turn()
        assert way.now - NOW < RAISE_S + 2 * CONFIRM_S
    assert way.now - NOW >= RAISE_S


def test_a_path_that_stays_narrow_is_not_tried_all_the_time() -> None:
    way = Way(1318).settle()
    way.sent.clear()
    end_s = way.now + 2 * RAISE_S
    while way.now < end_s:
        way.turn()
        assert way.size.takes == 1318
    large = [size for size in way.sent if size > 1318]
    assert 0 < len(large) < 100


def test_where_nothing_comes_back_nothing_is_narrow() -> None:
    way = Way(1500).settle()
    way.width = -1
    for _ in range(50):
        way.turn()
    assert way.size.takes == 0
    way.width = 1318
    while not way.size.takes:
        way.turn()
    assert way.settle().size.takes == 1318


def test_two_lost_probes_change_nothing() -> None:
    way = Way(1500).settle()
    for width in (1318, 1318, 1500):
        way.width = width
        way.turn()
    way.turn()
    assert way.size.takes == 0
    assert way.size.is_settled


def test_an_answer_of_an_earlier_round_does_not_count() -> None:
    size = Size(MOST, NOW)
    first = size.probes(0, NOW)
    size.probes(len(first), NOW)
    for number in first:
        size.answer(number, NOW)
    assert not size.is_settled


def test_it_goes_no_further_than_is_asked_for() -> None:
    way = Way(1400).settle()
    assert way.size.takes == 1398
    way.size.ask_for(1300, way.now)
    way.size.check()
    assert way.size.takes == 0, "all of it gets there"
    way.size.ask_for(1418, way.now)
    way.settle()
    assert way.size.takes == 1398


def test_a_path_that_leads_elsewhere_is_searched_again() -> None:
    way = Way(1318).settle()
    way.width = 1500
    way.size.search_up(way.now)
    way.turn()
    assert way.size.takes == 0
