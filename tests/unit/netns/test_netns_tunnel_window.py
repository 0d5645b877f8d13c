"""The replay window against a slow and obvious one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netns.tunnel.window import WINDOW, Window

END = 1 << 32


class Slow:
    """Keeps every counter it ever took."""

    def __init__(self) -> None:
        self.taken: set[int] = set()

    def is_fresh(self, counter: int) -> bool:
        return counter not in self.taken and counter > max(self.taken, default=-1) - WINDOW


def steps() -> st.SearchStrategy[list[int]]:
    near = st.integers(-3 * WINDOW, 3 * WINDOW)
    edges = st.sampled_from([0, 1, -1, 63, 64, -63, -64, -WINDOW, 1 - WINDOW, WINDOW, WINDOW + 64])
    return st.lists(st.one_of(near, edges, st.integers(-(1 << 20), 1 << 20)), max_size=60)


@given(st.sampled_from([0, 1, 63, 64, WINDOW, END - 1, END - 64, END - WINDOW, 12345]), steps())
@example(0, [0, WINDOW, 1 - WINDOW, -WINDOW])
def test_the_window_takes_what_a_set_of_all_counters_takes(start: int, moves: list[int]) -> None:
    window, slow = Window(), Slow()
    for move in [0, *moves]:
        counter = min(max(max(slow.taken, default=start) + move, 0), END - 1)
        fresh = slow.is_fresh(counter)
        assert window.is_fresh(counter) is fresh
        if fresh:
            window.take(counter)
            slow.taken.add(counter)
        assert window.newest == max(slow.taken, default=-1)


def test_counters_reordered_by_thousands_are_refused_once_they_are_too_old_to_tell() -> None:
    window = Window()
    window.take(5_000)
    assert [window.is_fresh(5_000 - WINDOW + back) for back in (-1, 0, 1)] == [False, False, True]


def test_the_last_counter_of_a_session_is_taken_once() -> None:
    window = Window()
    for counter in range(END - 5, END):
        assert window.is_fresh(counter)
        window.take(counter)
        assert not window.is_fresh(counter)


@pytest.mark.parametrize("offset", range(64))
def test_the_oldest_counter_that_is_judged_was_not_forgotten(offset: int) -> None:
    window = Window()
    for counter in (offset, offset + WINDOW - 1):
        window.take(counter)
    assert not window.is_fresh(offset)
    assert window.is_fresh(offset + 1)


@pytest.mark.parametrize("offset", range(64))
def test_a_leap_leaves_no_counter_taken_that_was_not(offset: int) -> None:
    window = Window()
    for counter in range(2 * WINDOW):
        window.take(counter)
    newest = 100 * WINDOW + offset
    window.take(newest)
    assert all(window.is_fresh(newest - back) for back in range(1, WINDOW))
