"""The store's contract, in memory and on SQLite; then what only a disk can do to it."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.fakes.store import FakeDisk, FakeStore
from overlayd.ports.store import Put, Store, StoreBusy, StoreError, StoreFull

LIMIT_BYTES = 256 * 1024


class Disk:
    """Makes stores on one state directory, and closes them."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.directory = directory
        self._fake = FakeDisk(LIMIT_BYTES)
        self._made: list[Store] = []

    def store(self) -> Store:
        made: Store
        if self.kind == "fake":
            made = FakeStore(self._fake)
        else:
            made = SqliteStore(self.directory, limit_bytes=LIMIT_BYTES)
        self._made.append(made)
        return made

    async def opened(self) -> Store:
        store = self.store()
        await store.open()
        return store

    async def fill(self) -> None:
        """Others write until nothing is left on the disk but the reserve."""
        if self.kind == "fake":
            used = self._fake.used_bytes()
            self._fake.limit_bytes, self._fake.reserve_bytes = used + 8192, 8192
            return
        fill(self.directory)

    async def free(self) -> None:
        if self.kind == "fake":
            self._fake.limit_bytes = LIMIT_BYTES
        else:
            (self.directory / "filler").unlink()

    async def close(self) -> None:
        for store in self._made:
            await store.close()


def fill(directory: Path) -> None:
    """Fills a disk to the last byte, with ever smaller pieces."""
    with (directory / "filler").open("ab", buffering=0) as filler:
        size = 1 << 20
        while size:
            try:
                filler.write(b"x" * size)
            except OSError:
                size //= 2


@contextmanager
def small(directory: Path, size: str) -> Iterator[None]:
    """A disk of its own for that directory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.fixture(params=["fake", "sqlite"])
async def disk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Disk]:
    with small(tmp_path, "8m"):
        made = Disk(request.param, tmp_path)
        yield made
        await made.close()


async def test_what_was_written_is_there_after_a_restart(disk: Disk) -> None:
    store = await disk.opened()
    assert await store.load() == {}
    await store.write(
        [Put("holds", "h1", b"\x00\xff"), Put("grids", "g", b""), Put("x", "x", b"1")]
    )
    await store.write([Put("holds", "h1", b"new"), Put("holds", "h2", b"2"), Put("x", "x", None)])
    await store.write([])
    await store.close()
    await store.close()
    again = await disk.opened()
    assert await again.load() == {"holds": {"h1": b"new", "h2": b"2"}, "grids": {"g": b""}}


async def test_deleting_what_is_not_there_is_a_success(disk: Disk) -> None:
    store = await disk.opened()
    await store.write([Put("t", "k", None)])
    assert await store.load() == {}


async def test_what_must_be_written_has_room_when_nothing_else_has(disk: Disk) -> None:
    store = await disk.opened()
    await store.write([Put("t", "k", b"v")])
    assert await store.short() == ""
    await disk.fill()
    with pytest.raises(StoreFull):
        await store.write([Put("t", "promise", b"x" * 4096)])
    await store.write([Put("t", "k", b"what is")], must=True)
    assert await store.short() != ""
    with pytest.raises(StoreFull):
        await store.write([Put("t", "promise", b"")])
    assert await store.load() == {"t": {"k": b"what is"}}
    await disk.free()
    assert await store.short() == "", "the reserve is whole again"
    await store.write([Put("t", "promise", b"")])


async def test_one_owner_at_a_time(disk: Disk) -> None:
    first, second = await disk.opened(), disk.store()
    with pytest.raises(StoreBusy):
        await second.open()
    await first.write([Put("t", "k", b"v")])
    await first.close()
    await second.open()
    assert await second.load() == {"t": {"k": b"v"}}


async def test_a_closed_store_says_so(disk: Disk) -> None:
    store = disk.store()
    with pytest.raises(StoreError, match="not open"):
        await store.write([Put("t", "k", b"v")])


async def test_no_room_keeps_all_that_was_and_none_of_the_new(disk: Disk) -> None:
    store = await disk.opened()
    await store.write([Put("t", "old", b"old")])
    with pytest.raises(StoreFull, match="no room"):
        await store.write([Put("t", "old", b"changed"), Put("t", "new", b"x" * LIMIT_BYTES)])
    assert await store.load() == {"t": {"old": b"old"}}
    await store.write([Put("t", "old", None), Put("t", "small", b"fits")])
    assert await store.load() == {"t": {"small": b"fits"}}


async def test_concurrent_writes_are_all_kept(disk: Disk) -> None:
    store = await disk.opened()
    await asyncio.gather(*(store.write([Put("t", str(n), b"v")]) for n in range(50)))
    assert len((await store.load())["t"]) == 50


async def test_the_fake_fails_once_when_told_to() -> None:
    store = FakeStore()
    await store.open()
    store.fail_next = StoreFull("no room")
    with pytest.raises(StoreFull):
        await store.write([Put("t", "k", b"v")])
    await store.write([Put("t", "k", b"v")])
    assert store.writes == 1


# SQLite only.


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Disk]:
    made = Disk("sqlite", tmp_path)
    yield made
    await made.close()


async def test_nobody_else_can_read_it(sqlite: Disk) -> None:
    store = await sqlite.opened()
    await store.write([Put("t", "k", b"v")])
    files = [path for path in sqlite.directory.iterdir() if path.name.startswith("store")]
    assert len(files) >= 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


async def test_a_second_process_is_told_the_first_ones_pid(sqlite: Disk) -> None:
    with _writer(sqlite.directory) as child:
        await _acknowledged(child, 1)
        with pytest.raises(StoreBusy, match=rf"pid {child.pid};"):
            await sqlite.opened()


async def test_every_acknowledged_write_survives_a_kill(sqlite: Disk) -> None:
    for life in range(3):
        with _writer(sqlite.directory, f"life{life}") as child:
            last = await _acknowledged(child, 20)
            child.kill()
            rest = child.stdout.read() if child.stdout else ""
        last = int(rest.split()[-1]) if rest.split() else last
        store = await sqlite.opened()
        kept = await store.load()
        await store.close()
        for n in range(last + 1):
            assert kept[f"life{life}"][f"a{n}"] == kept[f"life{life}"][f"b{n}"] == b"%d" % n
        assert set(kept[f"life{life}"]) == {
            f"{half}{n}" for half in "ab" for n in range(len(kept[f"life{life}"]) // 2)
        }, "a write was half kept"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "small"
    mounted.mkdir()
    with small(mounted, "512k"):
        yield mounted


async def test_a_full_disk_says_how_much_is_free(small_disk: Path) -> None:
    store = SqliteStore(small_disk)
    try:
        await store.open()
        await store.write([Put("t", "old", b"old")])
        with pytest.raises(StoreFull, match="bytes of disk are free"):
            await store.write([Put("t", "new", b"x" * 600_000)])
        assert await store.load() == {"t": {"old": b"old"}}
        await store.write([Put("t", "small", b"fits")])
    finally:
        await store.close()


async def test_a_damaged_file_is_refused(sqlite: Disk) -> None:
    store = await sqlite.opened()
    await store.write([Put("t", str(n), b"x" * 500) for n in range(200)])
    await store.close()
    path = sqlite.directory / "store.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 4] = b"\xa5" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.sqlite"):
        await sqlite.opened()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        await sqlite.opened()


async def test_a_newer_layout_is_refused(sqlite: Disk) -> None:
    await (await sqlite.opened()).close()
    with sqlite3.connect(sqlite.directory / "store.sqlite") as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="layout 99"):
        await sqlite.opened()


async def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        await SqliteStore(tmp_path / "nowhere").open()


@contextmanager
def _writer(directory: Path, table: str = "t") -> Iterator["subprocess.Popen[str]"]:
    """A process that writes as fast as it can, and says what was acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(directory), table], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


async def _acknowledged(child: "subprocess.Popen[str]", at_least: int) -> int:
    """Number of the last write that was acknowledged, of at least this many."""
    assert child.stdout is not None
    return int([await asyncio.to_thread(child.stdout.readline) for _ in range(at_least)][-1])


_CHILD = """
import asyncio, sys
from pathlib import Path
from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.ports.store import Put

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    n = 0
    while True:
        value = b"%d" % n
        await store.write([Put(sys.argv[2], f"a{n}", value), Put(sys.argv[2], f"b{n}", value)])
        print(n, flush=True)
        n += 1

asyncio.run(main())
"""
