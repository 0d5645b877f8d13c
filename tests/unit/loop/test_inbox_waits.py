"""How long events wait is told of those that are watched, one at a time."""

import pytest

from overlayd.loop import inbox_waits
from overlayd.loop.inbox import Inbox
from overlayd.loop.inbox_waits import WINDOW_S, Waits
from protocol.node.events import Ticked, Untidied


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(inbox_waits, "time", made)
    return made


def test_waits_are_told_by_quantile_and_forgotten_after_a_while(clock: Clock) -> None:
    waits = Waits()
    assert waits.quantiles_s() == {"0.5": 0.0, "0.99": 0.0, "1": 0.0}
    for number in range(100):
        event = Ticked()
        waits.came(event)
        clock.now_s += 0.1 if number == 50 else 0.01
        waits.went(event)
    found = waits.quantiles_s()
    assert found["0.5"] == pytest.approx(0.01)
    assert found["1"] == pytest.approx(0.1)
    clock.now_s += WINDOW_S + 1
    assert waits.quantiles_s()["1"] == 0.0


def test_while_one_is_watched_others_are_not(clock: Clock) -> None:
    waits, one, two = Waits(), object(), object()
    waits.came(one)
    waits.came(two)
    clock.now_s += 1
    waits.went(two)
    assert waits.quantiles_s()["1"] == 0.0
    waits.went(one)
    assert waits.quantiles_s()["1"] == 1.0


def test_the_inbox_tells_how_long_its_events_wait(clock: Clock) -> None:
    inbox = Inbox()
    inbox.put(Untidied())
    clock.now_s += 2
    assert inbox.pop() is not None
    assert inbox.pop() is None
    assert inbox.waits.quantiles_s()["0.5"] == 2.0
