"""Notices for tests."""

from protocol.contract.notices import Notice, placement
from protocol.grid.record import GridState
from protocol.terms.ids import GridId, KeyId

ME = KeyId("me")


def notice(grid: str, epoch: int, state: GridState = GridState.UP, owner: KeyId = ME) -> Notice:
    return Notice(
        grid=GridId(grid),
        name="shop",
        owner=owner,
        owner_site="s1",
        epoch=epoch,
        state=state,
        stewards=(),
        placement=placement(()),
        addresses=(),
        mine=(),
        made_s=0.0,
        lease_s=60,
    )
