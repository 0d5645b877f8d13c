"""What can be read of a store, whatever became of it; and a new one in its place, whole or not at all."""

import os
import sqlite3
from pathlib import Path

import pytest

from overlayd.adapters import store_salvage
from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.adapters.store_salvage import Examined, examine, finish, replace
from overlayd.ports.store import Put, Tables

ROWS: Tables = {"news": {"a": b"1", "b": b"2"}, "self": {"incarnation": bytes(8)}}


async def written(state: Path, rows: Tables = ROWS) -> None:
    store = SqliteStore(state)
    await store.open()
    await store.write([Put(t, k, v) for t, each in rows.items() for k, v in each.items()])
    await store.close()


async def loaded(state: Path) -> Tables:
    store = SqliteStore(state)
    await store.open()
    rows = await store.load()
    await store.close()
    return rows


async def test_a_whole_store(tmp_path: Path) -> None:
    await written(tmp_path)
    assert examine(tmp_path) == Examined("", ROWS)
    assert examine(tmp_path).counts == {"news": 2, "self": 1}


async def test_one_that_is_not_there_or_empty(tmp_path: Path) -> None:
    assert examine(tmp_path) == Examined("it is not there", {})
    (tmp_path / "store.sqlite").touch()
    assert examine(tmp_path) == Examined("it is empty", {})
    (tmp_path / "store.sqlite").unlink()
    await written(tmp_path, {})
    assert examine(tmp_path) == Examined("it is empty", {})


async def test_what_is_only_in_the_log_is_read_too(tmp_path: Path) -> None:
    """The daemon was killed: its last writes are in the write-ahead log, and nowhere else."""
    await written(tmp_path)
    db = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    db.execute("pragma wal_autocheckpoint = 0")
    db.execute("insert into entries values ('news', 'c', x'33')")
    found = examine(tmp_path)
    db.close()
    assert found.rows["news"] == {"a": b"1", "b": b"2", "c": b"3"}


async def test_a_new_store_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    await written(tmp_path)
    (tmp_path / "store.sqlite-wal").write_bytes(b"of the old one")
    aside = await replace(tmp_path, {"news": {"z": b"9"}}, "now")
    assert aside == tmp_path / "store.sqlite.damaged-now"
    assert aside.exists()
    assert (tmp_path / "store.sqlite.damaged-now-wal").read_bytes() == b"of the old one"
    assert await loaded(tmp_path) == {"news": {"z": b"9"}}
    assert [path for path in os.listdir(tmp_path) if path.startswith("recover-")] == []
    assert (tmp_path / "store.sqlite").stat().st_mode & 0o777 == 0o600


async def test_one_is_made_where_none_was(tmp_path: Path) -> None:
    assert await replace(tmp_path, ROWS, "now") is None
    assert await loaded(tmp_path) == ROWS


@pytest.mark.parametrize("step", ["_move_aside", "finish"])
async def test_killed_at_a_step_the_old_one_or_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await written(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_salvage, step, killed)
        with pytest.raises(KeyboardInterrupt):
            await replace(tmp_path, {"news": {"z": b"9"}}, "now")
    assert finish(tmp_path) is (step == "finish")
    assert await loaded(tmp_path) == ({"news": {"z": b"9"}} if step == "finish" else ROWS)
    assert finish(tmp_path) is False
