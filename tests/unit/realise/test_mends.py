"""Mended at once a few times, then with pauses; told first each time, then ever more seldom."""

from overlayd.realise.mends import AT_ONCE, CALM_S, PAUSES_S, Mends, is_told


def test_the_first_mends_need_no_pause_and_later_ones_ever_longer_ones() -> None:
    mends, pauses = Mends(), []
    for count in range(1, AT_ONCE + len(PAUSES_S) + 3):
        told, pause_s = mends.mended("lan", float(count))
        assert told == count
        pauses.append(pause_s)
    assert pauses == [0.0] * AT_ONCE + [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]


def test_a_pause_passes() -> None:
    mends = Mends()
    for _ in range(AT_ONCE + 1):
        mends.mended("lan", 100.0)
    assert mends.rests_s("lan", 100.5) == PAUSES_S[0] - 0.5
    assert mends.rests_s("lan", 100.0 + PAUSES_S[0]) == 0
    assert mends.rests_s("other", 100.5) == 0


def test_after_a_calm_time_the_next_is_the_first_again() -> None:
    mends = Mends()
    for _ in range(AT_ONCE + 2):
        mends.mended("lan", 100.0)
    assert mends.mended("lan", 100.0 + CALM_S - 1)[0] == AT_ONCE + 3
    assert mends.mended("lan", 100.0 + 2 * CALM_S) == (1, 0.0)
    assert mends.since_s("lan", 103.0 + 2 * CALM_S) == 3.0


def test_a_network_that_is_gone_is_forgotten() -> None:
    mends = Mends()
    for _ in range(AT_ONCE + 2):
        mends.mended("lan", 100.0)
    mends.forget("lan")
    assert mends.rests_s("lan", 100.0) == 0


def test_the_first_are_told_and_then_ever_fewer() -> None:
    assert [count for count in range(1, 70) if is_told(count)] == [1, 2, 3, 4, 8, 16, 32, 64]
