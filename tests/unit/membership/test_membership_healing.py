"""When splits are looked for: together often, each seldom, and at once where somebody died."""

from random import Random

from protocol.membership.healing import Healing
from protocol.terms.limits import (
    HEAL_EVERY_S,
    HEAL_LEAST_S,
    MEET_EVERY_S,
    PROBES_EACH,
    PROBES_MOST,
)


def tries(others: int, for_s: float) -> int:
    healing, now, count = Healing(Random(1)), 0.0, 0
    while now < for_s:
        count += healing.tries_gone(others, now)
        now += 0.5
    return count


def test_the_fewer_peers_are_left_the_more_each_tries() -> None:
    few, many = tries(0, 600), tries(1000, 600)
    assert 600 / HEAL_LEAST_S * 0.5 < few < 600 / HEAL_LEAST_S * 2
    assert 600 / HEAL_EVERY_S * 0.5 < many < 600 / HEAL_EVERY_S * 2


def test_a_stranger_is_met_seldom_and_not_at_once() -> None:
    healing = Healing(Random(1))
    assert healing.meets_stranger(1.0) is None
    assert healing.meets_stranger(1.0 + MEET_EVERY_S * 0.4) is None
    assert healing.meets_stranger(1.0 + MEET_EVERY_S * 1.6) == ""


def test_where_somebody_died_a_few_look_around() -> None:
    looking = 0
    for seed in range(400):
        healing = Healing(Random(seed))
        healing.meets_stranger(1.0)
        healing.died("uc", 99, 2.0)
        looking += healing.meets_stranger(4.5) == "uc"
    assert 400 * PROBES_EACH / 100 / 2 < looking < 400 * PROBES_EACH / 100 * 2


def test_where_many_died_each_looks_around_a_few_times_and_not_for_ever() -> None:
    healing = Healing(Random(1))
    healing.meets_stranger(1.0)
    for _ in range(100 * PROBES_MOST):
        healing.died("uc", 99, 2.0)
    looks = [healing.meets_stranger(2.0 + 2.1 * i) for i in range(1, PROBES_MOST + 4)]
    assert looks == ["uc"] * PROBES_MOST + [None] * 3


def test_nobody_gone_and_no_strangers_is_nothing_to_do() -> None:
    assert Healing(Random(1)).next_deadline(False, False) is None
