"""What a host whose own certificate was revoked makes of its part of a grid, if its guests are to be stopped.

Its tunnels are gone in any case (`Part.out`). Nothing is deleted: it may be enrolled again, or its disks read.
"""

from collections.abc import Callable

import msgspec

from protocol.grid.lifecycle import Power
from protocol.hosting.part import Part, PartOf
from protocol.terms.ids import GridId


def stopping(
    part_of: Callable[[GridId], Part | None], revoked: Callable[[], bool]
) -> Callable[[GridId], Part | None]:
    """The same parts, but while `revoked` nothing in them runs."""

    def stopped(grid: GridId) -> Part | None:
        part = part_of(grid)
        if part is None or not revoked():
            return part
        return msgspec.structs.replace(part, mine=tuple(_off(mine) for mine in part.mine))

    return stopped


def _off(mine: PartOf) -> PartOf:
    if mine.wanted.power not in (Power.RUNNING, Power.PAUSED):
        return mine
    wanted = msgspec.structs.replace(mine.wanted, power=Power.OFF)
    return msgspec.structs.replace(mine, wanted=wanted)
