"""Notices put together: the newest of each host counts, for as long as the host stands for it."""

from protocol.contract.notices import Notice, Notices
from protocol.grid.record import GridState
from protocol.terms.ids import GridId, KeyId, PeerId

A, B = PeerId("a"), PeerId("b")
ME, YOU = KeyId("me"), KeyId("you")


def notice(grid: str, epoch: int, state: GridState = GridState.UP, owner: KeyId = ME) -> Notice:
    return Notice(
        grid=GridId(grid),
        name="shop",
        owner=owner,
        owner_site="s1",
        epoch=epoch,
        state=state,
        stewards=(),
        placed=(),
        addresses=(),
        mine=(),
        made_s=0.0,
        lease_s=60,
    )


def test_the_newest_word_counts() -> None:
    notices = Notices()
    notices.put(A, notice("g", 2, GridState.DOWN), 1.0)
    notices.put(B, notice("g", 1), 2.0)
    newest = notices.newest(GridId("g"))
    assert newest is not None
    assert newest.state is GridState.DOWN


def test_a_name_means_the_grid_that_is_up() -> None:
    notices = Notices()
    notices.put(A, notice("old", 5, GridState.DOWN), 1.0)
    notices.put(A, notice("new", 3), 2.0)
    notices.put(B, notice("theirs", 9, owner=YOU), 2.0)
    found = notices.named("shop", ME)
    assert found is not None
    assert found.grid == "new"
    by_id = notices.named("old")
    assert by_id is not None
    assert by_id.grid == "old"
    assert notices.named("shop", KeyId("nobody")) is None


def test_nobody_stands_for_it_any_more() -> None:
    notices = Notices()
    notices.put(A, notice("g", 1), 1.0)
    notices.drop(B, GridId("g"))
    assert notices.grids() == ["g"]
    notices.drop(A, GridId("g"))
    assert notices.grids() == []
    assert notices.newest(GridId("g")) is None
