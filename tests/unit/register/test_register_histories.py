"""Histories of registers are linearizable, whatever is lost, comes twice or restarts; the checker can tell."""

import pytest
from histories import recorded
from hypothesis import given, settings
from hypothesis import strategies as st
from linearizable import Operation, order_of
from stewards_world import ADMIN, ASKER, NOW, ORDER, STEWARDS, Net

from protocol.grid.record import GridRecord, GridState, LeaseChange, extension_id, grid_id
from protocol.grid.steps import Commit, Decline, End, Extend, Lapse, Step, Vote
from protocol.terms.ids import PeerId
from protocol.trust.order import Action
from protocol.wire.codec import encode

OTHER = PeerId("b" * 64)
READ = 0
"""A call of a plain register that only reads; any other number is written."""


def written(value: int, call: int) -> int:
    return call or value


def op(call: int, began: int, ended: int | None, answer: int | None = None) -> Operation[int, int]:
    return Operation(call, began, ended, answer if call == READ else call)


def is_explained(*history: Operation[int, int]) -> bool:
    return order_of(history, 0, written) is not None


def test_one_after_the_other_is_explained_only_by_that_order() -> None:
    assert is_explained(op(1, 1, 2), op(READ, 3, 4, 1), op(2, 5, 6), op(READ, 7, 8, 2))
    assert not is_explained(op(1, 1, 2), op(2, 3, 4), op(READ, 5, 6, 1)), "a stale read"
    assert not is_explained(op(READ, 1, 2, 1), op(1, 3, 4)), "read before it was written"


def test_what_overlaps_may_go_either_way_but_not_both() -> None:
    both = (op(1, 1, 9), op(2, 2, 8))
    assert is_explained(*both, op(READ, 10, 11, 1))
    assert is_explained(*both, op(READ, 10, 11, 2))
    assert not is_explained(*both, op(READ, 10, 11, 1), op(READ, 12, 13, 2))


def test_what_never_ended_may_have_happened_late_or_not_at_all() -> None:
    lost = op(1, 1, None)
    assert is_explained(lost, op(READ, 2, 3, 0), op(READ, 4, 5, 1))
    assert is_explained(lost, op(READ, 2, 3, 0), op(READ, 4, 5, 0))
    assert not is_explained(lost, op(READ, 2, 3, 1), op(READ, 4, 5, 0))


def test_many_at_once_take_no_exponential_time() -> None:
    many = [op(READ, 1, 99, at % 2) for at in range(40)]
    lost = [op(1, 1, None) for _ in range(20)]
    assert is_explained(*many, *lost, op(READ, 100, 101, 1))
    assert not is_explained(*many, *lost, op(READ, 100, 101, 0))


# -- registers


def _record(attempt: int) -> GridRecord:
    return GridRecord(
        id=grid_id(ORDER, attempt),
        name="shop",
        owner=ADMIN.signer.key,
        owner_site="s1",
        epoch=1,
        state=GridState.UP,
        order=ORDER,
        stewards=STEWARDS,
        hosts=(),
        assignments=(),
        vnis=(),
    )


def _steps() -> list[Step | None]:
    steps: list[Step | None] = [None, None]
    for attempt in range(2):
        grid = grid_id(ORDER, attempt)
        lease = ADMIN.order(Action.LEASE, grid, NOW, body=encode(LeaseChange(60 + attempt)))
        down = ADMIN.order(Action.DOWN, grid, NOW)
        steps += [Commit(_record(attempt)), Vote(attempt + 1), Extend(grid, lease)]
        steps += [Decline(grid, extension_id(lease)), End(grid, down), Lapse(grid)]
    return steps


STEPS = _steps()
"""Steps whose order can be told from what they leave; None looks."""
SCHEDULE = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 60)), min_size=60, max_size=150)


@settings(max_examples=100, deadline=None)
@given(SCHEDULE)
def test_whatever_is_lost_comes_twice_or_restarts_there_is_one_order(
    schedule: list[tuple[int, int]],
) -> None:
    with recorded() as histories:
        net, asked = Net((ASKER, OTHER)), 0
        net.askings[OTHER]._alive = lambda peer: peer != STEWARDS[0]
        for kind, index in schedule:
            if kind <= 5 and net.waiting:
                net.deliver(index, keep=kind == 5)
            elif kind == 6 and net.waiting:
                del net.waiting[index % len(net.waiting)]
            elif kind == 7:
                net.stewards[STEWARDS[index % 3]].start()
            elif kind == 8:
                net.pass_time(0.1 * (1 + index))
            elif asked < 20:
                asked += 1
                net.ask(str(asked), STEPS[index % len(STEPS)], (ASKER, OTHER)[index % 2])
        net.ask("last", None)
        net.until("last")
        histories.check()


def test_a_history_that_has_no_order_is_found() -> None:
    """A steward forgets what it accepted, and so does another: what was told is not so any more."""
    with recorded() as histories:
        net = Net()
        net.ask("one", Vote(3))
        net.until("one")
        for steward in net.stewards.values():
            steward.rows.clear()
            steward.start()
        net.ask("two", Vote(1))
        net.until("two")
        with pytest.raises(AssertionError, match="no order explains"):
            histories.check()
