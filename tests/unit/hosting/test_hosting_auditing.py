"""When stewards are asked, and for what: soon after a start, now and then, and until they have answered."""

from random import Random

import msgspec
import pytest
from deciding import proposed
from negotiating import ADMIN, NOW, A, B, C, committed, record_of, shop

from protocol.contract.outcomes import AuditLease, Propose
from protocol.grid.lifecycle import Wanted
from protocol.grid.record import GridState, order_part
from protocol.grid.steps import Decline
from protocol.hosting.auditing import Auditing
from protocol.hosting.lease import Lease, Pending
from protocol.terms.effects import Deadline
from protocol.terms.ids import GridId
from protocol.terms.limits import AUDIT_EVERY_S, HOLD_S

RECORD = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})
GRID = RECORD.id
ROW = Lease(RECORD, (Wanted("web-1"),), lease_until_s=NOW + 1000, made_s=NOW)
MARK = GridId("extension")
PROMISED = msgspec.structs.replace(ROW, pending=(Pending(MARK, 60, NOW + HOLD_S),))
FAR_S = NOW + 1e6


class Loaded(Random):
    """Dice that always fall at the same place between two ends."""

    def __init__(self, share: float) -> None:
        super().__init__(1)
        self._share = share

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._share


def auditing(share: float = 0.0, read_s: float = FAR_S) -> Auditing:
    """Of one grid, whose record is read at `read_s`."""
    made = Auditing(Loaded(share))
    made.decided(GRID, read_s - AUDIT_EVERY_S * (0.8 + 0.4 * share))
    return made


def state_after(question: Propose | None) -> GridState:
    """What the register says of the grid after that change of it."""
    assert question is not None
    record = proposed(question, committed(RECORD)).register.record
    assert record is not None
    return record.state


# -- now and then


@pytest.mark.parametrize(("share", "least_s", "then_s"), [(0.0, 1.0, 48.0), (1.0, 5.0, 72.0)])
def test_it_asks_soon_after_a_start_and_then_about_every_minute(
    share: float, least_s: float, then_s: float
) -> None:
    made = Auditing(Loaded(share))
    made.started(GRID, NOW)
    assert made.next_deadline([ROW]) == Deadline(NOW + least_s, "audit")
    assert made.due(ROW, NOW + least_s - 0.001) is None
    question = made.due(ROW, NOW + least_s)
    assert question is not None
    assert (question.purpose, question.stewards, question.cause) == (
        AuditLease(GRID),
        (A, B, C),
        GRID,
    )
    assert question.register == order_part(GRID)
    assert question.step is None, "it is only read"
    assert made.next_deadline([ROW]) == Deadline(NOW + least_s + then_s, "audit")


def test_a_record_that_came_need_not_be_asked_for_soon() -> None:
    made = Auditing(Loaded(0.0))
    made.started(GRID, NOW)
    made.decided(GRID, NOW + 0.5)
    assert made.next_deadline([ROW]) == Deadline(NOW + 48.5, "audit")


def test_news_of_it_is_asked_for_at_once_and_puts_nothing_off() -> None:
    made = auditing(read_s=NOW + 30)
    made.noticed(GRID, NOW + 40)
    assert made.next_deadline([ROW]) == Deadline(NOW + 30, "audit")
    made.noticed(GRID, NOW + 10)
    assert made.next_deadline([ROW]) == Deadline(NOW + 10, "audit")


# -- when its time is over


@pytest.mark.parametrize(("share", "after_s"), [(0.0, 0.0), (1.0, 2.0)])
def test_what_is_over_is_taken_down_within_seconds(share: float, after_s: float) -> None:
    made = auditing(share)
    made.lapsed(GRID, NOW, over=True)
    assert made.next_deadline([ROW]) == Deadline(NOW + after_s, "lapse")
    assert made.due(ROW, NOW + after_s - 0.001) is None
    assert state_after(made.due(ROW, NOW + after_s)) is GridState.DOWN


def test_it_is_asked_again_about_a_minute_later_if_it_was_to_no_avail() -> None:
    made = auditing()
    made.lapsed(GRID, NOW, over=True)
    assert made.due(ROW, NOW) is not None
    assert made.due(ROW, NOW + 47.9) is None
    assert state_after(made.due(ROW, NOW + 48.0)) is GridState.DOWN


def test_what_is_over_no_more_is_not_taken_down() -> None:
    made = auditing()
    made.lapsed(GRID, NOW, over=True)
    made.lapsed(GRID, NOW, over=False)
    assert made.next_deadline([ROW]) == Deadline(FAR_S, "audit")
    assert made.due(ROW, NOW + 10) is None
    made.lapsed(GRID, NOW, over=False)


# -- an extension that is pending


def test_an_extension_is_voted_down_when_its_time_to_be_decided_is_up() -> None:
    made = auditing()
    assert made.next_deadline([ROW, PROMISED]) == Deadline(NOW + HOLD_S, "extension")
    assert made.due(PROMISED, NOW + HOLD_S - 0.001) is None
    question = made.due(PROMISED, NOW + HOLD_S)
    assert question is not None
    register = proposed(question, committed(RECORD)).register
    assert register.is_declined(MARK)
    assert register.record == RECORD, "the grid itself stays"


def test_it_is_asked_again_until_that_is_settled() -> None:
    made = auditing()
    assert made.due(PROMISED, NOW + HOLD_S) is not None
    again_s = NOW + 2 * HOLD_S
    assert made.next_deadline([PROMISED]) == Deadline(again_s, "extension")
    assert made.due(PROMISED, again_s - 0.001) is None
    assert made.due(PROMISED, again_s) is not None
    made.settled(GRID)
    another = msgspec.structs.replace(ROW, pending=(Pending(GridId("x"), 60, again_s + 1),))
    assert made.next_deadline([another]) == Deadline(again_s + 1, "extension")


def test_the_one_that_was_promised_first_is_voted_on_first() -> None:
    late = Pending(GridId("late"), 60, NOW + 2 * HOLD_S)
    both = msgspec.structs.replace(ROW, pending=(*PROMISED.pending, late))
    made = auditing()
    question = made.due(both, NOW + HOLD_S)
    assert question is not None
    assert question.step == Decline(GRID, MARK)


# -- together


def test_one_question_at_a_time_the_end_first() -> None:
    made = auditing(read_s=NOW)
    made.lapsed(GRID, NOW, over=True)
    now = NOW + HOLD_S
    assert state_after(made.due(PROMISED, now)) is GridState.DOWN
    vote = made.due(PROMISED, now)
    assert vote is not None
    assert vote.step == Decline(GRID, MARK)
    read = made.due(PROMISED, now)
    assert read is not None
    assert read.step is None
    assert made.due(PROMISED, now) is None


def test_nothing_is_asked_about_what_is_cleared() -> None:
    made = auditing()
    made.lapsed(GRID, NOW, over=True)
    made.forget(GRID)
    assert made.next_deadline([]) is None
    made.forget(GRID)
