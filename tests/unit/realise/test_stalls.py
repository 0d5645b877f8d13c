"""Paused guests that are to run: each waits for what it lacks, and none is let go on without end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from host_world import until

from overlayd.ports.compute import Cause, MachineSeen, MachineState
from overlayd.realise import stalls
from overlayd.realise.stalls import CALM_S, PAUSES_S, Held, Room, Stalls, room_at
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.lifecycle import Phase
from protocol.terms.ids import GridId

GRID = GridId("g")
NEED = 64 << 20


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.free, self.kicks, self.looks = 100.0, 0, 0, 0
        self.supervisor = Supervisor()
        self.stalls = Stalls(self.supervisor, self._kick, self._room)
        monkeypatch.setattr(stalls, "LOOK_EVERY_S", 0.0)
        monkeypatch.setattr(stalls.time, "monotonic", lambda: self.now_s)

    def _kick(self, _grid: GridId) -> None:
        self.kicks += 1

    def _room(self, _path: str) -> Room:
        self.looks += 1
        return Room(self.free, NEED)

    def look(self, cause: Cause, why: str = "why", *paths: str) -> tuple[Held | None, list[str]]:
        """What is held, and the kinds of the events."""
        seen = MachineSeen(
            "m",
            "u",
            MachineState.PAUSED,
            1,
            0.0,
            1000,
            1 << 20,
            cause=cause,
            why=why,
            stuck_on=paths,
        )
        held, news = self.stalls.look(GRID, seen)
        return held, [kind for kind, _ in news]

    def full(self) -> tuple[Held | None, list[str]]:
        return self.look(Cause.NO_ROOM, "no room", "/v/data.raw")

    async def kicked(self) -> None:
        await until(lambda: self.kicks, "it may go on")


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    made = World(monkeypatch)
    yield made
    await made.supervisor.close()


async def test_without_room_it_waits_and_is_told_once(world: World) -> None:
    held, news = world.full()
    assert held is not None
    assert held.phase is Phase.NO_ROOM
    assert held.detail == (
        "no room for /v/data.raw: 0 B free there; it loses nothing, and goes on when 64 MiB are"
    )
    assert news == ["machine.no-room"]
    world.free = 4096
    assert world.full() == (held, []), "and the words stay, though a little is free"


async def test_with_room_it_goes_on_and_that_is_told(world: World) -> None:
    world.full()
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.kicks == 0
    world.free = NEED
    await world.kicked()
    assert world.full() == (None, ["machine.resumed"])


async def test_a_quota_says_there_is_room_and_each_try_waits_longer(world: World) -> None:
    world.free, waited = NEED, []
    for pause_s in (*PAUSES_S, PAUSES_S[-1]):
        begun = world.now_s
        held, _ = world.full()
        while held is not None:
            assert "cannot grow, though 64 MiB are free there (a quota?)" in held.detail
            world.now_s += 1
            held, _ = world.full()
        waited.append(world.now_s - begun)
        assert waited[-1] >= pause_s
        world.now_s += 0.25
    assert waited == [*PAUSES_S, PAUSES_S[-1]]


async def test_what_has_gone_on_for_long_begins_anew(world: World) -> None:
    for _ in range(2):
        assert world.look(Cause.ASKED) == (None, ["machine.paused", "machine.resumed"])
        world.now_s += CALM_S
    assert world.look(Cause.ASKED)[0] is None
    held, _ = world.look(Cause.ASKED)
    assert held is not None
    assert held.phase is Phase.STALLED
    assert held.detail == "why; let go on again after 5 s"


async def test_a_failing_disk_is_tried_after_growing_pauses(world: World) -> None:
    assert world.look(Cause.IO_ERROR, "x", "/v/a")[0] is None
    assert world.look(Cause.IO_ERROR, "x", "/v/a")[0] is not None
    assert world.looks == 0, "room has nothing to do with it"
    world.now_s += PAUSES_S[1]
    await world.kicked()
    assert world.look(Cause.IO_ERROR, "x", "/v/a")[0] is None


async def test_a_pause_of_its_people_is_no_stall(world: World) -> None:
    world.stalls.asked("m")
    assert world.look(Cause.ASKED) == (None, [])


async def test_a_pause_of_its_people_makes_no_room(world: World) -> None:
    """Who pauses a guest that lacks room and lets it go on later finds it lacks room still."""
    world.full()
    world.stalls.asked("m")
    held, news = world.full()
    assert (held is not None, news) == (True, ["machine.no-room"])


async def test_what_is_forgotten_kicks_nobody(world: World) -> None:
    world.full()
    world.stalls.forget("m")
    world.free = NEED
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.kicks == 0


def test_the_room_of_a_file_is_its_file_systems(tmp_path: Path) -> None:
    room = room_at(str(tmp_path / "v.raw"))
    assert room.free_bytes > 0
    assert 0 < room.needed_bytes <= NEED
    assert room_at("/absent/folder/v.raw") == Room(0, 0)
