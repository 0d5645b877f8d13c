"""How long a steward keeps a register, and who its stewards are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stewards_world import HEIRS, NOW, ORDER, SEATED, STEWARDS, STORES, opens

from protocol.grid.decision import Ballot
from protocol.grid.record import GridRecord, GridState, Register, grid_id
from protocol.grid.seal import Seal, Seats
from protocol.register.slot import Kept, Slot, is_over, may_be_forgotten

DAY_S = 86_400.0
FIRST, SECOND, _ = STEWARDS
LATER = Seal((FIRST, SECOND, HEIRS[0]), Ballot(3, FIRST), "", (), (*STORES[:2], STORES[3]))
SLOT = Slot(Ballot(0, FIRST))


def kept(state: GridState | None, extra_s: int = 0, start_s: float = 0.0) -> Kept:
    record = None
    if state is not None:
        record = GridRecord(
            grid_id(ORDER), "shop", opens(ORDER).owner, "s1", 1, state, ORDER, STEWARDS, (), (), (),
            start_s, extra_s,
        )  # fmt: skip
    return Kept(SLOT, Register(record), opens(ORDER), ORDER)


@given(
    state=st.sampled_from([None, GridState.UP, GridState.DOWN]),
    extra_s=st.integers(-(10**8), 10**8),
    start_s=st.floats(0, NOW + 1e8),
    later_s=st.floats(0, 1e9),
    retired=st.booleans(),
)
def test_nothing_is_forgotten_that_its_order_could_open_again(
    state: GridState | None, extra_s: int, start_s: float, later_s: float, retired: bool
) -> None:
    one, now = kept(state, extra_s, start_s), NOW + later_s
    if is_over(one, now, retired=retired):
        assert may_be_forgotten(one.opened, now)


@pytest.mark.parametrize(
    ("state", "days", "retired", "over"),
    [
        (None, 31, False, False),
        (None, 33, False, True),
        (GridState.DOWN, 31, False, False),
        (GridState.DOWN, 33, False, True),
        (GridState.UP, 10_000, False, False),
        (GridState.UP, 390, True, False),
        (GridState.UP, 400, True, True),
    ],
)
def test_a_month_after_nothing_can_come_of_it(
    state: GridState | None, days: int, retired: bool, over: bool
) -> None:
    assert is_over(kept(state), NOW + days * DAY_S, retired=retired) is over


def test_an_heir_that_was_told_nothing_yet_waits() -> None:
    heir = msgspec.structs.replace(kept(None), slot=msgspec.structs.replace(SLOT, seals=(LATER,)))
    assert not is_over(heir, NOW + 10_000 * DAY_S, retired=False)
    assert is_over(heir, NOW + 400 * DAY_S, retired=True)


def test_its_stewards_and_their_stores_at_each_term() -> None:
    slot = msgspec.structs.replace(SLOT, seals=(LATER,))
    one = Kept(slot, Register(), opens(SEATED), SEATED)
    assert one.term == 1
    assert one.at(0) == one.opened.seats == Seats(STEWARDS, STORES[:3])
    assert one.at(1) == one.seats == Seats((FIRST, SECOND, HEIRS[0]), LATER.stores)
    assert one.stewards == (FIRST, SECOND, HEIRS[0])
