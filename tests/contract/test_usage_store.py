"""Receipts and counts on a disk: written together, bounded, and there after a kill."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from overlayd.adapters.usage_store import SqliteUsage
from overlayd.ports.usage import UsageFault
from protocol.capacity.quantum import Quantum
from protocol.policy.receipts import Count, Counts, LeaseNow, Payer, SignedReceipt
from protocol.terms.ids import GridId, KeyId


def count(name: str) -> Count:
    payer = Payer(KeyId("a" * 64), "ams")
    return Count(LeaseNow(GridId(name), name, payer, Quantum(1000)), 5, 65)


def counts(*names: str) -> Counts:
    return {GridId(name): count(name) for name in names}


def receipt(number: int) -> tuple[int, SignedReceipt]:
    return number, SignedReceipt(f"{number}".encode(), b"s")


class Disk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[SqliteUsage] = []

    def store(self, most: int = 1000) -> SqliteUsage:
        made = SqliteUsage(self.folder, most)
        self._made.append(made)
        return made

    async def close(self) -> None:
        for each in self._made:
            await each.close()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    made = Disk(tmp_path)
    yield made
    await made.close()


async def test_what_was_written_is_there_in_the_next_life(disk: Disk) -> None:
    first = disk.store()
    assert await first.open() == {}
    await first.write([receipt(10), receipt(20)], counts("a", "b"))
    await first.write([receipt(30)], counts("b"))
    assert (disk.folder / "usage.sqlite").stat().st_mode & 0o777 == 0o600
    second = disk.store()
    assert await second.open() == counts("b")
    assert await second.since(0) == [receipt(n)[1] for n in (10, 20, 30)]
    assert await second.since(10) == [receipt(n)[1] for n in (20, 30)]


async def test_a_write_that_fails_changes_nothing(disk: Disk) -> None:
    store = disk.store()
    await store.open()
    await store.write([receipt(1)], counts("a"))
    with pytest.raises(UsageFault):
        await store.write([receipt(2), (3, SignedReceipt(None, b""))], counts("b"))  # type: ignore[arg-type]  # the disk's refusal
    assert await store.since(0) == [receipt(1)[1]]
    assert await disk.store().open() == counts("a")


async def test_the_oldest_receipts_go(disk: Disk) -> None:
    store = disk.store(most=3)
    await store.open()
    for number in range(10):
        await store.write([receipt(number)], {})
    assert await store.since(-1) == [receipt(n)[1] for n in (7, 8, 9)]


async def test_a_file_that_cannot_be_used_is_put_aside(disk: Disk) -> None:
    path = disk.folder / "usage.sqlite"
    path.write_bytes(b"no database at all" * 100)
    store = disk.store()
    assert await store.open() == {}
    await store.write([receipt(1)], counts("a"))
    assert (disk.folder / "usage.damaged").read_bytes().startswith(b"no database")


async def test_counts_of_another_build_that_cannot_be_read_are_put_aside(disk: Disk) -> None:
    store = disk.store()
    await store.open()
    await store._run(lambda: store._opened_db().execute("insert into counts values ('g', x'c1')"))
    await store._run(lambda: store._opened_db().commit())
    await store.close()
    again = disk.store()
    assert await again.open() == {}


async def test_before_it_is_open_it_says_so(disk: Disk) -> None:
    with pytest.raises(UsageFault, match="it is not open"):
        await disk.store().since(0)
