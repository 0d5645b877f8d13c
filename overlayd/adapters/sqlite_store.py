"""The store on SQLite: one file, one table, one thread.

WAL with synchronous=FULL: a commit is in the log and synced before `write` returns, so what was
acknowledged survives a kill and a power cut (sqlite.org/pragma.html#pragma_synchronous). A lock file
beside it makes one process the owner. The lock ends with the process, however that ends.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from overlayd.adapters.reserve import Reserve
from overlayd.ports.store import Put, StoreBusy, StoreError, StoreFull, Tables

T = TypeVar("T")

SCHEMA_VERSION = 1
MAX_STORE_BYTES = 1 << 30
"""A peer's state is a few MiB. Above this a leak is an error, instead of a full disk."""

RESERVE_BYTES = 2 << 20
"""Room on the disk that is kept for what must be written. A change of one grid takes a few KiB."""

_PAGE_BYTES = 4096
_CHECKPOINT_PAGES = 128
"""The log is folded into the file once it has so many pages, so that it fits into the reserve."""
_APPLICATION_ID = 0x6F766C64  # "ovld"
_SCHEMA = """
create table entries (
    room text not null, key text not null, value blob not null, primary key (room, key)
) without rowid
"""
_PUT = "insert into entries values (?, ?, ?) on conflict do update set value = excluded.value"
_DELETE = "delete from entries where room = ? and key = ?"


ADVICE = (
    "`overlayd recover` says what can be read of it, moves it aside and makes a new one; guests go on "
    "meanwhile, and their grids' stewards are asked"
)
"""What helps with a store that cannot be used."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteStore:
    """The Store in `directory`/store.sqlite, mode 0600. The directory must exist."""

    def __init__(self, directory: Path, *, limit_bytes: int = MAX_STORE_BYTES) -> None:
        self._path = directory / "store.sqlite"
        self._lock_path = directory / "store.lock"
        self._limit_bytes = limit_bytes
        self._reserve = Reserve(directory / "store.reserve", RESERVE_BYTES)
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None
        self._lock: int | None = None

    async def open(self) -> None:
        """Owns the store, makes it if it is not there, and checks it. Raises StoreBusy or StoreError."""
        if self._thread is not None:
            raise StoreError(f"{self._path} is open already")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            await self._run(self._open)
        except BaseException:
            await self.close()
            raise

    async def load(self) -> Tables:
        """Everything: table, then key, then value."""
        return await self._run(self._load)

    async def write(self, puts: Sequence[Put], *, must: bool = False) -> None:
        """Writes all of it or nothing, and has it on the disk before it returns.

        Raises StoreFull or StoreError. A caller that is cancelled does not know whether it was written; it was,
        or will be. What `must` be written may take the reserve.
        """
        await self._run(lambda: self._write_or(puts, must))

    async def short(self) -> str:
        """Why only what must be is written; empty if there is room. Puts back what was taken of the reserve."""
        return await self._run(self._short)

    async def close(self) -> None:
        """Gives the store up. It is no error to close twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.get_running_loop().run_in_executor(thread, self._close)
        thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise StoreError(f"{self._path} is not open")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # What follows runs in the store's own thread.

    def _open(self) -> None:
        self._lock = own(self._lock_path)
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._path.chmod(0o600)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
            self._prepare(self._db)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be opened: {error.strerror}") from None
        except sqlite3.Error as error:
            raise self._said(error, "opened") from None

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("pragma locking_mode = exclusive")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("pragma trusted_schema = off")
        db.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        db.execute(f"pragma max_page_count = {max(1, self._limit_bytes // _PAGE_BYTES)}")
        problems = [row[0] for row in db.execute("pragma integrity_check(3)")]
        if problems != ["ok"]:
            raise StoreError(f"{self._path} is damaged ({'; '.join(problems)}); {ADVICE}")
        version = db.execute("pragma user_version").fetchone()[0]
        if version == 0:
            db.execute("begin immediate")
            db.execute(_SCHEMA)
            db.execute(f"pragma application_id = {_APPLICATION_ID}")
            db.execute(f"pragma user_version = {SCHEMA_VERSION}")
            db.execute("commit")
        elif version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has layout {version}, this overlayd knows {SCHEMA_VERSION}; "
                "start the overlayd that wrote it"
            )

    def _load(self) -> Tables:
        tables: Tables = {}
        try:
            for table, key, value in self._open_db().execute("select * from entries"):
                tables.setdefault(table, {})[key] = value
        except sqlite3.Error as error:
            raise self._said(error, "read") from None
        return tables

    def _short(self) -> str:
        self._reserve.make()
        free_bytes = self._free_bytes()
        if self._reserve.whole and free_bytes >= self._reserve.size_bytes:
            return ""
        return f"its disk is full: {free_bytes >> 10} KiB are left for {self._path.name}"

    def _write_or(self, puts: Sequence[Put], must: bool) -> None:
        """Writes. The reserve is given up for what must be written, and guarded from all else."""
        if must:
            try:
                self._write(puts)
            except StoreFull:
                if not self._reserve.give_up():
                    raise
                self._write(puts)
            return
        self._reserve.make()
        if not self._reserve.whole:
            raise self._full()
        self._write(puts)

    def _write(self, puts: Sequence[Put]) -> None:
        db = self._open_db()
        try:
            db.execute("begin immediate")
            for put in puts:
                if put.value is None:
                    db.execute(_DELETE, (put.table, put.key))
                else:
                    db.execute(_PUT, (put.table, put.key, put.value))
            db.execute("commit")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("rollback")
            raise self._said(error, "written") from None

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"{self._path} is not open")
        return self._db

    def _said(self, error: sqlite3.Error, verb: str) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return StoreError(f"{self._path} is damaged ({error}); {ADVICE}")
        if code != sqlite3.SQLITE_FULL:
            return StoreError(f"{self._path} cannot be {verb}: {error}")
        return self._full()

    def _full(self) -> StoreFull:
        return StoreFull(
            f"{self._path} has no room: {self._free_bytes()} bytes of disk are free, "
            f"{self._path.stat().st_size} of at most {self._limit_bytes} are used; "
            "make room and try again"
        )

    def _free_bytes(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize


def own(path: Path) -> int:
    """Locks a store by its lock file, and answers its descriptor; the file has our process id.

    Raises StoreBusy, which names the owner.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StoreBusy(
            f"{path.parent} belongs to a running process, pid {owner}; stop it, "
            "or give this one another state directory"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
