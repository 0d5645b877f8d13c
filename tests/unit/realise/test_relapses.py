"""How long a guest that does not stay up is left alone."""

from overlayd.realise.relapses import CALM_S, PAUSES_S, Relapses


def test_the_first_start_is_at_once_and_each_next_waits_longer() -> None:
    relapses, now_s, waited = Relapses(), 100.0, []
    for _ in range(len(PAUSES_S) + 2):
        relapses.started("m", 1, now_s)
        now_s += 3
        ends, left_s = relapses.rests("m", 1, now_s)
        assert relapses.rests("m", 1, now_s + left_s / 2) == (ends, left_s / 2), (
            "asked twice, told once"
        )
        assert relapses.rests("m", 1, now_s + left_s) == (ends, 0.0)
        waited.append(left_s)
        now_s += left_s
    assert tuple(waited) == (*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1])


def test_what_ran_for_long_begins_anew() -> None:
    relapses = Relapses()
    for at_s in (0.0, 1.0, 2.0):
        relapses.started("m", 1, at_s)
        relapses.rests("m", 1, at_s + 0.5)
    relapses.started("m", 1, 10.0)
    assert relapses.rests("m", 1, 10.0 + CALM_S) == (1, 0.0)


def test_another_boot_a_machine_not_seen_and_one_forgotten_wait_for_nothing() -> None:
    relapses = Relapses()
    assert relapses.rests("m", 1, 0.0) == (0, 0.0)
    for at_s in (0.0, 1.0):
        relapses.started("m", 1, at_s)
        relapses.rests("m", 1, at_s)
    assert relapses.rests("m", 1, 1.0)[1] > 0
    assert relapses.rests("m", 2, 1.0) == (0, 0.0)
    relapses.started("m", 2, 1.0)
    assert relapses.rests("m", 2, 1.5) == (1, 0.0)
    relapses.forget("m")
    assert relapses.rests("m", 2, 1.5) == (0, 0.0)
