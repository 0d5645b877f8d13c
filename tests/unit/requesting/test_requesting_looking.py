"""What follows from what the stewards have under a name, for each reason to look and for a commit."""

from itertools import product

import pytest
from negotiating import ADMIN, NOW, RIVAL, A, B, record_of, shop

from protocol.grid.record import GridRecord, GridState, grid_id
from protocol.requesting.looking import FOLLOWS, Found, concluded, kept_for, unanswered
from protocol.requesting.steps import Begin, Conclusion, Fail, Follow, Look, Reason, TryLater

ORDER = ADMIN.up(shop(), NOW)
GRID = grid_id(ORDER)
PLACED = {"web-1": A, "web-2": B}
OURS = record_of(ORDER, PLACED)
BEFORE = record_of(ORDER, PLACED, grid=grid_id(ORDER, 1, "another"))
OVER = record_of(ORDER, PLACED, grid=BEFORE.id, state=GridState.DOWN, epoch=2)
ANOTHER = record_of(RIVAL.up(shop(), NOW), PLACED)
DOWN = record_of(RIVAL.up(shop(), NOW), PLACED, state=GridState.DOWN, epoch=2)
LINES = ("cannot make shop: why", "  would work: another")
EXISTS = Fail(
    (
        f"cannot make shop: a grid named shop exists already, id {ANOTHER.id}",
        "  would work: take it down with `overlayctl down`, or choose another name",
    )
)


def conclude(
    record: GridRecord | None, look: Look | None = None, *, cancelled: bool = False
) -> Conclusion:
    return concluded(record, GRID, "shop", look, cancelled)


def test_all_cases_are_in_the_table() -> None:
    assert list(FOLLOWS) == list(product(Reason, Found))


@pytest.mark.parametrize("look", [None, *(Look(reason, LINES) for reason in Reason)])
def test_a_grid_of_this_order_is_followed_whatever_the_reason(look: Look | None) -> None:
    assert conclude(OURS, look) == Follow(OURS, ours=True)
    assert conclude(BEFORE, look) == Follow(BEFORE, ours=False)
    over = conclude(OVER, look)
    assert isinstance(over, Fail)
    assert over.lines[0].endswith("and makes no second one")


@pytest.mark.parametrize(
    ("look", "nothing", "another", "unknown"),
    [
        (Look(Reason.NAME_IS_UP, LINES), TryLater(), Fail(LINES), Fail(LINES)),
        (Look(Reason.GIVEN_BEFORE), Begin(), EXISTS, Begin()),
        (Look(Reason.CANNOT_BEGIN, LINES), Fail(LINES), Fail(LINES), Fail(LINES)),
    ],
    ids=[str(reason) for reason in Reason],
)
def test_what_follows_depends_on_why_it_looks(
    look: Look, nothing: Conclusion, another: Conclusion, unknown: Conclusion
) -> None:
    assert conclude(None, look) == nothing
    assert conclude(DOWN, look) == nothing, "a grid that is down leaves its name free"
    assert conclude(ANOTHER, look) == another
    assert unanswered(look, "shop") == unknown


@pytest.mark.parametrize("record", [None, DOWN])
def test_a_commit_that_came_too_late_is_tried_again_unless_nobody_wants_it(
    record: GridRecord | None,
) -> None:
    assert conclude(record) == TryLater("the holds ran out before the stewards decided")
    assert conclude(record, cancelled=True) == Fail(("cancelled; nothing is held",))


def test_a_commit_that_another_grid_was_faster_than() -> None:
    assert conclude(ANOTHER) == EXISTS
    assert conclude(ANOTHER, cancelled=True) == EXISTS


def test_promises_are_kept_for_the_very_grid_alone() -> None:
    assert kept_for(Follow(OURS, ours=True)) == OURS
    assert kept_for(Follow(BEFORE, ours=False)) is None
    assert kept_for(TryLater()) is None
