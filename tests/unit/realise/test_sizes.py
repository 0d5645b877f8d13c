"""Machines that are to have other sizes: changed while they run, again and again until it is so, and told."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until, up

from overlayd.ports.compute import DiskRate, MachineSeen, MachineState, Sizes
from overlayd.realise import sizes
from overlayd.realise.paths import machine_name
from overlayd.realise.sizes import differs
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import Mount
from protocol.hosting.events import Happened, MemorySeen

HEAD = machine_name(GRID, "head-1")
MIB = 1 << 20
ROOM = {"max_cpus_milli": 4000, "max_memory_bytes": 256 * MIB}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    """The head has room to grow."""
    monkeypatch.setattr(sizes, "AGAIN_S", (0.0,))
    made = HostWorld(tmp_path)
    await made.start()
    made.want()
    want(made, **ROOM)
    await until(lambda: made.state("head-1") is MachineState.RUNNING, "the head runs")
    await until(lambda: made.phase("head-1") == (Phase.RUNNING, ""), "and it is told")
    yield made
    await made.end()


def want(world: HostWorld, boot: int = 1, **changes: object) -> None:
    """The head is to be otherwise than it was."""
    assert world.part is not None
    head, *others = world.part.mine
    workspace = msgspec.structs.replace(head.workspace, **changes)
    wanted = msgspec.structs.replace(head.wanted, boot=boot)
    head = msgspec.structs.replace(head, workspace=workspace, wanted=wanted)
    world.part = msgspec.structs.replace(world.part, mine=(head, *others))
    world.realiser.kick(GRID)


def has(world: HostWorld) -> Sizes:
    return world.hypervisor.machines[HEAD].sizes


def resized(world: HostWorld) -> list[str]:
    return [e.detail for e in world.told if isinstance(e, Happened) and e.kind == sizes.RESIZED]


async def test_a_machine_is_given_its_new_sizes_without_a_start(world: HostWorld) -> None:
    want(world, cpus_milli=1500, memory_bytes=128 * MIB)
    await until(lambda: has(world) == Sizes(1500, 2, 128 * MIB), "it is resized")
    await until(lambda: resized(world), "and that is told")
    assert resized(world) == ["has 1.5 cpus, 128 MiB of memory, without a restart"]
    assert world.hypervisor.starts.count((HEAD, 1)) == 1
    assert world.phase("head-1") == (Phase.RUNNING, "")
    want(world, cpus_milli=250, memory_bytes=64 * MIB)
    await until(lambda: has(world) == Sizes(250, 2, 64 * MIB), "and back; the cap holds its cpus")
    await until(lambda: len(resized(world)) == 2, "and that is told")


async def test_a_rate_of_disks_is_told_with_its_sizes_and_mended(world: HostWorld) -> None:
    want(world, disk_bytes_s=50 * MIB, disk_operations_s=500)
    await until(lambda: has(world).disk_rate == DiskRate(50 * MIB, 500), "it is resized")
    await until(lambda: resized(world), "and that is told")
    said = "has 0.5 cpus, 64 MiB of memory, 50 MiB/s of its disks, 500 operations/s of them"
    assert resized(world) == [f"{said}, without a restart"]
    lost = msgspec.structs.replace(world.hypervisor.machines[HEAD], disk_rate=DiskRate(-1, -1))
    world.hypervisor.machines[HEAD] = lost
    world.realiser.kick(GRID)
    await until(lambda: has(world).disk_rate == DiskRate(50 * MIB, 500), "somebody took it away")
    assert world.hypervisor.starts.count((HEAD, 1)) == 1


async def test_a_guest_without_a_rate_is_held_to_that_of_its_host(tmp_path: Path) -> None:
    world = HostWorld(tmp_path, guest_disk=DiskRate(20 * MIB, 100))
    await world.start()
    world.want()
    want(world, disk_operations_s=500)
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, ""), "it runs")
    assert has(world).disk_rate == DiskRate(20 * MIB, 500), "its own comes first"
    assert not world.hypervisor.resizes, "it was started so"
    await world.end()


async def test_what_needs_a_restart_is_said_and_not_tried_for_ever(world: HostWorld) -> None:
    want(world, cpus_milli=6000, memory_bytes=512 * MIB)
    await until(lambda: "needs a restart" in world.phase("head-1")[1], "it is said")
    assert has(world) == Sizes(6000, 4, 256 * MIB), "as far as it goes"
    assert "6 cpus" in world.phase("head-1")[1]
    asked = len(world.hypervisor.resizes)
    for _ in range(20):
        world.realiser.kick(GRID)
        await until(lambda: True, "a turn")
    assert len(world.hypervisor.resizes) <= asked + 1
    want(world, boot=2)
    await until(lambda: has(world) == Sizes(6000, 6, 512 * MIB), "a restart brings all of it")
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, ""), "and that is told")


async def test_a_guest_that_uses_its_memory_keeps_it_and_is_asked_again(world: HostWorld) -> None:
    want(world, memory_bytes=256 * MIB)
    await until(lambda: has(world).memory_bytes == 256 * MIB, "it grows")
    world.answer("head-1")
    await until(lambda: world.phase("head-1") == (Phase.REACHABLE, ""), "it answers")
    world.hypervisor.uses[HEAD] = 200 * MIB
    want(world, memory_bytes=64 * MIB)
    await until(lambda: "its guest uses" in world.phase("head-1")[1], "it is said why not")
    assert world.phase("head-1")[0] is Phase.REACHABLE
    assert has(world).memory_bytes == 200 * MIB
    world.hypervisor.uses[HEAD] = 0
    await until(lambda: has(world).memory_bytes == 64 * MIB, "nobody asked for it again")
    await until(lambda: world.phase("head-1") == (Phase.REACHABLE, ""), "nothing is amiss")


async def test_a_change_while_no_daemon_ran_is_made_by_the_next(world: HostWorld) -> None:
    await world.end()
    await world.start()
    want(world, cpus_milli=1000, memory_bytes=96 * MIB)
    await until(lambda: has(world) == Sizes(1000, 1, 96 * MIB), "it is resized")
    assert world.hypervisor.starts.count((HEAD, 1)) == 1


async def test_a_paused_machine_has_its_new_sizes_when_it_goes_on(world: HostWorld) -> None:
    world.want({"head-1": Power.PAUSED, "worker-1": Power.RUNNING})
    want(world, cpus_milli=1000, **ROOM)
    await until(lambda: world.state("head-1") is MachineState.PAUSED, "it is paused")
    await until(lambda: world.phase("head-1") == (Phase.PAUSED, ""), "and it is told")
    assert has(world).cpu_milli == 500
    world.want()
    want(world, cpus_milli=1000, **ROOM)
    await until(lambda: has(world).cpu_milli == 1000, "it goes on with them")


async def test_a_suspended_machine_is_restored_with_its_new_sizes(world: HostWorld) -> None:
    world.want({"head-1": Power.SUSPENDED, "worker-1": Power.RUNNING})
    want(world, **ROOM)
    await until(lambda: world.state("head-1") is MachineState.SAVED, "it is saved")
    world.want()
    want(world, cpus_milli=1000, memory_bytes=128 * MIB, **ROOM)
    await until(lambda: has(world) == Sizes(1000, 1, 128 * MIB), "it goes on with them")
    assert world.hypervisor.starts.count((HEAD, 1)) == 1


async def test_what_a_resize_says_when_it_fails_is_told(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(name: str, wanted: Sizes) -> None:
        raise sizes.ComputeError("libvirt says: no")

    with monkeypatch.context() as patch:
        patch.setattr(world.compute, "resize", refuses)
        want(world, cpus_milli=1000)
        await until(lambda: "libvirt says: no" in world.phase("head-1")[1], "it is told")
    await until(lambda: has(world).cpu_milli == 1000, "and tried again")


async def test_a_restart_takes_all_that_is_new_of_a_workspace(world: HostWorld) -> None:
    """Networks, mounts, disks and how far it can grow are its machine's, which is made anew."""
    before = world.hypervisor.machines[HEAD]
    changes = {"mounts": (Mount("data", "/data"),), "networks": (), "max_cpus_milli": 8000}
    want(world, **changes)
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, ""), "it runs on")
    assert world.hypervisor.machines[HEAD] == before, "nothing of that changes while it runs"
    assert world.part is not None
    grown = tuple(
        msgspec.structs.replace(volume, size_bytes=32 * MIB) for volume in world.part.spec.volumes
    )
    spec = msgspec.structs.replace(world.part.spec, volumes=grown)
    world.part = msgspec.structs.replace(world.part, spec=spec)
    want(world, boot=2)
    await until(lambda: (HEAD, 2) in world.hypervisor.starts, "it is started again")
    assert world.volumes.sizes[f"{GRID}.data"] == 32 * MIB
    now = world.hypervisor.machines[HEAD]
    assert (now.nics, now.vcpus_max) == ((), 8)
    assert [disk.mount for disk in now.disks] == ["/data", "/scratch"]
    assert world.seeds.seeds[HEAD].nics == ()
    assert world.seeds.seeds[HEAD].mounts == (("scratch", "/scratch"), ("data", "/data"))


async def test_others_are_not_touched(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.resizes.clear()
    want(world, cpus_milli=1000, **ROOM)
    await until(lambda: has(world).cpu_milli == 1000, "it is resized")
    assert {name for name, _ in world.hypervisor.resizes} == {HEAD}


@pytest.mark.parametrize(
    ("cpu_milli", "vcpus", "memory_bytes", "other"),
    [
        (1500, 2, 64 * MIB, False),
        (1500, 0, 64 * MIB, False),
        (1500, 4, 64 * MIB + 512, False),
        (1500, 1, 64 * MIB, True),
        (1400, 2, 64 * MIB, True),
        (1500, 2, 65 * MIB, True),
    ],
)
def test_more_cpus_than_it_needs_are_no_difference(
    cpu_milli: int, vcpus: int, memory_bytes: int, other: bool
) -> None:
    seen = MachineSeen("m", "u", MachineState.RUNNING, 1, 0.0, cpu_milli, memory_bytes, vcpus=vcpus)
    assert differs(seen, Sizes(1500, 2, 64 * MIB)) is other


async def test_what_a_machine_has_is_told_while_its_guest_is_to_give_back(world: HostWorld) -> None:
    def seen() -> list[tuple[str, int]]:
        return [(e.workspace, e.memory_bytes) for e in world.told if isinstance(e, MemorySeen)]

    assert world.part is not None
    head, *others = world.part.mine
    head = msgspec.structs.replace(head, gives_back=True)
    world.part = msgspec.structs.replace(world.part, mine=(head, *others))
    want(world, memory_bytes=32 * MIB)
    await until(lambda: ("head-1", 32 * MIB) in seen(), "that it has less is told")
    assert seen()[0] == ("head-1", 64 * MIB)
    assert {name for name, _ in seen()} == {"head-1"}
    await world.end()
    world.told.clear()
    await world.start()
    world.realiser.kick(GRID)
    await until(lambda: ("head-1", 32 * MIB) in seen(), "also by the next daemon")
