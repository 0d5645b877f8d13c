"""What follows from what the stewards have under a name, for each reason to look and for a commit."""

from itertools import product

import msgspec
import pytest
from deciding import decided
from negotiating import ADMIN, NOW, RIVAL, A, B, record_of, shop

from protocol.grid.differences import differences
from protocol.grid.record import GridRecord, GridState, Register, grid_id
from protocol.requesting.looking import (
    ANOTHER_NAME,
    FOLLOWS,
    Found,
    concluded,
    kept_for,
    unanswered,
)
from protocol.requesting.steps import (
    Begin,
    Conclusion,
    Fail,
    Follow,
    Look,
    Reason,
    TryLater,
    Unchanged,
)
from protocol.trust.order import Action

ORDER = ADMIN.up(shop(), NOW)
GRID = grid_id(ORDER)
PLACED = {"web-1": A, "web-2": B}
OURS = record_of(ORDER, PLACED)
BEFORE = record_of(ORDER, PLACED, grid=grid_id(ORDER, 1, "another"))
OVER = record_of(ORDER, PLACED, grid=BEFORE.id, state=GridState.DOWN, epoch=2)
SAME = record_of(RIVAL.up(shop(), NOW), PLACED)
ANOTHER = record_of(RIVAL.up(shop(3, memory_mib=256), NOW), PLACED)
DOWN = record_of(RIVAL.up(shop(), NOW), PLACED, state=GridState.DOWN, epoch=2)
LINES = ("cannot make shop: why", "  would work: another")
EXISTS = Fail(
    (
        f"cannot make shop: a grid named shop exists already, id {SAME.id}",
        "  would work: take it down with `overlayctl down`, or choose another name",
    )
)
OTHERWISE = (
    "shop is up, and not as the file has it",
    "  clusters.web.count: 2 in the file, 3 up",
    "  clusters.web.memory: 128 MiB in the file, 256 MiB up",
    "  would work: `overlayctl up` again, which changes what is up once it is told of it",
)
DIFFERS = Fail(OTHERWISE, differences(shop(), shop(3, memory_mib=256)))


def conclude(
    record: GridRecord | None, look: Look | None = None, *, cancelled: bool = False
) -> Conclusion:
    decision = decided(record) if record is not None else None
    return concluded(decision, GRID, shop(), look, cancelled)


def test_all_cases_are_in_the_table() -> None:
    assert list(FOLLOWS) == list(product(Reason, Found))


@pytest.mark.parametrize("look", [None, *(Look(reason, LINES) for reason in Reason)])
def test_a_grid_of_this_order_is_followed_whatever_the_reason(look: Look | None) -> None:
    assert conclude(OURS, look) == Follow(OURS, decided(OURS), ours=True)
    assert conclude(BEFORE, look) == Follow(BEFORE, decided(BEFORE), ours=False)
    over = conclude(OVER, look)
    assert isinstance(over, Fail)
    assert over.lines[0].endswith("and makes no second one")


@pytest.mark.parametrize(
    ("look", "nothing", "same", "another", "unknown"),
    [
        (
            Look(Reason.NAME_IS_UP, LINES),
            *(TryLater(), Follow(SAME, decided(SAME), ours=False), DIFFERS, Fail(LINES)),
        ),
        (
            Look(Reason.GIVEN_BEFORE),
            Begin(),
            Follow(SAME, decided(SAME), ours=False),
            DIFFERS,
            Begin(),
        ),
        (Look(Reason.CANNOT_BEGIN, LINES), *[Fail(LINES)] * 4),
        (Look(Reason.IS_PLANNED, LINES), Begin(), Unchanged(SAME), DIFFERS, Fail(LINES)),
    ],
    ids=[str(reason) for reason in Reason],
)
def test_what_follows_depends_on_why_it_looks(
    look: Look, nothing: Conclusion, same: Conclusion, another: Conclusion, unknown: Conclusion
) -> None:
    assert conclude(None, look) == nothing
    assert conclude(DOWN, look) == nothing, "a grid that is down leaves its name free"
    assert conclude(SAME, look) == same
    assert conclude(ANOTHER, look) == another
    assert unanswered(look) == unknown


def test_a_grid_with_fewer_workspaces_than_the_file_needs_is_not_the_same() -> None:
    less = record_of(RIVAL.up(shop(), NOW), {"web-1": A})
    found = conclude(less, Look(Reason.IS_PLANNED))
    assert isinstance(found, Fail)
    assert found.lines[1] == (
        "  clusters.web.count: 2 in the file, 1 up; others were taken out, or never made"
    )


def test_a_grid_whose_order_cannot_be_read_is_only_said_to_exist() -> None:
    broken = msgspec.structs.replace(SAME, order=ADMIN.order(Action.DOWN, "shop", NOW))
    there = msgspec.structs.replace(decided(SAME), register=Register(broken))
    found = concluded(there, GRID, shop(), Look(Reason.IS_PLANNED), False)
    assert found == Fail(
        (f"cannot make shop: a grid named shop exists already, id {SAME.id}", ANOTHER_NAME)
    )


@pytest.mark.parametrize("record", [None, DOWN])
def test_a_commit_that_came_too_late_is_tried_again_unless_nobody_wants_it(
    record: GridRecord | None,
) -> None:
    assert conclude(record) == TryLater("the holds ran out before the stewards decided")
    assert conclude(record, cancelled=True) == Fail(("cancelled; nothing is held",))


def test_promises_are_kept_for_the_very_grid_alone() -> None:
    assert kept_for(Follow(OURS, decided(OURS), ours=True)) == OURS
    assert kept_for(Follow(BEFORE, decided(BEFORE), ours=False)) is None
    assert kept_for(TryLater()) is None
