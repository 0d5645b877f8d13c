"""A clock that is off is found by what most neighbours' clocks say, and only beyond the bound."""

import pytest

from protocol.membership.clocks import (
    ALONE,
    SURE,
    Clocks,
    ClockView,
    clock_fault,
    is_most,
    offset_of,
    votes_for,
)
from protocol.membership.links import Links
from protocol.membership.messages import greeting
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CLOCK_AGAIN_S,
    CLOCK_ALONE_S,
    CLOCK_ASKED_S,
    CLOCK_LASTS_S,
    CLOCK_SAID_MOST_S,
)
from protocol.trust.record import SignedRecord

A = PeerId("a" * 64)
HOUR = 3600.0


def looked(offsets: list[float], *before: list[float]) -> ClockView:
    """What is thought of a clock that was compared before, and now; others are known."""
    clocks = Clocks()
    for each in (*before, offsets):
        clocks.look(each, alone=False)
    return clocks.view


def linked() -> Links:
    links = Links()
    links.up(A, greeting(SignedRecord(b"", b"")), 0.0)
    links.introduce(A, 0.0)
    return links


def test_the_middle_of_the_wait() -> None:
    assert offset_of(sent_s=100.0, at_s=130.1, now=100.2) == pytest.approx(30.0)
    assert offset_of(sent_s=100.0, at_s=100.1, now=100.2) == pytest.approx(0.0)


def test_most_clocks_decide() -> None:
    assert clock_fault([]) == ""
    assert clock_fault([0.2, -0.2, 0.9]) == ""
    assert clock_fault([HOUR, 0.1, -0.1]) == "", "one other is wrong, not we"
    assert clock_fault([HOUR, 0.1]) == "", "two of three clocks agree, and ours is one of them"
    assert clock_fault([-HOUR, -HOUR - 0.1, 0.0]).startswith(
        "its clock is 1 h ahead of the median of 3 neighbours"
    )
    assert "30 s behind the median of 1 neighbour;" in clock_fault([30.0])
    assert is_most(votes_for(0.0, [0.1, HOUR], 1.0), [0.1, HOUR])
    assert not is_most(votes_for(0.0, [HOUR], 1.0), [HOUR]), "one of two is not most"


def test_a_clock_counts_once_most_have_agreed_with_it() -> None:
    unheard = ClockView("no neighbour has told its time yet", theirs_s=None)
    assert looked([]) == unheard
    assert looked([0.1]) == SURE
    assert looked([], [0.1]) == SURE, "it counted on from there, and nobody says otherwise"
    assert looked([4.9, -HOUR]) == SURE


@pytest.mark.parametrize(("ahead_s", "which"), [(HOUR, "ahead of"), (-HOUR, "behind")])
def test_an_hour_apart_from_most_it_does_not_count(ahead_s: float, which: str) -> None:
    view = looked([-ahead_s, -ahead_s + 0.2, -ahead_s - 0.2])
    assert view.doubt == f"this host's clock is 1 h {which} the median of 3 neighbours"
    assert view.apart
    assert view.theirs_s == -ahead_s


def test_of_two_that_differ_the_one_that_was_agreed_with_counts() -> None:
    assert looked([HOUR]).apart, "neither of two new ones can know"
    assert looked([HOUR]).theirs_s is None, "and nobody knows what most say"
    assert looked([HOUR], [0.1]) == SURE


def test_most_that_say_otherwise_are_heeded_whatever_was_before() -> None:
    assert looked([HOUR, HOUR + 1], [0.1, 0.1]).apart
    assert looked([HOUR], [0.1, 0.1], [HOUR, HOUR]).apart, "what it agreed with is void by then"
    assert looked([0.1, 0.1], [HOUR, HOUR]) == SURE, "and it is mended by agreeing again"


def test_a_minority_of_liars_moves_nobody() -> None:
    assert looked([0.1, -0.1, 9e9, -9e9]) == SURE
    assert looked([HOUR, HOUR, -9e9, 9e9]).theirs_s is None, "two of five are not most"


def test_who_knows_of_nobody_has_only_its_own() -> None:
    clocks = Clocks()
    clocks.look([], alone=True)
    assert clocks.view == ALONE
    assert not clocks.view.doubt
    assert clocks.look([HOUR], alone=False), "that it was alone proves nothing"
    assert clocks.view.apart


def test_it_tells_only_what_changed() -> None:
    clocks = Clocks()
    assert clocks.look([], alone=False)
    assert not clocks.look([], alone=False)
    assert clocks.look([HOUR, HOUR], alone=False)
    assert not clocks.look([HOUR, HOUR + 0.4], alone=False)
    assert clocks.look([0.0, 0.1], alone=False)


def followed(by_s: float, steady_s: float, *seen: list[float], alone: bool = False) -> str:
    clocks = Clocks()
    for offsets in seen:
        clocks.look(offsets, alone)
    return clocks.follows(by_s, steady_s, seen[-1] if seen else [], alone)


def test_a_mended_clock_is_followed_once_most_agree_with_it() -> None:
    mended = followed(-HOUR, 0.0, [-HOUR, -HOUR])
    assert mended == "its machine's clock was set 1 h back, and agrees with 2 neighbours now"
    assert followed(HOUR, 0.0, [HOUR, HOUR]).startswith("its machine's clock was set 1 h forward")
    assert followed(-HOUR, 0.0, [-HOUR]) != "", "one neighbour and the machine are two of three"
    assert followed(-HOUR, 0.0, [-2 * HOUR, -2 * HOUR]) == "", "it was set to something else"
    assert followed(0.5, 1e9, [HOUR, HOUR]) == "", "it was not set"


def test_who_has_heard_no_time_follows_at_once() -> None:
    """Its certificates may not be valid by the clock it started with, so it cannot hear anybody."""
    assert followed(9e6, 0.0, []).endswith("and no neighbour has told its time")


def test_a_clock_that_agrees_is_left_only_when_the_step_lasts() -> None:
    assert followed(HOUR, CLOCK_LASTS_S - 1, [0.1, 0.1]) == "", "somebody may set it back"
    assert followed(HOUR, CLOCK_LASTS_S, [0.1, 0.1]).endswith("10 min ago, and stays so")
    assert followed(HOUR, CLOCK_ALONE_S - 1, [], alone=True) == ""
    assert followed(HOUR, CLOCK_ALONE_S, [], alone=True).endswith("1 min ago, and stays so")


def test_samples_are_smoothed_and_jumps_believed() -> None:
    links = linked()
    assert (links.offsets(), links.offset(A)) == ([], None)
    links.compared(A, 5.0, 99.0, 0.0)
    assert links.offsets() == [], "it was too long under way"
    links.compared(A, 0.1, 0.4, 0.0)
    links.compared(A, 0.1, 0.0, 0.0)
    assert links.offsets() == [pytest.approx(0.3)]
    links.compared(A, 0.1, -HOUR, 0.0)
    assert links.offsets() == [-HOUR], "that clock was set"
    assert links.offset(A) == -HOUR


def test_any_time_may_be_said_and_none_is_beyond_counting() -> None:
    links = linked()
    links.compared(A, 0.1, 1.7e308, 0.0)
    assert links.offset(A) == CLOCK_SAID_MOST_S
    assert looked([CLOCK_SAID_MOST_S, CLOCK_SAID_MOST_S]).apart


def test_what_comes_back_is_compared_anew() -> None:
    links = linked()
    links.compared(A, 0.1, HOUR, 0.0)
    links.stand(A, "a:1", 0.0)
    links.down(A, 1.0)
    links.up(A, greeting(SignedRecord(b"", b"")), 2.0)
    links.introduce(A, 2.0)
    assert links.offset(A) is None, "it may have another clock by now"


def test_a_neighbour_is_asked_for_its_time_now_and_then() -> None:
    """Only one side of a connection pings; the other would never learn."""
    links = linked()
    assert links.asks_time(A, CLOCK_ASKED_S)
    assert not links.asks_time(A, CLOCK_ASKED_S + 1.0), "it may be under way"
    assert links.asks_time(A, 2 * CLOCK_ASKED_S)
    links.compared(A, 0.1, 0.0, 2 * CLOCK_ASKED_S)
    assert not links.asks_time(A, CLOCK_AGAIN_S)
    assert links.asks_time(A, 2 * CLOCK_ASKED_S + CLOCK_AGAIN_S)
    assert not links.asks_time(PeerId("b" * 64), 0.0), "there is no connection"
