"""Memory that machines here are to have no more, and that their guests have not given back yet.

A guest gives memory back when it can, and keeps what it uses; one that is started anew has its old memory until
it has shut down. So what a workspace is smaller by stays booked until the shell sees that its machine has less.
It is on disk with the lease, and the shell tells what machines have for as long as they are asked for it.
"""

import msgspec

from protocol.contract.outcomes import Answer, RoomChanged
from protocol.hosting.events import MemorySeen
from protocol.hosting.leases import Leases


class GivingBack:
    """Hears what machines of one host have."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def seen(self, event: MemorySeen) -> Answer:
        """The shell saw how much memory a machine has, when it knew the grid as of that epoch."""
        row = self._leases.row(event.grid)
        if row is None or row.record.epoch != event.epoch:
            return [], []
        left = dict(row.giving_back)
        had_bytes = left.get(event.workspace, 0)
        if event.memory_bytes >= had_bytes:
            return [], []
        member = self._leases.ordered(row).members.get(event.workspace)
        if member is not None and event.memory_bytes > member.memory_bytes:
            left[event.workspace] = event.memory_bytes
        else:
            del left[event.workspace]
        row = msgspec.structs.replace(row, giving_back=tuple(left.items()))
        return [self._leases.put(row, books=True)], [RoomChanged()]
