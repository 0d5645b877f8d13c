"""The room of consoles: it is in their orders, counted with disks, and kept by who writes without end."""

import os
from pathlib import Path

import msgspec
import pytest
from host_world import HostWorld

from overlayd.realise.console_room import UNCOUNTED_BYTES, ConsoleRoom
from overlayd.realise.logs import Trimmer, older
from protocol.grid.lifecycle import Power
from protocol.grid.limits import CONSOLE_BYTES, CONSOLE_BYTES_MIN
from protocol.hosting.part import Part, PartOf

FASTEST_BYTES = 800_000 * 3
"""What a console is read at most of between two looks (consoles.py, logs.py)."""


def part_of(world: HostWorld, console_bytes: int, power: Power = Power.RUNNING) -> Part:
    """The grid of the world, whose workspaces have so much."""
    world.want({"head-1": power})
    assert world.part is not None

    def with_room(mine: PartOf) -> PartOf:
        workspace = msgspec.structs.replace(mine.workspace, console_bytes=console_bytes)
        return msgspec.structs.replace(mine, workspace=workspace)

    return msgspec.structs.replace(world.part, mine=tuple(map(with_room, world.part.mine)))


def log_of(room: ConsoleRoom, world: HostWorld, console_bytes: int) -> Path:
    """The log of its first workspace, empty."""
    part = part_of(world, console_bytes)
    assert room.settle(part) is part
    log, _ = world.tools.paths.console(part.record.id, "head-1")
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"")
    return log


@pytest.fixture
async def world(tmp_path: Path) -> HostWorld:
    world = HostWorld(tmp_path)
    await world.start()
    return world


@pytest.mark.parametrize("room_bytes", [CONSOLE_BYTES, 2 * CONSOLE_BYTES])
async def test_a_guest_that_writes_without_end_costs_no_more_than_its_room(
    world: HostWorld, room_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = ConsoleRoom(world.tools.paths)
    log = log_of(room, world, room_bytes)
    trimmer = Trimmer({log.parent: room.log_bytes})
    worst, replace = 0, Path.replace

    def look() -> None:
        nonlocal worst
        worst = max(worst, sum(path.stat().st_size for path in log.parent.iterdir()))

    def replaced(source: Path, target: Path) -> Path:
        look()  # there are most of them while the older part is written
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", replaced)
    writer = os.open(log, os.O_WRONLY | os.O_APPEND)
    for _ in range(40):
        os.write(writer, b"y\n" * (FASTEST_BYTES // 2))
        look()
        trimmer.look()
    os.close(writer)
    assert room_bytes // 3 < worst <= room_bytes
    assert older(log).stat().st_size == room_bytes // 3


async def test_all_of_it_is_counted_with_the_disks_of_its_host(world: HostWorld) -> None:
    room = ConsoleRoom(world.tools.paths)
    log = log_of(room, world, CONSOLE_BYTES_MIN)
    assert room.promised_bytes() == room.counted_bytes() == CONSOLE_BYTES_MIN
    log.write_bytes(b"x" * (1 << 20))
    assert room.promised_bytes() == CONSOLE_BYTES_MIN - (1 << 20)
    assert room.counted_bytes() == CONSOLE_BYTES_MIN


async def test_an_order_that_has_no_room_for_it_gets_little_of_the_host_s_own(
    world: HostWorld,
) -> None:
    room = ConsoleRoom(world.tools.paths)
    log = log_of(room, world, 0)
    assert room.of(log) == room.promised_bytes() == UNCOUNTED_BYTES
    assert room.counted_bytes() == 0


async def test_what_nobody_spoke_of_yet_or_any_more_has_the_usual_room(world: HostWorld) -> None:
    room = ConsoleRoom(world.tools.paths)
    assert room.settle(None) is None
    log = log_of(room, world, CONSOLE_BYTES_MIN)
    assert ConsoleRoom(world.tools.paths).of(log) == CONSOLE_BYTES
    room.settle(part_of(world, CONSOLE_BYTES_MIN, Power.GONE))
    assert room.of(log) == CONSOLE_BYTES
