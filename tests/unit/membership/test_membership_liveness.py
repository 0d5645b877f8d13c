"""The liveness table, a row for each thing that can be heard: suspicion, refutation, death, return."""

import pytest

from protocol.membership.liveness import Changed, Health, Liveness
from protocol.terms.effects import Deadline
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CONFIRM_S,
    DISCREDITED_S,
    LONELY_S,
    OBSERVERS_MOST,
    WRONG_MOST,
)

PEER, ONE, TWO = PeerId("peer"), PeerId("one"), PeerId("two")
ALIVE, SUSPECT, DEAD, LEFT = Health.ALIVE, Health.SUSPECT, Health.DEAD, Health.LEFT


def known(health: Health, incarnation: int = 5) -> Liveness:
    """A table with one peer in that state since 0."""
    table = Liveness()
    table.present(PEER, incarnation, health is LEFT, 0.0)
    if health in (SUSPECT, DEAD):
        table.suspected(ONE, PEER, incarnation, 0.0)
    if health is DEAD:
        table.tick(LONELY_S)
    assert table.health(PEER) is health
    return table


@pytest.mark.parametrize(
    ("before", "incarnation", "left", "after"),
    [
        (ALIVE, 5, False, ALIVE),
        (ALIVE, 6, False, ALIVE),
        (ALIVE, 5, True, LEFT),
        (ALIVE, 4, True, ALIVE),
        (SUSPECT, 5, False, SUSPECT),
        (SUSPECT, 6, False, ALIVE),
        (SUSPECT, 5, True, LEFT),
        (DEAD, 5, False, DEAD),
        (DEAD, 4, False, DEAD),
        (DEAD, 6, False, ALIVE),
        (DEAD, 6, True, LEFT),
        (LEFT, 5, False, LEFT),
        (LEFT, 6, False, ALIVE),
    ],
)
def test_a_presence(before: Health, incarnation: int, left: bool, after: Health) -> None:
    table = known(before)
    changed = table.present(PEER, incarnation, left, 9.0)
    assert table.health(PEER) is after
    assert [c.health for c in changed] == ([after] if after is not before else [])
    assert table.incarnation(PEER) == max(5, incarnation if not left or after is LEFT else 5)


@pytest.mark.parametrize(
    ("before", "incarnation", "after"),
    [
        (ALIVE, 5, SUSPECT),
        (ALIVE, 4, ALIVE),
        (ALIVE, 6, ALIVE),
        (ALIVE, 1 << 62, ALIVE),
        (ALIVE, -1, ALIVE),
        (SUSPECT, 5, SUSPECT),
        (DEAD, 5, DEAD),
        (LEFT, 5, LEFT),
    ],
)
def test_a_suspicion_of_another(before: Health, incarnation: int, after: Health) -> None:
    table = known(before)
    table.suspected(TWO, PEER, incarnation, 1.0)
    assert table.health(PEER) is after


def test_a_stranger_is_nobodys_suspect() -> None:
    table = Liveness()
    assert table.suspected(ONE, PEER, 1, 0.0) == []
    assert table.health(PEER) is None
    assert table.incarnation(PEER) == -1
    assert table.next_deadline() is None


def test_one_observer_waits_long() -> None:
    table = known(SUSPECT)
    assert table.next_deadline() == Deadline(LONELY_S, "suspicion")
    assert table.tick(LONELY_S - 0.01) == []
    assert table.tick(LONELY_S) == [Changed(PEER, DEAD, "silent for 1 observers")]
    assert table.next_deadline() is None


def test_two_observers_wait_a_moment() -> None:
    table = known(SUSPECT)
    table.suspected(TWO, PEER, 5, 1.0)
    assert table.next_deadline() == Deadline(1.0 + CONFIRM_S, "suspicion")
    assert table.tick(1.0 + CONFIRM_S) == [Changed(PEER, DEAD, "silent for 2 observers")]


def test_one_observer_twice_is_one() -> None:
    table = known(SUSPECT)
    table.suspected(ONE, PEER, 5, 1.0)
    assert table.next_deadline() == Deadline(LONELY_S, "suspicion")


def test_a_late_second_observer_does_not_prolong() -> None:
    table = known(SUSPECT)
    table.suspected(TWO, PEER, 5, LONELY_S - 0.1)
    assert table.next_deadline() == Deadline(LONELY_S, "suspicion")


def test_taken_back_by_all_who_said_it() -> None:
    table = known(SUSPECT)
    table.suspected(TWO, PEER, 5, 0.1)
    assert table.suspected(ONE, PEER, -1, 0.2) == []
    assert table.health(PEER) is SUSPECT
    assert table.suspected(TWO, PEER, -1, 0.3) == [Changed(PEER, ALIVE, "suspicion taken back")]


def test_taken_back_of_one_believed_dead() -> None:
    table = known(SUSPECT)
    table.suspected(TWO, PEER, 5, 0.1)
    table.tick(0.1 + CONFIRM_S)
    assert table.health(PEER) is DEAD
    assert table.suspected(PeerId("three"), PEER, -1, 2.0) == [], "it never said so"
    assert table.suspected(ONE, PEER, -1, 2.0) == []
    assert table.suspected(TWO, PEER, -1, 2.1) == [Changed(PEER, ALIVE, "suspicion taken back")]


def test_nobody_takes_back_that_it_left() -> None:
    table = known(SUSPECT)
    table.present(PEER, 5, True, 1.0)
    assert table.suspected(ONE, PEER, -1, 2.0) == []
    assert table.health(PEER) is LEFT


def test_taken_back_by_one_of_two_the_other_is_alone_from_then_on() -> None:
    table = known(SUSPECT)
    table.suspected(TWO, PEER, 5, 0.1)
    table.suspected(ONE, PEER, -1, 0.2)
    assert table.next_deadline() == Deadline(0.2 + LONELY_S, "suspicion")
    table.suspected(ONE, PEER, 5, 0.3)
    assert table.next_deadline() == Deadline(0.3 + CONFIRM_S, "suspicion")


def test_of_many_suspects_each_has_its_time() -> None:
    table, many = Liveness(), [PeerId(f"peer {i}") for i in range(9)]
    for i, peer in enumerate(many):
        table.present(peer, 1, False, 0.0)
        table.suspected(ONE, peer, 1, i / 10)
    for peer in (many[7], many[3]):
        table.suspected(TWO, peer, 1, 1.0)
    table.check()
    assert [change.peer for change in table.tick(1.0 + CONFIRM_S)] == [many[7], many[3]]
    assert table.next_deadline() == Deadline(LONELY_S, "suspicion")
    assert [change.peer for change in table.tick(LONELY_S + 0.2)] == many[:3]
    table.check()


@pytest.mark.parametrize("before", [SUSPECT, DEAD])
def test_own_ears_outweigh_others_words(before: Health) -> None:
    table = known(before)
    assert table.heard(PEER, 9.0) == [Changed(PEER, ALIVE, "heard from")]
    assert table.tick(100.0) == []


def test_who_is_there() -> None:
    table = known(ALIVE)
    table.present(ONE, 1, False, 0.0)
    table.present(TWO, 1, False, 0.0)
    table.suspected(PEER, ONE, 1, 0.0)
    assert (table.gone(), table.any_gone()) == ([], False)
    table.tick(LONELY_S)
    assert (table.gone(), table.any_gone()) == ([ONE], True)
    table.forget(ONE)
    assert (table.gone(), table.health(ONE)) == ([], None)


def test_a_strained_peer_is_patient_with_others() -> None:
    table = known(SUSPECT)
    table.patience = 3.0
    assert table.tick(2 * LONELY_S) == []
    assert table.tick(3 * LONELY_S) != []


def test_who_is_wrong_again_and_again_is_believed_no_more_for_a_while() -> None:
    table = known(ALIVE, 0)
    for incarnation in range(WRONG_MOST):
        assert table.suspected(ONE, PEER, incarnation, 1.0)
        assert table.present(PEER, incarnation + 1, False, 1.1)
    assert table.suspected(ONE, PEER, WRONG_MOST, 2.0) == []
    assert table.health(PEER) is ALIVE
    assert table.suspected(TWO, PEER, WRONG_MOST, 2.0), "others are believed"
    table.heard(PEER, 3.0)
    assert table.is_discredited(ONE, 1.0 + DISCREDITED_S)
    assert table.suspected(ONE, PEER, WRONG_MOST, 1.2 + DISCREDITED_S), "and it is again, later"


def test_who_suspects_peers_that_are_heard_is_believed_no_more_either() -> None:
    table, many = Liveness(), [PeerId(f"peer {i}") for i in range(WRONG_MOST + 3)]
    for peer in many:
        table.present(peer, 1, False, 0.0)
        table.suspected(ONE, peer, 1, 1.0)
    for peer in many[:WRONG_MOST]:
        table.heard(peer, 1.5)
    assert {table.health(peer) for peer in many} == {ALIVE}, "what else it said counts no more"
    assert table.tick(100.0) == []
    table.check()


def test_who_suspects_and_takes_it_back_again_and_again_is_believed_no_more_either() -> None:
    table = known(ALIVE)
    for _ in range(WRONG_MOST):
        assert table.suspected(ONE, PEER, 5, 1.0)
        assert table.suspected(ONE, PEER, -1, 1.1)
    assert table.suspected(ONE, PEER, 5, 2.0) == []
    assert table.health(PEER) is ALIVE
    assert table.suspected(TWO, PEER, 5, 2.0), "others are believed"
    assert table.suspected(ONE, PEER, -1, 2.1) == [], "it takes back only what it said"
    table.check()


def test_what_else_it_said_counts_no_more_if_it_takes_back_too_much() -> None:
    table, many = Liveness(), [PeerId(f"peer {i}") for i in range(WRONG_MOST + 3)]
    for peer in many:
        table.present(peer, 1, False, 0.0)
        table.suspected(ONE, peer, 1, 1.0)
    for peer in many[:WRONG_MOST]:
        table.suspected(ONE, peer, -1, 1.5)
    assert {table.health(peer) for peer in many} == {ALIVE}
    assert table.tick(100.0) == []
    table.check()


def test_who_takes_back_that_somebody_is_dead_was_right() -> None:
    """After a split each side takes back what it said of the other, perhaps of many."""
    table, many = Liveness(), [PeerId(f"peer {i}") for i in range(2 * WRONG_MOST)]
    for peer in many:
        table.present(peer, 1, False, 0.0)
        table.suspected(ONE, peer, 1, 1.0)
    table.tick(1.0 + LONELY_S)
    for peer in many:
        assert table.suspected(ONE, peer, -1, 60.0) == [
            Changed(peer, ALIVE, "suspicion taken back")
        ]
    assert not table.is_discredited(ONE, 60.0)


def test_who_restarts_was_suspected_with_reason() -> None:
    table = known(ALIVE, 0)
    for incarnation in range(2 * WRONG_MOST):
        assert table.suspected(ONE, PEER, incarnation, 1.0)
        table.present(PEER, incarnation + 1, False, 1.1, restarted=True)
    assert not table.is_discredited(ONE, 2.0)


def test_a_peer_believes_itself_however_often_it_was_wrong() -> None:
    table = Liveness(ONE)
    for _ in range(2 * WRONG_MOST):
        assert not table.was_wrong(ONE, 1.0)
    assert not table.is_discredited(ONE, 1.0)


def test_of_very_many_observers_a_few_are_told_apart() -> None:
    table = known(ALIVE)
    for number in range(100):
        table.suspected(PeerId(f"observer {number}"), PEER, 5, 0.0)
    assert table.observers(PEER) == OBSERVERS_MOST


def test_since_when_a_dead_peer_is_silent_is_what_its_observers_say() -> None:
    """A peer that has just started hears of a death of long ago, and says how long ago that was."""
    table = known(ALIVE)
    assert table.silent_since_s(PEER) == 0.0
    table.suspected(ONE, PEER, 5, 1000.0, 400.0)
    table.suspected(TWO, PEER, 5, 1000.0, 401.0)
    table.tick(1000.0 + CONFIRM_S)
    assert table.health(PEER) is DEAD
    assert table.silent_since_s(PEER) == 401.0
    table.present(PEER, 6, False, 2000.0)
    assert table.silent_since_s(PEER) == 0.0


@pytest.mark.parametrize(("said_s", "since_s"), [(9999.0, 50.0), (0.0, 50.0), (-3.0, 50.0)])
def test_nobody_fell_silent_in_the_future_or_before_all_time(said_s: float, since_s: float) -> None:
    table = known(ALIVE)
    table.suspected(ONE, PEER, 5, 50.0, said_s)
    assert table.silent_since_s(PEER) == since_s


def test_since_when_a_peer_has_left() -> None:
    table = known(ALIVE)
    table.present(PEER, 5, True, 70.0)
    assert table.silent_since_s(PEER) == 70.0
    assert known(LEFT).silent_since_s(PEER) == 0.0, "it left before it was heard of here"
