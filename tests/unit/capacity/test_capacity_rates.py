"""Rates are measured: the first measurement replaces the guess, later ones weigh in."""

from protocol.capacity.rates import Rates

MIB = 1 << 20


def test_measured() -> None:
    rates = Rates()
    assert rates.save_s(256 * MIB) == 8.0, "slow, until it is known"
    rates = rates.after(True, 256 * MIB, 2.0)
    assert rates.save_s(256 * MIB) == 2.0
    assert rates.restore_s(256 * MIB) == 8.0, "not measured yet"
    rates = rates.after(True, 256 * MIB, 4.0).after(False, 256 * MIB, 1.0)
    assert 2.0 < rates.save_s(256 * MIB) < 2.5
    assert rates.restore_s(256 * MIB) == 1.0
    assert rates.measured == 3


def test_what_makes_no_sense_is_not_believed() -> None:
    assert Rates().after(True, 0, 1.0) == Rates() == Rates().after(True, 5, 0.0)
