"""Local health: lateness makes a peer patient, quiet makes it normal again, and a stop is told."""

import pytest

from protocol.membership.local_health import LocalHealth

SLOW_S = 0.6
"""Later than half a second is late, later than two and a half was stopped."""


def patience_after(*late_s: float) -> float:
    """Deadlines handled so late, one a second."""
    health = LocalHealth()
    for second, late in enumerate(late_s):
        health.late(late, float(second))
    return health.patience


@pytest.mark.parametrize(
    ("late", "patience"),
    [(0, 1.0), (1, 1.5), (2, 2.0), (3, 2.5), (7, 4.5), (8, 5.0), (9, 5.0), (30, 5.0)],
)
def test_each_late_deadline_makes_more_patient_up_to_five_times(late: int, patience: float) -> None:
    assert patience_after(*[SLOW_S] * late) == patience


def test_half_a_second_is_not_late_yet() -> None:
    assert patience_after(0.0, 0.499, 0.5) == 1.0
    assert patience_after(0.501) == 1.5


def test_slow_is_not_stopped() -> None:
    health = LocalHealth()
    assert [health.late(SLOW_S, float(second)) for second in range(12)] == [False] * 12


def test_each_quiet_five_seconds_take_one_step_back() -> None:
    health = LocalHealth()
    health.late(SLOW_S, 100.0)
    health.late(SLOW_S, 101.0)
    then: list[tuple[float, float]] = []
    for now in (105.9, 106.0, 106.1, 110.9, 111.0, 200.0):
        health.late(0.0, now)
        then.append((now, health.patience))
    assert then == [
        (105.9, 2.0),
        (106.0, 1.5),
        (106.1, 1.5),
        (110.9, 1.5),
        (111.0, 1.0),
        (200.0, 1.0),
    ]


def test_one_more_late_deadline_begins_the_quiet_anew() -> None:
    health = LocalHealth()
    health.late(SLOW_S, 100.0)
    health.late(SLOW_S, 104.0)
    health.late(0.0, 108.9)
    assert health.patience == 2.0
    health.late(0.0, 109.0)
    assert health.patience == 1.5


def test_a_peer_that_was_stopped_knows_it() -> None:
    assert not LocalHealth().late(2.5, 0.0)
    assert LocalHealth().late(2.501, 0.0)


def test_a_peer_that_is_late_as_usual_is_slow_and_was_not_stopped() -> None:
    health = LocalHealth()
    assert not health.late(1.25, 0.0)
    assert not health.late(5.0, 3.0), "four times the usual is not more than that"
    assert not health.late(20.0, 6.0)
    assert health.late(80.1, 9.0), "that is not usual even here"


def test_a_peer_that_was_stopped_twice_says_so_twice() -> None:
    health = LocalHealth()
    assert health.late(7.5, 0.0)
    health.late(0.0, 5.0)
    health.late(0.0, 10.0)
    assert health.late(7.5, 15.0)


def test_what_is_usual_is_forgotten() -> None:
    health = LocalHealth()
    health.late(1.25, 0.0)
    assert not health.late(2.75, 1.0), "it is usual to be late"
    later = LocalHealth()
    later.late(1.25, 0.0)
    later.late(0.0, 5.0)
    assert later.late(2.75, 6.0), "after five quiet seconds it is less so"


def test_a_peer_that_was_stopped_is_just_back_for_five_seconds() -> None:
    health = LocalHealth()
    assert not health.just_back(0.0)
    health.late(SLOW_S, 0.0)
    assert not health.just_back(0.1), "it was slow"
    health.late(10.0, 10.0)
    assert health.just_back(10.0)
    assert health.just_back(14.9)
    assert not health.just_back(15.0)
