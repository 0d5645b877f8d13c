"""A guest is asked before its plug is pulled, and nobody waits. One that went off by itself is off."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until, up

from overlayd.ports.compute import Cause, MachineState
from overlayd.ports.seeds import Seed
from overlayd.realise import endings, realiser
from overlayd.realise.paths import machine_name
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import Restart
from protocol.hosting.events import Care, Happened, Kept

HEAD, WORKER = machine_name(GRID, "head-1"), machine_name(GRID, "worker-1")
OFF = dict.fromkeys(("head-1", "worker-1"), Power.OFF)
GONE = dict.fromkeys(("head-1", "worker-1"), Power.GONE)
LONG_S = 600


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    monkeypatch.setattr(realiser, "_RETRY_S", (0.0,))
    world = HostWorld(tmp_path)
    world.stop_within_s = LONG_S
    await world.start()
    yield world
    await world.end()


def happened(world: HostWorld, workspace: str = "head-1") -> list[tuple[str, str]]:
    events = [e for e in world.told if isinstance(e, Happened) and e.workspace == workspace]
    return [(e.kind, e.detail) for e in events]


async def is_in(world: HostWorld, workspace: str, phase: Phase) -> str:
    await until(lambda: world.phases(workspace)[-1:] == [phase], f"{workspace} {phase}")
    return world.details(workspace)[-1]


# -- asked first


async def test_a_guest_is_asked_and_how_it_ended_is_told(world: HostWorld) -> None:
    await up(world)
    world.want(GONE, up=False)
    await until(lambda: world.cleared, "nothing is left")
    assert sorted(world.hypervisor.asked) == sorted([HEAD, WORKER])
    stopping, stopped = happened(world)
    assert stopping == ("workspace.stopping", "asked to shut down; it has 10 min")
    assert stopped[0] == "workspace.stopped"
    assert stopped[1].startswith("shut itself down in 0.")
    assert (world.hypervisor.machines, world.volumes.sizes, world.network.plans) == ({}, {}, {})


async def test_while_one_shuts_down_its_network_and_disks_stay_and_others_end(
    world: HostWorld,
) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    disks = dict(world.volumes.sizes)
    world.want(GONE, up=False)
    said = await is_in(world, "head-1", Phase.ENDING)
    assert said == "asked to shut down, and cut off if it has not within 10 min"
    assert await is_in(world, "worker-1", Phase.GONE) == ""
    assert world.state("head-1") is MachineState.RUNNING
    assert (world.volumes.sizes, len(world.network.plans)) == (disks, 1)
    assert not world.cleared
    world.hypervisor.end(HEAD, Cause.POWERED_OFF, "powered off from inside")
    await until(lambda: world.cleared, "it has shut down")
    assert (world.volumes.sizes, world.network.plans) == ({}, {})


async def test_others_of_the_grid_go_on_meanwhile(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want({"head-1": Power.OFF, "worker-1": Power.RUNNING})
    await is_in(world, "head-1", Phase.ENDING)
    world.want({"head-1": Power.OFF, "worker-1": Power.PAUSED})
    await is_in(world, "worker-1", Phase.PAUSED)
    world.hypervisor.end(HEAD, Cause.POWERED_OFF)
    await is_in(world, "head-1", Phase.EXPIRED)


async def test_a_container_that_starts_leaves_the_card_to_one_that_shuts_down(
    world: HostWorld,
) -> None:
    world.site = msgspec.structs.replace(world.site, containers=True)
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want({"head-1": Power.OFF, "worker-1": Power.RUNNING}, boot=2)
    await until(lambda: (WORKER, 2) in world.hypervisor.starts, "the other has started again")
    await is_in(world, "head-1", Phase.ENDING)
    (network,) = world.network.plans.values()
    assert sorted(port.name for port in network.ports) == ["head-1", "worker-1"]


async def test_what_was_wrong_with_the_network_of_a_container_that_starts_is_told(
    world: HostWorld,
) -> None:
    world.site = msgspec.structs.replace(world.site, containers=True)
    await up(world)
    (network,) = world.network.plans
    make_seed = world.seeds.ensure

    async def undone_meanwhile(name: str, seed: Seed) -> str:
        world.network.harmed[network] = "its bridge was gone"
        return await make_seed(name, seed)

    world.seeds.ensure = undone_meanwhile
    world.want({"worker-1": Power.RUNNING}, boot=2)
    await until(lambda: (WORKER, 2) in world.hypervisor.starts, "it has started again")
    (told,) = [event for event in world.told if isinstance(event, Kept)]
    assert (told.care, told.detail) == (Care.MENDED, "its bridge was gone; made as it was")


async def test_a_guest_that_ignores_it_is_cut_off_when_its_time_is_up(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.stop_within_s = 1
    world.want(OFF)
    await is_in(world, "head-1", Phase.EXPIRED)
    kind, detail = happened(world)[-1]
    assert (kind, detail[:19]) == ("workspace.cut-off", "did not shut down i")
    assert detail.endswith("s, and was cut off")
    assert world.state("head-1") is None


async def test_a_guest_that_was_booting_is_asked_again(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "AGAIN_S", 0.01)
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want(OFF)
    await until(lambda: world.hypervisor.asked.count(HEAD) > 1, "it is asked again")
    world.hypervisor.deaf.clear()
    await is_in(world, "head-1", Phase.EXPIRED)
    assert [kind for kind, _ in happened(world)] == ["workspace.stopping", "workspace.stopped"]


async def test_at_once_nobody_is_asked_also_in_the_middle_of_a_wait(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want({"head-1": Power.OFF, "worker-1": Power.RUNNING})
    await is_in(world, "head-1", Phase.ENDING)
    world.stop_within_s = 0
    world.want(OFF)
    await is_in(world, "head-1", Phase.EXPIRED)
    await is_in(world, "worker-1", Phase.EXPIRED)
    assert world.hypervisor.asked == [HEAD]
    assert happened(world, "worker-1") == []


async def test_a_daemon_that_was_killed_in_the_wait_asks_again(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want(OFF)
    await is_in(world, "head-1", Phase.ENDING)
    await world.end()
    world.told.clear()
    await world.start()
    world.want(OFF)
    await is_in(world, "head-1", Phase.ENDING)
    assert world.hypervisor.asked.count(HEAD) == 2
    world.hypervisor.end(HEAD, Cause.POWERED_OFF)
    await is_in(world, "head-1", Phase.EXPIRED)


async def test_a_paused_guest_goes_on_to_shut_down(world: HostWorld) -> None:
    await up(world)
    world.want({"head-1": Power.PAUSED, "worker-1": Power.RUNNING})
    await is_in(world, "head-1", Phase.PAUSED)
    world.want(OFF)
    await is_in(world, "head-1", Phase.EXPIRED)
    assert HEAD in world.hypervisor.asked
    assert happened(world)[-1][0] == "workspace.stopped"


async def test_one_that_cannot_be_asked_is_cut_off(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.stall(HEAD, Cause.NO_ROOM, "no room", str(world.folder / "disk"))
    world.want(OFF)
    await is_in(world, "head-1", Phase.EXPIRED)
    assert happened(world)[-1] == ("workspace.cut-off", "could not be asked to shut down")


async def test_a_restart_asks_the_start_before_it(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want(boot=2)
    assert (await is_in(world, "head-1", Phase.ENDING)).startswith("asked to shut down")
    await until(lambda: (WORKER, 2) in world.hypervisor.starts, "the worker does not wait for it")
    assert (HEAD, 2) not in world.hypervisor.starts
    world.hypervisor.end(HEAD, Cause.POWERED_OFF)
    await until(lambda: (HEAD, 2) in world.hypervisor.starts, "it starts again")
    await is_in(world, "head-1", Phase.RUNNING)
    assert [kind for kind, _ in happened(world)] == ["workspace.stopping", "workspace.stopped"]


async def test_a_lease_that_is_extended_meanwhile_finds_its_guest_started_again(
    world: HostWorld,
) -> None:
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want(OFF)
    await is_in(world, "head-1", Phase.ENDING)
    world.want()
    await is_in(world, "head-1", Phase.RUNNING)
    world.hypervisor.end(HEAD, Cause.POWERED_OFF, "powered off from inside")
    await until(lambda: world.hypervisor.starts.count((HEAD, 1)) == 2, "it was only asked to")
    world.want(OFF)
    await until(lambda: world.hypervisor.asked.count(HEAD) == 2, "asked anew, in its own time")


async def test_one_that_is_to_run_after_all_is_asked_no_more(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "AGAIN_S", 0.01)
    await up(world)
    world.hypervisor.deaf.add(HEAD)
    world.want(OFF)
    await until(lambda: world.hypervisor.asked.count(HEAD) > 2, "it is asked again and again")
    world.want()
    await is_in(world, "head-1", Phase.RUNNING)
    waits = "ending head-1"
    await until(lambda: waits not in [t.get_name() for t in asyncio.all_tasks()], "nobody asks")
    assert world.state("head-1") is MachineState.RUNNING


# -- off


async def test_a_guest_that_switched_itself_off_is_off_until_a_person_restarts_it(
    world: HostWorld,
) -> None:
    await up(world)
    world.hypervisor.end(HEAD, Cause.POWERED_OFF, "powered off from inside")
    assert await is_in(world, "head-1", Phase.OFF) == "powered off from inside"
    world.realiser.kick(GRID)
    await world.end()
    world.told.clear()
    await world.start()
    world.want()
    assert await is_in(world, "head-1", Phase.OFF) == "powered off from inside", "the next daemon"
    assert world.hypervisor.starts.count((HEAD, 1)) == 1
    world.want(boot=2)
    await until(lambda: (HEAD, 2) in world.hypervisor.starts, "a person asked")
    await is_in(world, "head-1", Phase.RUNNING)


@pytest.mark.parametrize(
    ("restart", "cause", "stays"),
    [
        (Restart.ALWAYS, Cause.POWERED_OFF, False),
        (Restart.ALWAYS, Cause.KILLED, False),
        (Restart.ON_FAILURE, Cause.POWERED_OFF, True),
        (Restart.ON_FAILURE, Cause.CRASHED, False),
        (Restart.ON_FAILURE, Cause.KILLED, False),
        (Restart.ON_FAILURE, Cause.UNKNOWN, False),
        (Restart.NEVER, Cause.CRASHED, True),
        (Restart.NEVER, Cause.UNKNOWN, True),
    ],
)
async def test_what_starts_it_again(
    world: HostWorld, restart: Restart, cause: Cause, stays: bool
) -> None:
    world.restart = restart
    await up(world)
    world.hypervisor.end(HEAD, cause, "so it ended")
    if stays:
        assert await is_in(world, "head-1", Phase.OFF) == "so it ended"
    else:
        await until(lambda: world.hypervisor.starts.count((HEAD, 1)) == 2, "it starts again")


async def test_one_that_is_off_stays_so_over_a_suspension_and_goes_with_its_grid(
    world: HostWorld,
) -> None:
    await up(world)
    world.hypervisor.end(HEAD, Cause.POWERED_OFF, "powered off from inside")
    await is_in(world, "head-1", Phase.OFF)
    world.want({"head-1": Power.SUSPENDED, "worker-1": Power.RUNNING})
    assert await is_in(world, "head-1", Phase.SUSPENDED) == "it is off"
    world.want()
    await is_in(world, "head-1", Phase.OFF)
    world.want(GONE, up=False)
    await until(lambda: world.cleared, "nothing is left")
    assert HEAD not in world.hypervisor.asked
