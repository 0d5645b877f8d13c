"""A timetable is the sum of its entries at every instant, and answers as a model that looks at each second."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.capacity.quantum import Quantum
from protocol.capacity.room import FOREVER, Room, Step
from protocol.capacity.timetable import EntryKey, Occupancy, Timetable, Window, lease_spans

END = 24
"""The model looks at the seconds 0 to END; from END on nothing changes any more."""

TIMES = st.integers(0, END)
AMOUNTS = st.integers(0, 4)
QUANTA = st.builds(Quantum, AMOUNTS, AMOUNTS, AMOUNTS, st.just(()), AMOUNTS)
KEYS = st.tuples(st.sampled_from(["g1", "g2"]), st.sampled_from(["a", "b", "c"]))
CAPACITY = Quantum(10, 10, 10, (), 10, 10, 10)


@st.composite
def leases(draw: st.DrawFn) -> tuple[Occupancy, ...]:
    start, length, kept = draw(TIMES), draw(st.integers(1, END)), draw(st.integers(0, END))
    end = FOREVER if draw(st.booleans()) and length > END - 2 else start + length
    return lease_spans(draw(QUANTA), Window(start, end, end + kept))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), KEYS, leases()),
        st.tuples(st.just("release"), KEYS, st.just(())),
        st.tuples(st.just("forget"), st.just(("", "")), st.just(())),
    ),
    max_size=12,
)


class Model:
    """The same by looking at every second."""

    def __init__(self) -> None:
        self.entries: dict[EntryKey, tuple[Occupancy, ...]] = {}

    def free(self, second: float) -> Quantum:
        used = Quantum()
        for spans in self.entries.values():
            for span in spans:
                if span.start_s <= second < span.end_s:
                    used = used + span.quantum
        return CAPACITY - used

    def over(self, start: int, end: int) -> Quantum:
        least = self.free(start)
        for second in range(start, end):
            least = least.least(self.free(second))
        return least

    def earliest(self, q: Quantum, length: int, after: int, before: float, keep: int) -> int | None:
        for start in range(after, 4 * END):
            if start + length > before:
                return None
            runs = self.over(start, start + length)
            kept = self.over(start, start + length + keep)
            if q.fits(runs) and q.disk_bytes <= kept.disk_bytes:
                return start
        return None


def played(
    steps: list[tuple[str, EntryKey, tuple[Occupancy, ...]]],
) -> tuple[Timetable, Model, int]:
    table, model, now = Timetable(CAPACITY), Model(), 0
    for what, key, spans in steps:
        if what == "reserve" and table.fits(key, spans):
            table.reserve(key, spans)
            model.entries[key] = spans
        elif what == "release":
            table.release(key)
            model.entries.pop(key, None)
        elif what == "forget":
            now += 3
            table.forget(now)
        table.check()
    return table, model, now


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_every_instant_is_the_sum_of_its_entries(
    steps: list[tuple[str, EntryKey, tuple[Occupancy, ...]]],
) -> None:
    table, model, now = played(steps)
    assert len(table) == len(model.entries)
    for second in range(now, 3 * END):
        assert table.free_at(second) == model.free(second)
        assert table.free_at(second + 0.5) == model.free(second + 0.5)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, END), st.integers(0, END))
def test_free_over_is_the_least_of_a_span(
    steps: list[tuple[str, EntryKey, tuple[Occupancy, ...]]], start: int, length: int
) -> None:
    table, model, now = played(steps)
    assert table.free_over(now + start, now + start + length) == model.over(
        now + start, now + start + length
    )


@settings(max_examples=60, deadline=None)
@given(
    STEPS,
    QUANTA,
    st.integers(1, END),
    st.integers(0, END),
    st.one_of(st.just(FOREVER), st.integers(0, 3 * END)),
    st.integers(0, END),
)
def test_earliest_is_the_first_start_that_fits(
    steps: list[tuple[str, EntryKey, tuple[Occupancy, ...]]],
    quantum: Quantum,
    length: int,
    after: int,
    before: float,
    keep: int,
) -> None:
    table, model, now = played(steps)
    after, before = now + after, now + before
    found = table.earliest(quantum, length, after, before, keep)
    assert found == model.earliest(quantum, length, after, before, keep)
    if found is not None:
        spans = lease_spans(quantum, Window(found, found + length, found + length + keep))
        assert table.fits(("new", "one"), spans), "asked for next, it is granted"


@settings(max_examples=60, deadline=None)
@given(STEPS, leases(), KEYS)
def test_fits_says_what_reserving_would_break(
    steps: list[tuple[str, EntryKey, tuple[Occupancy, ...]]],
    spans: tuple[Occupancy, ...],
    key: EntryKey,
) -> None:
    table, model, now = played(steps)
    before = list(table.room.at_s), list(table.room.free), dict(table.entries())
    answer = table.fits(key, spans)
    assert (table.room.at_s, table.room.free, table.entries()) == before, "asking changes nothing"
    model.entries[key] = spans
    seconds = range(now, 4 * END)
    assert answer == all(Quantum().fits(model.free(second)) for second in seconds)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 6))
def test_what_is_told_is_never_more_than_there_is(
    steps: list[tuple[str, EntryKey, tuple[Occupancy, ...]]], most: int
) -> None:
    table, _, now = played(steps)
    told = table.room.steps(now, most)
    assert len(told) <= most
    heard = Room.heard(told, 1000.0 + now)
    for second in range(now, 3 * END):
        assert heard.at(1000.0 + second).fits(table.free_at(second))
    whole = Room.heard(table.room.steps(now, 1000), 1000.0 + now)
    assert all(whole.at(1000.0 + s) == table.free_at(s) for s in range(now, 3 * END))


def test_steps_from_a_stranger_must_ascend() -> None:
    for wrong in ((), (Step(0.0, CAPACITY), Step(0.0, CAPACITY)), (Step(5.0, CAPACITY),) * 2):
        with pytest.raises(ValueError, match="ascend"):
            Room.heard(wrong, 0.0)


def test_backfill_ends_where_a_reservation_begins() -> None:
    table = Timetable(Quantum(4, 4, 0))
    table.reserve(("big", "a"), (Occupancy(100, 200, Quantum(4, 4, 0)),))
    small = Quantum(1, 1, 0)
    assert table.earliest(small, 100, 0) == 0, "it is over when the reservation begins"
    assert table.earliest(small, 101, 0) == 200
    assert table.earliest(small, 101, 0, before_s=300) is None


def test_extending_is_refused_where_somebody_comes_next() -> None:
    table = Timetable(Quantum(4, 4, 0))
    mine = ("mine", "a")
    table.reserve(mine, (Occupancy(0, 100, Quantum(3, 3, 0)),))
    table.reserve(("next", "a"), (Occupancy(150, 200, Quantum(2, 2, 0)),))
    assert table.fits(mine, (Occupancy(0, 150, Quantum(3, 3, 0)),))
    assert not table.fits(mine, (Occupancy(0, 151, Quantum(3, 3, 0)),))
    table.reserve(mine, (Occupancy(0, 50, Quantum(3, 3, 0)),))
    assert table.free_at(60) == Quantum(4, 4, 0), "shortened"
    table.check()


def test_disk_is_kept_when_the_run_is_over() -> None:
    table = Timetable(Quantum(4, 4, 10))
    table.reserve(("g", "a"), lease_spans(Quantum(4, 4, 6), Window(0, 100, 500)))
    assert table.free_at(100) == Quantum(4, 4, 4)
    assert table.free_at(500) == Quantum(4, 4, 10)
    assert table.earliest(Quantum(1, 1, 5), 10, 0) == 500
    assert table.room.for_lease(200, 300, 400) == Quantum(4, 4, 4)


def test_more_than_there_is_is_a_bug() -> None:
    table = Timetable(Quantum(100, 100, 100))
    table.reserve(("g", "w"), (Occupancy(10, 20, Quantum(0, 101, 0)),))
    with pytest.raises(AssertionError):
        table.check()


def test_a_host_that_shrank_keeps_its_promises_and_gives_no_more() -> None:
    table = Timetable(Quantum(100, 100, 100))
    table.reserve(("g", "w"), (Occupancy(0, 10, Quantum(80, 80, 80)),))
    table.resize(Quantum(50, 50, 50))
    table.check()
    assert table.free_at(5) == Quantum(-30, -30, -30)
    assert table.earliest(Quantum(1, 0, 0), 5, 0) == 10


def _forget_a_step(table: Timetable) -> None:
    del table.room.at_s[1], table.room.free[1]


def _free_more(table: Timetable) -> None:
    table.room.free[1] = CAPACITY


def _forget_an_entry(table: Timetable) -> None:
    del table.entries()["g", "w"]


def _shrink(table: Timetable) -> None:
    table._capacity = Quantum(1, 1, 1)


@pytest.mark.parametrize("spoil", [_forget_a_step, _free_more, _forget_an_entry, _shrink])
def test_a_table_that_was_right_is_looked_through_again_when_it_changed(
    spoil: Callable[[Timetable], None],
) -> None:
    table = Timetable(CAPACITY)
    table.reserve(("g", "w"), lease_spans(Quantum(2, 2, 2), Window(5, 10, 15)))
    table.check()
    table.check()
    spoil(table)
    with pytest.raises(AssertionError):
        table.check()


def test_a_table_is_looked_through_again_when_time_passes_an_edge() -> None:
    table = Timetable(CAPACITY)
    table.reserve(("g", "w"), lease_spans(Quantum(2, 2, 2), Window(5, 10, 15)))
    table.check()
    table._horizon_s = 4
    table.check()
    table._horizon_s = 12  # As if `forget` had left the steps of the past.
    with pytest.raises(AssertionError):
        table.check()
