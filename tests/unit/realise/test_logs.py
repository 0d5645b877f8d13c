"""Logs that others write are kept small, and none of what they write later is lost."""

import asyncio
import os
import tracemalloc
from pathlib import Path

import pytest
from host_world import until

from overlayd.realise import logs
from overlayd.realise.console_room import ConsoleRoom, taken_bytes
from overlayd.realise.logs import Trimmer, keep_small, older, trim
from overlayd.realise.paths import Paths
from protocol.grid.limits import CONSOLE_BYTES


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


def test_a_log_as_large_as_an_order_may_ask_for_is_not_read_into_memory(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("wb") as file:
        file.truncate(128 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"the end")
    tracemalloc.start()
    try:
        assert trim(log, 64 << 20)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert older(log).stat().st_size == 64 << 20
    assert older(log).read_bytes().endswith(b"the end")


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
    monkeypatch.setattr(logs, "BUSY_EVERY_S", 0.0)
    task = asyncio.create_task(
        keep_small({tmp_path: lambda _: 4, tmp_path / "absent": lambda _: 4})
    )
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"12345678")
    (tmp_path / "a.sock").write_bytes(b"12345678")
    await until(
        lambda: not any((tmp_path / name).stat().st_size for name in ("a.log", "b.log")), "both"
    )
    task.cancel()
    assert (tmp_path / "a.sock").stat().st_size == 8


def test_one_that_grows_fast_is_looked_at_again_soon(tmp_path: Path) -> None:
    log = tmp_path / "yes.log"
    log.write_bytes(b"")
    trimmer = Trimmer({tmp_path: lambda _: 800})
    assert not trimmer.look()
    log.write_bytes(b"y" * 101)
    assert trimmer.look()
    assert not trimmer.look()
    log.write_bytes(b"y" * 900)
    assert trimmer.look(), "it was cut"
    assert log.stat().st_size == 0


def test_a_guest_that_says_yes_for_ever_costs_its_own_bound(tmp_path: Path) -> None:
    """It writes 200 times its bound. Between two looks it wrote some of it, never all."""
    most, wrote, worst = 64 << 10, 4 << 10, 0
    trimmer = Trimmer({tmp_path: lambda _: most})
    writer = os.open(tmp_path / "yes.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for turn in range(200 * most // wrote):
        os.write(writer, b"y\n" * (wrote // 2))
        if turn % 4 == 0:
            trimmer.look()
        worst = max(worst, sum(path.stat().st_size for path in tmp_path.iterdir()))
    os.close(writer)
    assert worst <= 2 * most + 4 * wrote


def test_what_consoles_may_still_grow_by_is_promised(tmp_path: Path) -> None:
    """Until their orders are read they have the usual room; what has been counted comes from those."""
    room = ConsoleRoom(Paths(tmp_path))
    folder = Paths(tmp_path).consoles
    assert (room.promised_bytes(), room.counted_bytes()) == (0, 0)
    folder.mkdir()
    for name in ("a.log", "b.log", "a.sock"):
        (folder / name).write_bytes(b"")
    assert room.promised_bytes() == 2 * CONSOLE_BYTES
    (folder / "a.log").write_bytes(b"x" * (1 << 20))
    older(folder / "a.log").write_bytes(b"x" * (2 << 20))
    assert taken_bytes(folder / "a.log") == 3 << 20
    assert room.promised_bytes() == 2 * CONSOLE_BYTES - (3 << 20)
    older(folder / "a.log").write_bytes(b"x" * (19 << 20))
    assert room.promised_bytes() == CONSOLE_BYTES
    assert room.counted_bytes() == 0
