"""A machine's clock that was set is noticed, told once, and asked about until it is taken up."""

import asyncio

import pytest

from overlayd.fakes.clock import FakeClock
from overlayd.loop import clock_watch
from overlayd.loop.clock_watch import ClockWatch
from protocol.terms.effects import Note

HOUR = 3600.0


class Machine:
    """A watch over a machine's clock, and what it asked and told."""

    def __init__(self) -> None:
        self.clock, self.told, self.asked = FakeClock(), list[str](), list[tuple[float, float]]()
        self.why = ""
        self.watch = ClockWatch("h1", self.clock, self.follows, self.tell)

    def follows(self, by_s: float, steady_s: float) -> str:
        self.asked.append((by_s, steady_s))
        return self.why

    def tell(self, note: Note) -> None:
        assert (note.kind, note.subject) == ("clock.set", "h1")
        self.told.append(note.detail)


def test_a_clock_that_is_slewed_is_not_told() -> None:
    machine = Machine()
    machine.clock.machine_s = 0.9
    assert machine.watch.look() == ""
    assert machine.told == []
    assert machine.asked == [(0.0, 0.0)]


@pytest.mark.parametrize(("by_s", "which"), [(HOUR, "1 h forward"), (-25 * HOUR, "1 d back")])
def test_a_step_is_told_once_and_asked_about_with_its_age(by_s: float, which: str) -> None:
    machine = Machine()
    machine.clock.machine_s = by_s
    machine.watch.look()
    machine.clock.advance(2.0)
    machine.watch.look()
    assert machine.told == [
        f"its machine's clock was set {which}; this daemon counts on, and asks its neighbours"
    ]
    assert machine.asked == [(by_s, 0.0), (by_s, 2.0)]


def test_what_is_set_back_where_it_was_is_told_too() -> None:
    machine = Machine()
    for machine.clock.machine_s in (HOUR, HOUR, 0.0):
        machine.watch.look()
        machine.clock.advance(2.0)
    assert machine.told[1:] == ["its machine's clock is where this daemon counts it again"]
    assert machine.asked[-1] == (0.0, 0.0)


def test_it_waits_until_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr(clock_watch, "LOOK_EVERY_S", 0.0)

    async def mended() -> str:
        watching = asyncio.create_task(machine.watch.watch())
        await asyncio.sleep(0)
        assert not watching.done()
        machine.why = "it agrees with 2 neighbours now"
        return await watching

    assert asyncio.run(mended()) == "it agrees with 2 neighbours now"
