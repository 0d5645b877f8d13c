"""Logs that others write are kept small, and none of what they write later is lost."""

import asyncio
import os
from pathlib import Path

import pytest
from host_world import until

from overlayd.realise import logs
from overlayd.realise.logs import keep_small, older, trim


def test_a_small_log_and_one_that_is_gone_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 10)
    assert not trim(log, 10)
    assert not trim(tmp_path / "none.log", 10)
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_a_large_one_is_cut_while_its_writer_writes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for turn in range(2):
        os.write(writer, b"early" * 4 + b"late" * 4)
        assert trim(log, 16)
        assert older(log).read_bytes() == b"late" * 4
        assert log.stat().st_size == 0
        os.write(writer, b"next%d" % turn)
        assert log.read_bytes() == b"next%d" % turn
    os.close(writer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]


def test_without_room_for_the_older_part_it_is_cut_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 20)

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert trim(log, 10)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("a.log", 0)]


async def test_every_log_of_its_folders_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOOK_EVERY_S", 0.0)
    task = asyncio.create_task(keep_small({tmp_path: 4, tmp_path / "absent": 4}))
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"12345678")
    (tmp_path / "a.sock").write_bytes(b"12345678")
    await until(
        lambda: not any((tmp_path / name).stat().st_size for name in ("a.log", "b.log")), "both"
    )
    task.cancel()
    assert (tmp_path / "a.sock").stat().st_size == 8
