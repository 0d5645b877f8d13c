"""What is found at the start: of carried grids it is cleared if it is over, of others it is kept and told."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until

from overlayd.ports.compute import LostMachine, MachineState
from overlayd.ports.images import DiskFile
from overlayd.realise import strays
from overlayd.realise.paths import machine_name
from overlayd.realise.strays import look_around, watch
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.events import Found
from protocol.image.facts import Firmware
from protocol.terms.ids import GridId

HEAD, WORKER = machine_name(GRID, "head-1"), machine_name(GRID, "worker-1")
VOLUME, SCRATCH = f"{GRID}.data", f"{GRID}.head-1.scratch"
SIZES = {VOLUME: 16 << 20, SCRATCH: 32 << 20}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[HostWorld]:
    """A daemon that made a grid, ended, and is back."""
    world = HostWorld(tmp_path)
    await world.start()
    world.want()
    for name in ("head-1", "worker-1"):
        await until(lambda n=name: world.phases(n)[-1:] == [Phase.RUNNING], name)  # type: ignore[misc]
    await world.end()
    world.told.clear()
    await world.start()
    yield world
    await world.end()


def found(world: HostWorld) -> dict[str, Found]:
    return {event.what: event for event in world.told if isinstance(event, Found)}


async def test_what_this_host_does_not_remember_runs_on_with_disks_and_networks(
    world: HostWorld,
) -> None:
    world.part = None
    starts = list(world.hypervisor.starts)
    await look_around(world.tools, [])
    assert sorted(world.hypervisor.machines) == sorted([HEAD, WORKER])
    assert set(world.hypervisor.states.values()) == {MachineState.RUNNING}
    assert world.hypervisor.starts == starts
    assert list(world.network.plans) == [f"{GRID}.lan"]
    assert world.volumes.sizes == SIZES
    assert found(world) == {
        f"machine {HEAD}": Found(
            GRID, f"machine {HEAD}", "head-1", "runs", Power.RUNNING, 1, 1, 500, 64 << 20, 0,
            f"of {GRID}".encode(),
        ),
        f"machine {WORKER}": Found(
            GRID, f"machine {WORKER}", "worker-1", "runs", Power.RUNNING, 1, 1, 250, 64 << 20, 0,
            f"of {GRID}".encode(),
        ),
        f"disk {VOLUME}": Found(GRID, f"disk {VOLUME}", detail="of 16 MiB", disk_bytes=16 << 20),
        f"disk {SCRATCH}": Found(GRID, f"disk {SCRATCH}", detail="of 32 MiB", disk_bytes=32 << 20),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "power", "words"),
    [
        (MachineState.PAUSED, Power.PAUSED, "is paused"),
        (MachineState.SAVED, Power.SUSPENDED, "is saved"),
        (MachineState.STOPPED, Power.OFF, "has stopped"),
    ],
)
async def test_what_a_machine_does_is_told(
    world: HostWorld, state: MachineState, power: Power, words: str
) -> None:
    world.hypervisor.change(HEAD, state)
    await look_around(world.tools, [])
    head = found(world)[f"machine {HEAD}"]
    assert (head.power, head.detail) == (power, words)
    assert world.hypervisor.states[HEAD] is state


async def test_a_root_disk_that_nobody_here_remembers_is_kept_and_told(world: HostWorld) -> None:
    root = f"{GRID}.head-1.2"
    image = DiskFile("/image", 1 << 20, Firmware.BIOS)
    await world.roots.ensure(root, image, 8 << 20)
    await look_around(world.tools, [])
    assert list(world.roots.made) == [root]
    what = f"root disk {root}"
    assert found(world)[what] == Found(
        GRID, what, "head-1", "of 8 MiB", build=2, disk_bytes=8 << 20
    )


async def test_of_a_carried_grid_only_the_root_disks_that_are_wanted_stay(
    world: HostWorld,
) -> None:
    image = DiskFile("/image", 1 << 20, Firmware.BIOS)
    for root in ("head-1.1", "worker-9.1", "worker-1.7"):
        await world.roots.ensure(f"{GRID}.{root}", image, 8 << 20)
    world.want()
    assert world.part is not None
    mine = tuple(
        msgspec.structs.replace(p, wanted=msgspec.structs.replace(p.wanted, build=2))
        for p in world.part.mine
    )
    world.part = msgspec.structs.replace(world.part, mine=mine)
    await look_around(world.tools, [GRID])
    assert list(world.roots.made) == [f"{GRID}.worker-1.7"], "a newer one was forgotten, not undone"


async def test_disks_alone_are_kept_with_their_networks(world: HostWorld) -> None:
    for name in (HEAD, WORKER):
        await world.compute.stop(name)
    await look_around(world.tools, [])
    assert list(found(world)) == [f"disk {VOLUME}", f"disk {SCRATCH}"]
    assert world.volumes.sizes == SIZES
    assert list(world.network.plans) == [f"{GRID}.lan"]


async def test_a_network_of_which_nothing_else_is_here_is_nobodys(world: HostWorld) -> None:
    for name in (HEAD, WORKER):
        await world.compute.stop(name)
    for disk in (VOLUME, SCRATCH):
        await world.volumes.remove(disk)
    await look_around(world.tools, [])
    assert world.network.plans == {}
    assert found(world) == {}


async def test_what_a_carried_grid_has_no_more_goes_but_its_volumes_stay(world: HostWorld) -> None:
    assert world.part is not None
    mine = tuple(p for p in world.part.mine if p.workspace.name != "head-1")
    world.part = msgspec.structs.replace(world.part, mine=mine)
    await look_around(world.tools, [GRID])
    assert list(world.hypervisor.machines) == [WORKER]
    assert list(world.volumes.sizes) == [VOLUME]
    assert list(world.network.plans) == [f"{GRID}.lan"]
    assert found(world) == {}


async def test_what_is_carried_is_left_alone(world: HostWorld) -> None:
    await look_around(world.tools, [GRID, GridId("another.0")])
    assert sorted(world.hypervisor.machines) == sorted([HEAD, WORKER])
    assert world.volumes.sizes == SIZES
    assert found(world) == {}


LOST = LostMachine(WORKER, 4711, 1000, 64 << 20)


async def test_a_machine_that_the_hypervisor_has_lost_is_told_and_every_network_stays(
    world: HostWorld,
) -> None:
    for disk in (VOLUME, SCRATCH):
        await world.volumes.remove(disk)
    world.hypervisor.machines.clear()
    world.hypervisor.states.clear()
    world.hypervisor.lost[WORKER] = LOST
    await look_around(world.tools, [])
    words = f"runs {WORKER}, which the hypervisor does not know; `kill 4711` ends it"
    what = "process 4711"
    assert found(world) == {
        what: Found(GridId(""), what, detail=words, cpus_milli=1000, memory_bytes=64 << 20)
    }
    assert list(world.network.plans) == [f"{GRID}.lan"], "it may be on that one"
    assert await world.seeds.observe() == (WORKER,), "its guest may read it again"


async def test_a_machine_that_is_lost_is_not_gone_though_its_grid_is_taken_down(
    world: HostWorld,
) -> None:
    world.hypervisor.machines.pop(HEAD)
    world.hypervisor.states.pop(HEAD)
    world.hypervisor.lost[HEAD] = LostMachine(HEAD, 4711, 1000, 64 << 20)
    gone = dict.fromkeys(("head-1", "worker-1"), Power.GONE)
    world.want(gone, up=False)
    await until(lambda: world.phases("head-1")[-1:] == [Phase.FAILED], "it is told")
    assert world.phase("head-1") == (Phase.FAILED, f"{HEAD} runs already")
    assert world.volumes.sizes == SIZES, "it writes to them"
    world.hypervisor.lost.clear()
    world.want(gone, up=False)
    await until(lambda: world.phases("head-1")[-1:] == [Phase.GONE], "then it is gone")
    assert world.volumes.sizes == {}


async def test_a_machine_that_is_lost_is_not_started_a_second_time(world: HostWorld) -> None:
    world.hypervisor.machines.pop(WORKER)
    world.hypervisor.states.pop(WORKER)
    world.hypervisor.starts.clear()
    world.hypervisor.lost[WORKER] = LOST
    world.want()
    await until(lambda: world.phases("worker-1")[-1:] == [Phase.FAILED], "it is refused")
    assert world.phase("worker-1") == (Phase.FAILED, f"{WORKER} runs already")
    assert world.hypervisor.starts == []
    world.hypervisor.lost.clear()
    world.want()
    await until(lambda: world.phases("worker-1")[-1:] == [Phase.RUNNING], "then it is started")
    assert world.hypervisor.starts == [(WORKER, 1)]


async def test_what_goes_is_told_until_nothing_is_unknown(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strays, "LOOKS_EVERY_S", 0.0)
    part, world.part = world.part, None
    world.hypervisor.lost[WORKER] = LOST
    things = await look_around(world.tools, [])
    task = world.supervisor.spawn("unknown", watch(world.tools, things))
    world.told.clear()
    world.hypervisor.lost.clear()
    await until(lambda: "process 4711" in found(world), "it is seen to be gone")
    await world.compute.stop(HEAD)
    await until(lambda: f"machine {HEAD}" in found(world), "and so is the machine")
    assert all(event.is_gone for event in found(world).values())
    assert len(found(world)) == 2
    world.part = part
    await until(task.done, "the rest is carried")
    assert len(found(world)) == 2


async def test_what_came_in_an_epoch_that_this_host_has_forgotten_runs_on(world: HostWorld) -> None:
    scratch, root = f"{GRID}.worker-1.scratch", f"{GRID}.worker-1.1"
    await world.volumes.ensure(scratch, 8 << 20, "scratch")
    await world.roots.ensure(root, DiskFile("/image", 1 << 20, Firmware.BIOS), 8 << 20)
    world.want({"head-1": Power.RUNNING})
    assert world.part is not None
    before = msgspec.structs.replace(world.part.record, epoch=world.part.record.epoch - 1)
    world.part = msgspec.structs.replace(world.part, record=before)
    assert await look_around(world.tools, [GRID]) == []
    assert world.hypervisor.states[WORKER] is MachineState.RUNNING
    assert scratch in world.volumes.sizes
    assert root in await world.roots.observe()
