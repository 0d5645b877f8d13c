"""The clock's contract: unix time that never steps back."""

import time

import pytest

from overlayd.adapters.clock import SystemClock
from overlayd.fakes.clock import FakeClock
from overlayd.ports.clock import Clock


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])
def test_it_never_steps_back(clock: Clock) -> None:
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[0] > 1_600_000_000


def test_a_stepped_wall_clock_does_not_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before, wall = clock.now(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 86_400)
    assert clock.now() - before < 3600


def test_that_the_wall_clock_was_stepped_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wall = SystemClock(), time.time
    assert abs(clock.set_by_s()) < 0.1
    monkeypatch.setattr(time, "time", lambda: wall() - 86_400)
    assert clock.set_by_s() == pytest.approx(-86_400, abs=0.1)


def test_the_fake_moves_when_told() -> None:
    clock = FakeClock(start_s=10)
    clock.advance(2.5)
    assert clock.now() == 12.5
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
