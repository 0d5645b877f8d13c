"""A store that cannot be used: what is wrong with it, what can still be read, and a new one in its place.

The damaged file is only read, as a copy, and moved aside; nothing of it is deleted. Rows are read from both
ends of the table, each time as far as SQLite gets. A row counts if its value can still be decoded: half a page
of somebody else's bytes is worse than no row, since what is missing the stewards know.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.sqlite_store import SCHEMA_VERSION, SqliteStore
from overlayd.ports.store import Put, Tables
from protocol.node.kept import is_whole

STORE = "store.sqlite"
_NEW = "store.sqlite.new"
_BESIDE = ("-wal", "-shm")


class Examined(msgspec.Struct, frozen=True):
    """What became of a store."""

    problem: str
    """What is wrong, for people; empty if the store is whole."""
    rows: Tables
    """What can be read of it."""
    unreadable: int = 0
    """Rows that are there and make no sense any more."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each table can be read."""
        return {table: len(rows) for table, rows in sorted(self.rows.items())}


def examine(state: Path) -> Examined:
    """Looks at the store of a state directory, and changes nothing."""
    if not (state / STORE).exists():
        return Examined("it is not there", {})
    with tempfile.TemporaryDirectory(prefix="overlayd-recover-") as folder:
        copy = Path(folder) / STORE
        for suffix in ("", "-wal"):
            source = state / f"{STORE}{suffix}"
            if source.exists():
                shutil.copyfile(source, f"{copy}{suffix}")
        try:
            return _read(copy)
        except sqlite3.Error as error:
            return Examined(str(error), {})


async def replace(state: Path, rows: Tables, stamp: str) -> Path | None:
    """Puts a new store with `rows` in the place of the old one, which is moved aside.

    Answers where the old one is; None if there was none. Killed between any two steps, the next call does the
    rest.
    """
    new, old = state / _NEW, state / STORE
    with tempfile.TemporaryDirectory(prefix="recover-", dir=state) as folder:
        store = SqliteStore(Path(folder))
        await store.open()
        await store.write([Put(t, k, v) for t, each in rows.items() for k, v in each.items()])
        await store.close()
        (Path(folder) / STORE).replace(new)
    aside = _move_aside(old, stamp) if old.exists() else None
    finish(state)
    return aside


def finish(state: Path) -> bool:
    """Puts a store that was made in its place, if a kill came before that. True if there was one."""
    new, old = state / _NEW, state / STORE
    if not new.exists() or old.exists():
        return False
    for suffix in _BESIDE:
        Path(f"{old}{suffix}").unlink(missing_ok=True)
    new.replace(old)
    flush(state)
    return True


def _move_aside(old: Path, stamp: str) -> Path:
    """The log goes first: without it the file is only older, and beside a new file it would be wrong."""
    aside = old.with_name(f"{old.name}.damaged-{stamp}")
    for suffix in (*_BESIDE, ""):
        source = Path(f"{old}{suffix}")
        if source.exists():
            source.replace(f"{aside}{suffix}")
    return aside


def _read(path: Path) -> Examined:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        problems = _problems(db)
        found: dict[tuple[str, str], bytes] = {}
        for order in ("asc", "desc"):
            found |= dict(_rows(db, order))
    finally:
        db.close()
    rows: Tables = {}
    unreadable = 0
    for (table, key), value in sorted(found.items()):
        if is_whole(table, value):
            rows.setdefault(table, {})[key] = value
        else:
            unreadable += 1
    if unreadable and not problems:
        problems = f"{unreadable} rows make no sense"
    if not rows and not problems:
        problems = "it is empty"
    return Examined(problems, rows, unreadable)


def _problems(db: sqlite3.Connection) -> str:
    """What SQLite finds wrong; empty if nothing is."""
    try:
        said = [str(row[0]) for row in db.execute("pragma integrity_check(3)")]
        version = db.execute("pragma user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    if said != ["ok"]:
        return "; ".join(" ".join(line.split()) for line in said)
    if version not in (0, SCHEMA_VERSION):
        return f"it has layout {version}, this overlayd knows {SCHEMA_VERSION}"
    return ""


def _rows(db: sqlite3.Connection, order: str) -> Iterator[tuple[tuple[str, str], bytes]]:
    """Rows in that order, up to the first that cannot be read."""
    try:
        asked = f"select room, key, value from entries order by room {order}, key {order}"  # noqa: S608
        for table, key, value in db.execute(asked):
            if isinstance(table, str) and isinstance(key, str) and isinstance(value, bytes):
                yield (table, key), value
    except sqlite3.DatabaseError:
        return
