"""What machines do by themselves, and what pauses them, as the realiser sees it: told, and mended in bounds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from host_world import GRID, HostWorld, until

from overlayd.ports.compute import Cause, MachineState
from overlayd.realise import realiser, stalls
from overlayd.realise.paths import machine_name
from overlayd.realise.stalls import Room
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.events import Happened

HEAD = machine_name(GRID, "head-1")
DISK = "/v/data.raw"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    monkeypatch.setattr(realiser, "_RETRY_S", (0.0,))
    monkeypatch.setattr(stalls, "LOOK_EVERY_S", 0.0)
    world = HostWorld(tmp_path)
    await world.start()
    world.want()
    for name in ("head-1", "worker-1"):
        await until(lambda n=name: world.phases(n)[-1:] == [Phase.RUNNING], f"{name} runs")
    yield world
    await world.end()


def happened(world: HostWorld) -> list[tuple[str, str]]:
    """(kind, detail) of what was told to have happened to the head."""
    events = [e for e in world.told if isinstance(e, Happened)]
    assert all((e.grid, e.workspace) == (GRID, "head-1") for e in events)
    return [(e.kind, e.detail) for e in events]


async def test_how_a_guest_ended_is_told_and_why_it_was_started_again(world: HostWorld) -> None:
    world.hypervisor.end(HEAD, Cause.CRASHED, "its kernel panicked")
    await until(lambda: world.hypervisor.starts.count((HEAD, 1)) == 2, "it is started again")
    await until(lambda: world.phase("head-1")[0] is Phase.RUNNING, "and told to run")
    assert happened(world) == [("machine.ended", "its kernel panicked")]
    assert "again, after: its kernel panicked" in world.details("head-1")
    assert "started again at" in world.phase("head-1")[1]
    world.answer("head-1")
    await until(lambda: world.phase("head-1")[0] is Phase.REACHABLE, "it answers")
    assert world.phase("head-1")[1].endswith("after: its kernel panicked")


async def test_an_end_while_no_daemon_ran_is_told_by_the_next(world: HostWorld) -> None:
    await world.end()
    world.hypervisor.end(HEAD)
    world.told.clear()
    await world.start()
    world.want()
    await until(lambda: world.hypervisor.starts.count((HEAD, 1)) == 2, "it is started again")
    assert happened(world) == [("machine.ended", "QEMU was killed (signal 9)")]


async def test_one_that_rests_says_why_it_ended(world: HostWorld) -> None:
    for start in (2, 3):
        world.hypervisor.end(HEAD, Cause.CRASHED, "its kernel panicked")
        if start == 2:
            await until(lambda: world.hypervisor.starts.count((HEAD, 1)) == 2, "started again")
    await until(lambda: world.phase("head-1")[0] is Phase.FAILED, "it rests")
    said = world.phase("head-1")[1]
    assert "2 times soon after its start (its kernel panicked)" in said
    assert happened(world) == [("machine.ended", "its kernel panicked")] * 2


async def test_a_restart_from_inside_is_told_and_nothing_is_started(world: HostWorld) -> None:
    world.hypervisor.reset(HEAD)
    await until(lambda: happened(world), "it is told")
    assert happened(world) == [("machine.restarted", "its guest restarted itself")]
    assert world.hypervisor.starts.count((HEAD, 1)) == 1


async def test_a_guest_without_room_waits_for_it(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [0]
    monkeypatch.setattr(world.realiser._upkeep._stalls, "_room", lambda _: Room(free[0], 10))
    world.hypervisor.stall(HEAD, Cause.NO_ROOM, "no room", DISK)
    await until(lambda: world.phase("head-1")[0] is Phase.NO_ROOM, "that is its phase")
    for _ in range(3):
        told = len(world.told)
        world.realiser.kick(GRID)
        await until(lambda n=told: len(world.told) > n, "looked at again")
    assert world.hypervisor.resumes == [], "it is not let go on"
    assert [kind for kind, _ in happened(world)] == ["machine.no-room"]

    both = {"head-1": Power.PAUSED, "worker-1": Power.RUNNING}
    world.want(both)
    await until(lambda: world.phase("head-1") == (Phase.PAUSED, ""), "a person pauses it")
    world.want()
    await until(lambda: world.phase("head-1")[0] is Phase.NO_ROOM, "and lets it go on")
    assert world.hypervisor.resumes == []

    free[0] = 10
    await until(lambda: world.phase("head-1")[0] is Phase.RUNNING, "there is room")
    assert world.hypervisor.resumes == [HEAD]
    assert happened(world)[-1][0] == "machine.resumed"
    await until(lambda: world.hypervisor.clocks_set == [HEAD], "its clock is put right")


async def test_a_guest_without_room_can_be_ended(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.realiser._upkeep._stalls, "_room", lambda _: Room(0, 10))
    world.hypervisor.stall(HEAD, Cause.NO_ROOM, "no room", DISK)
    await until(lambda: world.phase("head-1")[0] is Phase.NO_ROOM, "that is its phase")
    world.want({"head-1": Power.GONE, "worker-1": Power.RUNNING})
    await until(lambda: world.phase("head-1")[0] is Phase.GONE, "it is gone")
    assert world.state("head-1") is None


async def test_who_pauses_it_from_outside_is_answered_and_not_fought(world: HostWorld) -> None:
    world.hypervisor.stall(HEAD, Cause.ASKED, "paused by a user of libvirt")
    await until(lambda: world.hypervisor.resumes == [HEAD], "it goes on, as it is wanted to")
    world.hypervisor.stall(HEAD, Cause.ASKED, "paused by a user of libvirt")
    await until(lambda: world.phase("head-1")[0] is Phase.STALLED, "the second time it waits")
    assert world.hypervisor.resumes == [HEAD]
    assert [kind for kind, _ in happened(world)] == [
        "machine.paused",
        "machine.resumed",
        "machine.paused",
    ]


async def test_after_a_pause_and_after_a_save_the_clock_is_put_right(world: HostWorld) -> None:
    for power in (Power.PAUSED, Power.SUSPENDED):
        world.hypervisor.clocks_set.clear()
        world.want({"head-1": power, "worker-1": Power.RUNNING})
        await until(
            lambda: world.state("head-1") in (MachineState.PAUSED, MachineState.SAVED), power
        )
        world.want()
        await until(lambda: world.hypervisor.clocks_set == [HEAD], f"after {power}")
    assert happened(world) == []


async def test_a_clock_that_cannot_be_set_stops_nothing(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(_name: str) -> bool:
        from overlayd.ports.compute import ComputeError

        raise ComputeError("no such machine")

    monkeypatch.setattr(world.compute, "set_clock", refuses)
    world.want({"head-1": Power.PAUSED, "worker-1": Power.RUNNING})
    await until(lambda: world.phase("head-1") == (Phase.PAUSED, ""), "it pauses")
    world.want()
    await until(lambda: world.phase("head-1")[0] is Phase.RUNNING, "it goes on")


async def test_gone_with_it_are_both_parts_of_its_console(world: HostWorld) -> None:
    log, socket = world.realiser._tools.paths.console(GRID, "head-1")
    log.parent.mkdir(exist_ok=True)
    for path in (log, socket, log.with_name(f"{log.name}.1")):
        path.touch()
    world.want({"head-1": Power.GONE, "worker-1": Power.RUNNING})
    await until(lambda: world.phase("head-1")[0] is Phase.GONE, "it is gone")
    assert list(log.parent.iterdir()) == []


async def test_an_end_is_told_also_of_one_that_was_to_be_saved(world: HostWorld) -> None:
    world.hypervisor.causes[HEAD] = Cause.CRASHED, "its kernel panicked"
    world.hypervisor.states[HEAD] = MachineState.STOPPED
    world.want({"head-1": Power.SUSPENDED, "worker-1": Power.RUNNING})
    await until(lambda: world.phase("head-1") == (Phase.SUSPENDED, "it did not run"), "told")
    assert happened(world) == [("machine.ended", "its kernel panicked")]
