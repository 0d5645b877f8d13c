"""What follows from each step by arithmetic: each applies once, and only where it can."""

from random import Random

import msgspec
import pytest

from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    LeaseChange,
    Register,
    extension_id,
    grid_id,
)
from protocol.grid.steps import (
    Commit,
    Decline,
    End,
    Extend,
    Finish,
    Lapse,
    Remove,
    Step,
    Vote,
    apply,
)
from protocol.sim.keys import SimFederation
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import ATTEMPT_MOST, CHANGES_MOST
from protocol.trust.order import MAX_VALID_S, Action
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1000)
ADMIN = Admin(FED, "ams", Random(1), lambda: (PeerId("s"),))
UP = ADMIN.up(grid_spec("shop"), NOW)
PLACED = (Assignment("web-1", PeerId("a")), Assignment("web-2", PeerId("b")))


def record(attempt: int = 0) -> GridRecord:
    return GridRecord(
        grid_id(UP, attempt), "shop", ADMIN.signer.key, "ams", 1, GridState.UP, UP,
        (PeerId("s"),), (), PLACED, (),
    )  # fmt: skip


GRID = record().id
MADE = Register(record())
DOWN = ADMIN.order(Action.DOWN, GRID, NOW + 1)
LONGER = ADMIN.order(Action.LEASE, GRID, NOW + 1, body=encode(LeaseChange(60)))
GONE = ADMIN.order(Action.TERMINATE, GRID, NOW + 1, workspace="web-1")


def after(step: Step, register: Register = MADE, now_s: float = NOW) -> Register:
    return apply(step, register, now_s)


def made(register: Register) -> GridRecord:
    assert register.record is not None
    return register.record


def test_one_attempt_becomes_the_grid_and_no_other() -> None:
    assert after(Commit(record(2)), Register(None, 2)) == Register(record(2), 2)
    assert after(Commit(record(3))) == MADE
    assert after(Commit(record(1)), Register(None, 2)) == Register(None, 2), "it was voted down"
    last = after(Vote(ATTEMPT_MOST), Register())
    assert after(Commit(record(ATTEMPT_MOST)), last) == last, "after all were, none does"


def test_votes_raise_one_number_and_never_lower_it() -> None:
    register = Register(None, 4, (), UP)
    assert after(Vote(7), register).first == 7
    assert after(Vote(3), register) == register
    assert after(Vote(7)) == MADE, "what was decided stays"
    assert [Register(None, 2).is_void(grid_id(UP, n)) for n in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not MADE.is_void(GRID)
    assert Register(record(5), 7).is_void(grid_id(UP, 6))
    assert not Register(None, 9).is_void(GridId("what.ever"))


def test_it_ends_once_by_its_time_and_once_by_an_order() -> None:
    lapsed = after(Lapse(GRID))
    assert (made(lapsed).state, made(lapsed).epoch, made(lapsed).changes) == (GridState.DOWN, 2, ())
    assert after(Lapse(GRID), lapsed) == lapsed
    ended = after(End(GRID, DOWN), lapsed)
    assert (made(ended).epoch, made(ended).changes) == (3, (DOWN,))
    assert after(End(GRID, DOWN), ended) == ended
    assert after(End(grid_id(UP, 1), DOWN)) == MADE, "another attempt's"


def test_the_end_of_what_is_undecided_is_the_end_of_all_attempts() -> None:
    ended = after(End(GRID, DOWN, undecided=True), Register())
    assert all(ended.is_void(grid_id(UP, attempt)) for attempt in (0, 1, 9, ATTEMPT_MOST - 1))
    assert made(after(End(GRID, DOWN, undecided=True))).state is GridState.DOWN


def test_a_lease_is_changed_once_unless_that_was_declined() -> None:
    longer = after(Extend(GRID, LONGER))
    assert (made(longer).extra_s, made(longer).epoch) == (60, 2)
    chained = msgspec.structs.replace(LONGER, chain=())
    for again in (LONGER, chained):
        assert after(Extend(GRID, again), longer) == longer
    declined = after(Decline(GRID, extension_id(LONGER)))
    assert after(Extend(GRID, LONGER), declined) == declined
    assert after(Decline(GRID, extension_id(LONGER)), longer) == longer, "it is decided"
    much = Register(msgspec.structs.replace(record(), changes=(GONE,) * CHANGES_MOST))
    assert after(Extend(GRID, LONGER), much) == much


def test_what_was_declined_is_remembered_until_no_fresh_order_can_ask_for_it() -> None:
    first = after(Decline(GRID, GridId("one")))
    both = after(Decline(GRID, GridId("two")), first, NOW + 1)
    assert both.is_declined(GridId("one"))
    later = after(Decline(GRID, GridId("three")), both, NOW + 2 * MAX_VALID_S + 0.5)
    assert not later.is_declined(GridId("one"))
    assert later.is_declined(GridId("two"))


def test_one_workspace_is_taken_out() -> None:
    less = after(Remove(GRID, "web-1", GONE))
    assert made(less).assignments == PLACED[1:]
    assert made(less).changes == (GONE,)
    assert after(Remove(GRID, "web-1", GONE), less) == less


@pytest.mark.parametrize("register", [Register(), MADE])
def test_a_look_changes_nothing(register: Register) -> None:
    assert after(Finish(), register) == register
