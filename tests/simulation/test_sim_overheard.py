"""What liars know of what others said: the last of each type that is about grids."""

from random import Random

from protocol.broadcast.messages import Want
from protocol.contract.messages import DecidedAck, HoldRelease
from protocol.sim.overheard import Overheard
from protocol.terms.ids import GridId

GRID = GridId("x.0")


def test_the_last_of_each_type_is_known_and_nothing_else() -> None:
    overheard, dice = Overheard(), Random(1)
    assert overheard.any(dice) is None
    overheard.hear(Want(()))
    assert overheard.any(dice) is None, "liars have lies of their own about records"
    for epoch in range(100):
        overheard.hear(DecidedAck(GRID, epoch))
    overheard.hear(HoldRelease(GRID, ()))
    told = [overheard.one(DecidedAck, dice) for _ in range(50)]
    assert all(ack is not None and ack.epoch >= 76 for ack in told)
    assert {type(overheard.any(dice)) for _ in range(50)} == {DecidedAck, HoldRelease}
    assert overheard.one(Want, dice) is None
