"""The audit log on a disk: what was added is there after a kill, and what was done to the files is found."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from overlayd.adapters.audit_log import DirectoryAuditLog
from overlayd.adapters.nacl_keys import NaclIdentity, NaclVerifier
from overlayd.ports.audit import AuditFault
from protocol.policy.audit import Chain, Kind, Line, read_line
from protocol.terms.effects import Audit

NOW = 1_000_000.0
KEY = NaclIdentity.generate()


def decision(number: int, why: str = "") -> Audit:
    return Audit("act", not why, why, "pause", "g", order=f"{number:064d}")


class Disk:
    """A folder, and the logs that were opened on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[DirectoryAuditLog] = []

    async def life(self, file_bytes: int = 1 << 20, files_most: int = 3) -> DirectoryAuditLog:
        log = DirectoryAuditLog(self.folder, KEY, NaclVerifier(), file_bytes, files_most)
        self._made.append(log)
        await log.open(NOW)
        return log

    async def close(self) -> None:
        for log in self._made:
            await log.close()

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("from-*"))


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    made = Disk(tmp_path / "audit")
    yield made
    await made.close()


async def read(log: DirectoryAuditLog, after: int = 0, most: int = 1000) -> list[Line]:
    return [read_line(line) for line in await log.lines(after, most)]


async def kinds(log: DirectoryAuditLog) -> list[Kind]:
    return [line.kind for line in await read(log) if line.kind is not Kind.HEAD]


async def test_what_was_added_is_there_in_the_next_life_and_hangs_together(disk: Disk) -> None:
    log = await disk.life()
    await log.add([(NOW + 1, decision(1)), (NOW + 2, decision(2, "no"))])
    assert disk.files()[0].stat().st_mode & 0o777 == 0o600
    assert disk.folder.stat().st_mode & 0o777 == 0o700
    again = await disk.life()
    assert await kinds(again) == [Kind.BEGUN, Kind.ORDER, Kind.ORDER, Kind.BEGUN]
    lines = await read(again)
    assert [line.n for line in lines] == list(range(1, 8))
    assert [(x.at_s, x.order) for x in lines[2:4]] == [
        (NOW + 1, decision(1)),
        (NOW + 2, decision(2, "no")),
    ]
    report = await again.examine()
    assert (report.faults, report.remarks, report.signed) == ((), (), again.end.n)
    assert [line.n for line in await read(again, 3, 2)] == [4, 5]
    assert await read(again, 7) == []


async def test_a_line_that_was_being_written_at_the_kill_is_cut_off_and_that_is_said(
    disk: Disk,
) -> None:
    log = await disk.life()
    await log.add([(NOW, decision(1))])
    with disk.files()[0].open("ab") as file:
        file.write(b'{"n":5,"bef\x1b')
    again = await disk.life()
    assert await kinds(again) == [Kind.BEGUN, Kind.ORDER, Kind.HEALED, Kind.BEGUN]
    report = await again.examine()
    assert report.faults == ()
    assert report.remarks == (
        'line 5 says: 12 bytes that were no whole line were cut off here: {"n":5,"bef\\x1b',
    )


async def test_a_tail_that_was_cut_off_is_missed_at_the_next_start(disk: Disk) -> None:
    log = await disk.life()
    await log.add([(NOW, decision(1))])
    path = disk.files()[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    assert (await log.examine()).faults == (
        "line 4, which is known to have been there, is missing",
    )
    again = await disk.life()
    said = "line 3 says: line 4 was on the disk, and is not here any more"
    assert said in (await again.examine()).faults


async def test_a_log_that_is_gone_is_missed_as_long_as_its_last_head_is_there(disk: Disk) -> None:
    log = await disk.life()
    await log.add([(NOW, decision(1))])
    disk.files()[0].unlink()
    again = await disk.life()
    assert await kinds(again) == [Kind.MISSING, Kind.BEGUN]


async def test_a_changed_line_is_named_and_the_log_goes_on_behind_it(disk: Disk) -> None:
    log = await disk.life()
    await log.add([(NOW, decision(1)), (NOW, decision(2))])
    path = disk.files()[0]
    path.write_bytes(path.read_bytes().replace(b"pause", b"PAUSE", 1))
    again = await disk.life()
    await again.add([(NOW, decision(3))])
    assert (await again.examine()).faults == ("line 3 was changed: line 4 does not follow from it",)


async def test_a_last_line_that_cannot_be_read_has_its_number_all_the_same(disk: Disk) -> None:
    log = await disk.life()
    path = disk.files()[0]
    path.write_bytes(path.read_bytes()[:-9] + b"xxxxxxxx\n")
    again = await disk.life()
    assert again.end.n == log.end.n + 3
    faults = (await again.examine()).faults
    assert faults[0].startswith("line 2 cannot be read")


async def test_full_files_are_followed_by_others_and_the_oldest_go(disk: Disk) -> None:
    log = await disk.life(file_bytes=2000)
    for number in range(40):
        await log.add([(NOW, decision(number))])
    assert len(disk.files()) == 3
    assert all(path.stat().st_size < 4000 for path in disk.files())
    report = await log.examine()
    assert report.faults == ()
    assert report.first > 1
    assert report.last == log.end.n
    assert [line.n for line in await read(log, report.last - 9)] == list(
        range(report.last - 8, report.last + 1)
    )
    assert (await (await disk.life(file_bytes=2000)).examine()).faults == ()


async def test_what_the_disk_does_not_take_is_counted_and_told_with_the_next_line(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await disk.life()
    end, before = log.end, disk.files()[0].read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda where, data: real(where, data[:10]))
    with pytest.raises(AuditFault, match="no room on the disk"):
        await log.add([(NOW, decision(1)), (NOW, decision(2))])
    assert "no room" in log.fault
    assert (log.end, disk.files()[0].read_bytes()) == (end, before)
    monkeypatch.undo()
    await log.add([(NOW, decision(3))])
    assert log.fault == ""
    assert await kinds(log) == [Kind.BEGUN, Kind.UNWRITTEN, Kind.ORDER]
    report = await log.examine()
    assert report.faults == ()
    assert report.remarks == ("line 3 says: the disk did not take 2 lines before this one",)


async def test_a_log_that_could_not_be_opened_is_with_the_next_line(disk: Disk) -> None:
    disk.folder.write_text("in the way")
    with pytest.raises(AuditFault):
        await disk.life()
    disk.folder.unlink()
    (log,) = disk._made
    await log.add([(NOW, decision(1))])
    assert await kinds(log) == [Kind.BEGUN, Kind.ORDER]


async def test_an_old_head_is_as_true_and_one_that_is_none_says_nothing(disk: Disk) -> None:
    log = await disk.life()
    old = (disk.folder / "head").read_text()
    await log.add([(NOW, decision(1))])
    (disk.folder / "head").write_text(old)
    assert (await (await disk.life()).examine()).faults == ()
    (disk.folder / "head").write_text("")
    again = await disk.life()
    assert (await again.examine()).faults == ()
    assert isinstance(again.end, Chain)


async def test_many_that_write_at_once_are_one_after_another(disk: Disk) -> None:
    log = await disk.life()
    await asyncio.gather(*(log.add([(NOW, decision(n))]) for n in range(20)))
    assert (await log.examine()).faults == ()
    assert (await kinds(log)).count(Kind.ORDER) == 20
