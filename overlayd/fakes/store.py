"""A store in memory, with the failures a disk has.

Like a disk, it outlives `close`: open it again to play a restarted process.
"""

from collections.abc import Sequence

from overlayd.ports.store import Put, StoreBusy, StoreError, StoreFull, Tables


class FakeDisk:
    """What the processes that use one state directory share."""

    def __init__(self, limit_bytes: int = 1 << 30) -> None:
        self.tables: Tables = {}
        self.limit_bytes = limit_bytes
        self.reserve_bytes = limit_bytes // 8
        self.owner: FakeStore | None = None

    def used_bytes(self) -> int:
        """Keys and values."""
        return sum(
            len(key) + len(value) for rows in self.tables.values() for key, value in rows.items()
        )


class FakeStore:
    """The Store on a FakeDisk. Set `fail_next` to an error, and the next write fails with it."""

    def __init__(self, disk: FakeDisk | None = None) -> None:
        self.disk = disk or FakeDisk()
        self.fail_next: StoreError | None = None
        self.writes = 0

    async def open(self) -> None:
        """Owns the disk. Raises StoreBusy."""
        if self.disk.owner is not None:
            raise StoreBusy("this disk belongs to another store")
        self.disk.owner = self

    async def load(self) -> Tables:
        """A copy of everything."""
        self._require_open()
        return {table: dict(rows) for table, rows in self.disk.tables.items()}

    async def write(self, puts: Sequence[Put], *, must: bool = False) -> None:
        """Writes all of it or nothing. Raises StoreFull or StoreError."""
        self._require_open()
        failure, self.fail_next = self.fail_next, None
        if failure is not None:
            raise failure
        before = await self.load()
        for put in puts:
            rows = self.disk.tables.setdefault(put.table, {})
            if put.value is None:
                rows.pop(put.key, None)
            else:
                rows[put.key] = put.value
        self.disk.tables = {table: rows for table, rows in self.disk.tables.items() if rows}
        most = self.disk.limit_bytes - (0 if must else self.disk.reserve_bytes)
        if self.disk.used_bytes() > max(most, 0):
            self.disk.tables = before
            raise StoreFull(f"no room: at most {self.disk.limit_bytes} bytes; make room, try again")
        self.writes += 1

    async def short(self) -> str:
        """Whether the reserve is used."""
        used = self.disk.used_bytes() > self.disk.limit_bytes - self.disk.reserve_bytes
        return "the disk is full" if used else ""

    async def close(self) -> None:
        """Gives the disk up."""
        if self.disk.owner is self:
            self.disk.owner = None

    def _require_open(self) -> None:
        if self.disk.owner is not self:
            raise StoreError("this store is not open")
