"""Work that yields runs until a reservation needs its room. What came first yields last."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.capacity.ledger import Ledger, Yields
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import FOREVER
from protocol.capacity.timetable import Window

ROOM = Quantum(4, 4, 10)
ONE = Quantum(1, 1, 1)


def yields(name: str, since_s: float) -> Yields:
    return Yields((name, "web"), since_s, 1)


def window(start_s: float, end_s: float) -> Window:
    return Window(start_s, end_s, end_s)


def test_it_runs_for_ever_until_somebody_reserves() -> None:
    ledger = Ledger(ROOM)
    always = Window(0.0, FOREVER, FOREVER)
    for i, name in enumerate("abcd"):
        ledger.enter((name, "w"), ONE, always, yields(name, float(i)))
    assert ledger.until_s == {(name, "web"): FOREVER for name in "abcd"}
    assert ledger.free == Quantum(0, 0, 6)
    reserved = window(100.0, 200.0)
    assert ledger.free_for(reserved) == Quantum(0, 0, 6)
    assert ledger.free_for(reserved, displacing=True) == Quantum(4, 4, 6), "disk does not yield"
    ledger.enter(("exam", "w"), Quantum(2, 2, 0), reserved)
    ledger.check()
    assert [ledger.until_s[name, "web"] for name in "abcd"] == [FOREVER, FOREVER, 100.0, 100.0]
    ledger.strike(("exam", "w"))
    assert ledger.until_s["d", "web"] == FOREVER, "the plan follows from the promises"


def test_a_group_yields_whole() -> None:
    ledger = Ledger(ROOM)
    always = Window(0.0, FOREVER, FOREVER)
    for member in ("w-1", "w-2", "w-3"):
        ledger.enter(("a", member), ONE, always, yields("a", 1.0))
    ledger.enter(("exam", "w"), Quantum(2, 0, 0), window(50.0, 60.0))
    assert ledger.until_s == {("a", "web"): 50.0}
    assert ledger.room.at(55.0) == Quantum(2, 4, 7)
    assert ledger.yielding() == {("a", "web"): 3}


def test_a_host_that_was_not_probed_yet_sends_nobody_away() -> None:
    ledger = Ledger(Quantum())
    ledger.enter(("a", "w"), ONE, Window(0.0, FOREVER, FOREVER), yields("a", 1.0))
    ledger.resize(Quantum())
    assert ledger.until_s == {("a", "web"): FOREVER}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.booleans(),
            st.integers(0, 20),
            st.integers(1, 10),
            st.integers(0, 3),
        ),
        max_size=12,
    )
)
def test_promises_never_pass_the_total_whoever_yields(
    steps: list[tuple[str, bool, int, int, int]],
) -> None:
    ledger = Ledger(ROOM)
    for name, best_effort, start, length, size in steps:
        key, quantum = (name, "w"), Quantum(size, size, 1)
        ledger.strike(key)
        span = window(float(start), float(start + length))
        if best_effort and quantum.disk_bytes <= ledger.free_for(span, displacing=True).disk_bytes:
            ledger.enter(key, quantum, span, yields(name, float(start)))
        elif not best_effort and quantum.fits(ledger.free_for(span, displacing=True)):
            ledger.enter(key, quantum, span)
        ledger.check()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(1, 10))),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=8),
)
def test_what_a_plan_without_some_was_is_kept_only_while_it_would_be_that_again(
    promised: list[tuple[str, int, int]], asked: list[tuple[str, int]]
) -> None:
    """It is what a ledger says that was asked nothing before, but of what cannot run now: when it was asked."""

    def made() -> Ledger:
        ledger = Ledger(ROOM)
        for name, start, length in promised:
            key, span = (name, "w"), window(float(start), float(start + length))
            ledger.strike(key)
            if name in "abc":
                ledger.enter(key, ONE, span, yields(name, float(start)))
            elif ONE.fits(ledger.free_for(span, displacing=True)):
                ledger.enter(key, ONE, span)
        return ledger

    ledger, now = made(), 0.0
    for name, later in asked:
        now += later
        fresh = made()
        for each in (ledger, fresh):
            each.advance(now)
        told, right = (each.planned_without([(name, "w")]) for each in (ledger, fresh))
        assert {g: max(at, now) for g, at in told.items()} == right
        assert {g: max(at, now) for g, at in ledger.until_s.items()} == fresh.until_s
        ledger.check()
