"""Local health: lateness makes patient, quiet makes normal again, having been stopped is told."""

from protocol.membership.local_health import LocalHealth
from protocol.terms.limits import AWAY_S, BACK_S, LATE_S, STRAIN_EASES_S, STRAIN_MOST


def test_each_late_deadline_adds_a_point_up_to_a_limit() -> None:
    strain = LocalHealth()
    assert strain.patience == 1.0
    for number in range(1, STRAIN_MOST + 5):
        assert not strain.late(LATE_S * 1.1, float(number))
        assert strain.patience == 1 + min(number, STRAIN_MOST) / 2


def test_it_eases_a_point_at_a_time() -> None:
    strain = LocalHealth()
    strain.late(1.0, 0.0)
    strain.late(1.0, 0.0)
    strain.late(0.0, STRAIN_EASES_S - 0.1)
    assert strain.patience == 2.0
    strain.late(0.0, STRAIN_EASES_S)
    strain.late(0.0, STRAIN_EASES_S)
    assert strain.patience == 1.5
    strain.late(0.0, 2 * STRAIN_EASES_S)
    assert strain.patience == 1.0


def test_one_that_was_stopped_knows_it() -> None:
    assert not LocalHealth().late(AWAY_S, 0.0)
    assert LocalHealth().late(AWAY_S + 0.1, 0.0)


def test_who_is_late_as_usual_is_slow_and_was_not_stopped() -> None:
    strain = LocalHealth()
    assert not strain.late(AWAY_S * 0.5, 0.0)
    assert not strain.late(AWAY_S * 1.9, 3.0)
    assert not strain.late(AWAY_S * 7.0, 6.0)
    assert strain.late(AWAY_S * 30.0, 9.0), "that is not usual even here"


def test_who_was_stopped_twice_says_so_twice() -> None:
    strain = LocalHealth()
    assert strain.late(AWAY_S * 3.0, 0.0)
    for quiet in (1, 2):
        strain.late(0.0, quiet * STRAIN_EASES_S)
    assert strain.late(AWAY_S * 3.0, 3 * STRAIN_EASES_S)


def test_what_is_usual_is_forgotten() -> None:
    strain = LocalHealth()
    strain.late(AWAY_S * 0.5, 0.0)
    strain.late(0.0, STRAIN_EASES_S)
    assert strain.late(AWAY_S * 1.1, STRAIN_EASES_S + 1.0)


def test_who_was_stopped_is_just_back_for_a_moment() -> None:
    strain = LocalHealth()
    strain.late(LATE_S * 1.1, 0.0)
    assert not strain.just_back(0.1), "it was slow"
    strain.late(AWAY_S * 4.1, 10.0)
    assert strain.just_back(10.0 + BACK_S * 0.9)
    assert not strain.just_back(10.0 + BACK_S)
