"""Quanta add up, and a ledger's free room is its capacity less its promises, whatever is entered and struck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.capacity.advert import SHAPES, shapes_in
from protocol.capacity.ledger import EntryKey, Ledger
from protocol.capacity.quantum import Quantum, total

AMOUNTS = st.integers(0, 1 << 40)
QUANTA = st.builds(Quantum, AMOUNTS, AMOUNTS, AMOUNTS, st.just(()), AMOUNTS)
KEYS = st.tuples(st.sampled_from(["g1", "g2"]), st.sampled_from(["a", "b", "c"]))


@given(QUANTA, QUANTA, QUANTA)
def test_arithmetic(a: Quantum, b: Quantum, c: Quantum) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c) == total([a, b, c])
    assert (a + b) - b == a
    assert a.fits(a + b)
    assert not (a + b).fits(a) or b == Quantum()


@given(QUANTA, QUANTA)
def test_times_in_is_the_most_that_fit(shape: Quantum, room: Quantum) -> None:
    times = shape.times_in(room)
    if shape == Quantum():
        assert times == 0
        return
    many = total([shape] * times)
    assert many.fits(room)
    assert not (many + shape).fits(room)


def test_nothing_fits_where_less_than_nothing_is_left() -> None:
    overdrawn = Quantum(1000, -1, 0)
    assert all(count == 0 for _, count in shapes_in(overdrawn))
    assert Quantum(500, 0, 0).times_in(overdrawn) == 2, "memory is not asked for"


def test_an_advert_counts_shapes_not_sums() -> None:
    counts = dict(shapes_in(Quantum(4000, 5 << 30, 0)))
    assert counts == {"0.25cpu/128M": 16, "1cpu/1G": 4, "2cpu/4G": 1, "4cpu/8G": 0}
    assert [name for name, _ in SHAPES] == list(counts)


@given(st.lists(st.tuples(KEYS, st.one_of(st.none(), st.integers(0, 100)))))
def test_ledger_is_its_entries(steps: list[tuple[EntryKey, int | None]]) -> None:
    capacity = Quantum(10_000, 10_000, 10_000)
    ledger, entries = Ledger(capacity), dict[EntryKey, Quantum]()
    for key, amount in steps:
        if amount is None:
            ledger.strike(key)
            entries.pop(key, None)
        else:
            entries[key] = Quantum(amount, amount * 2, amount * 3)
            ledger.enter(key, entries[key])
        ledger.check()
        assert ledger.free == capacity - total(list(entries.values()))
        assert len(ledger) == len(entries)
        assert all(key in ledger for key in entries)


def test_more_than_there_is_is_a_bug() -> None:
    ledger = Ledger(Quantum(100, 100, 100))
    ledger.enter(("g", "w"), Quantum(0, 101, 0))
    with pytest.raises(AssertionError):
        ledger.check()


def test_a_host_that_shrank_keeps_its_promises_and_gives_no_more() -> None:
    ledger = Ledger(Quantum(100, 100, 100))
    ledger.enter(("g", "w"), Quantum(80, 80, 80))
    ledger.resize(Quantum(50, 50, 50))
    ledger.check()
    assert ledger.free == Quantum(-30, -30, -30)
    assert not Quantum(1, 0, 0).fits(ledger.free)
