"""Receipts and counts of usage in SQLite: one file, one thread, one write for what belongs together.

It is apart from the peer's store, which is read whole at each start: receipts are many, and nobody needs them
to live. A file that cannot be used is put aside, and counting begins anew.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from overlayd.ports.usage import UsageFault
from overlayd.telemetry.logs import logger
from protocol.policy.receipts import Count, Counts, SignedReceipt
from protocol.terms.ids import GridId
from protocol.wire.codec import Malformed, decode, encode

T = TypeVar("T")

RECEIPTS_MOST = 200_000
"""About 120 MiB: 80 leases, every hour, for a hundred days."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
create table if not exists counts (grid text primary key, value blob not null) without rowid;
create table if not exists receipts (
    n integer primary key, until_s integer not null, payload blob not null, signature blob not null
);
create index if not exists receipts_until on receipts (until_s);
"""


class SqliteUsage:
    """The UsageStore port in `directory`/usage.sqlite, mode 0600. The directory must exist."""

    def __init__(self, directory: Path, receipts_most: int = RECEIPTS_MOST) -> None:
        self._path, self._receipts_most = directory / "usage.sqlite", receipts_most
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="usage")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> Counts:
        """Makes the file if it is not there."""
        return await self._run(self._open)

    async def write(self, receipts: Sequence[tuple[int, SignedReceipt]], counts: Counts) -> None:
        """One transaction, synced."""
        await self._run(lambda: self._write(receipts, counts))

    async def since(self, since_s: float) -> list[SignedReceipt]:
        """By the index."""
        return await self._run(lambda: self._since(since_s))

    async def close(self) -> None:
        """What was begun is written. It is no error to close twice."""
        if self._db is not None:
            await self._run(self._db.close)
            self._db = None
        await asyncio.to_thread(self._thread.shutdown)

    # -- in the thread

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (OSError, sqlite3.Error) as error:
            raise UsageFault(f"{self._path}: {error}") from error

    def _open(self) -> Counts:
        try:
            return self._opened()
        except (sqlite3.DatabaseError, Malformed) as error:
            if getattr(error, "sqlite_errorcode", _DAMAGED[0]) not in _DAMAGED:
                raise
            aside = self._path.with_suffix(".damaged")
            logger().error("usage.set-aside", why=str(error), kept=str(aside))
            if self._db is not None:
                self._db.close()
            self._path.replace(aside)
            for left in ("-wal", "-shm"):
                self._path.with_name(f"{self._path.name}{left}").unlink(missing_ok=True)
            return self._opened()

    def _opened(self) -> Counts:
        self._path.touch(mode=0o600)
        self._db = sqlite3.connect(self._path, check_same_thread=False)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(_SCHEMA)
        rows = self._db.execute("select grid, value from counts order by grid")
        return {GridId(grid): decode(value, Count) for grid, value in rows}

    def _write(self, receipts: Sequence[tuple[int, SignedReceipt]], counts: Counts) -> None:
        db = self._opened_db()
        with db:
            db.executemany(
                "insert into receipts (until_s, payload, signature) values (?, ?, ?)",
                [(until_s, each.payload, each.signature) for until_s, each in receipts],
            )
            db.execute(
                "delete from receipts where n <= (select max(n) from receipts) - ?",
                (self._receipts_most,),
            )
            db.execute("delete from counts")
            db.executemany(
                "insert into counts values (?, ?)",
                [(grid, encode(count)) for grid, count in counts.items()],
            )

    def _since(self, since_s: float) -> list[SignedReceipt]:
        rows = self._opened_db().execute(
            "select payload, signature from receipts where until_s > ? order by n", (since_s,)
        )
        return [SignedReceipt(payload, signature) for payload, signature in rows]

    def _opened_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("it is not open")
        return self._db
