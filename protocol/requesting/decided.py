"""The records that this peer was shown last as decided: what a face shows of a grid before it is changed.

They are kept for who asks next, not for deciding anything: a change reads what is decided again.
"""

from protocol.grid.record import GridRecord
from protocol.terms.ids import GridId
from protocol.terms.limits import RECORDS_REMEMBERED


class DecidedRecords:
    """The newest record of each of some grids."""

    def __init__(self) -> None:
        self._records: dict[GridId, GridRecord] = {}
        """Shown last come last."""

    def shown(self, record: GridRecord) -> None:
        """That was decided. Of one grid the newest epoch is kept."""
        old = self._records.pop(record.id, record)
        self._records[record.id] = max(old, record, key=lambda each: each.epoch)
        if len(self._records) > RECORDS_REMEMBERED:
            del self._records[next(iter(self._records))]

    def get(self, grid: GridId) -> GridRecord | None:
        """The newest that was shown; None if none was, or not lately."""
        return self._records.get(grid)
