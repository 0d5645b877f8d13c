"""Local health: lateness makes patient, quiet makes normal again, having been stopped is told."""

from protocol.membership.strain import Strain
from protocol.terms.limits import AWAY_S, LATE_S, STRAIN_EASES_S, STRAIN_MOST


def test_each_late_deadline_adds_a_point_up_to_a_limit() -> None:
    strain = Strain()
    assert strain.patience == 1.0
    for number in range(1, STRAIN_MOST + 5):
        assert not strain.late(LATE_S * 1.1, float(number))
        assert strain.patience == 1 + min(number, STRAIN_MOST) / 2


def test_it_eases_a_point_at_a_time() -> None:
    strain = Strain()
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
    assert not Strain().late(AWAY_S, 0.0)
    assert Strain().late(AWAY_S + 0.1, 0.0)


def test_who_was_late_before_is_slow_and_not_back() -> None:
    strain = Strain()
    assert not strain.late(LATE_S * 1.1, 0.0)
    assert not strain.late(AWAY_S + 0.1, 3.0)
    strain.late(0.0, 3.0 + STRAIN_EASES_S)
    strain.late(0.0, 3.0 + 2 * STRAIN_EASES_S)
    assert strain.late(AWAY_S + 0.1, 20.0)
