"""What negotiation cannot do itself and asks the node to have done."""

import msgspec

from protocol.grid.record import Change
from protocol.terms.ids import GridId, PeerId


class Propose(msgspec.Struct, frozen=True):
    """Run this change on a register; the outcome comes back under `id`."""

    id: str
    key: str
    stewards: tuple[PeerId, ...]
    change: Change
    cause: str = ""


class NoticeDue(msgspec.Struct, frozen=True):
    """What this peer says about that grid changed."""

    grid: GridId


class RoomChanged(msgspec.Struct, frozen=True):
    """What is free on this host changed."""


Outcome = Propose | NoticeDue | RoomChanged
