"""A workspace of a disk image has a root disk of its own, as long as there is the workspace, and no longer."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until

from overlayd.fakes.images import FakeImages
from overlayd.ports.compute import Cause, Disk, DiskBoot, MachineState
from overlayd.ports.images import DiskFile, ImageFiles, ImageInfo
from overlayd.realise import realiser
from overlayd.realise.paths import grid_of, machine_name, root_name, root_owner
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import ClusterSpec, GridSpec
from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import CHUNK_BYTES, ZERO_LEAF, id_of
from protocol.terms.architecture import Architecture
from protocol.terms.ids import GridId

IMAGE_BYTES = 4 << 20
HEAD, WORKER = (root_name(GRID, name, 1) for name in ("head-1", "worker-1"))
RUNNING = dict.fromkeys(("head-1", "worker-1"), Power.RUNNING)


class DiskImages(FakeImages):
    """An image store that has a disk image, at a path at which there is nothing."""

    def __init__(self, content_bytes: int, firmware: Firmware) -> None:
        super().__init__()
        facts = ImageFacts(ImageKind.DISK, content_bytes, Architecture.X86_64, firmware)
        digest = id_of(facts, [ZERO_LEAF] * -(-content_bytes // CHUNK_BYTES))
        self.info = ImageInfo(digest, ("debian",), facts, ImageNotes(), 0)
        self.file = DiskFile(f"/fake/images/{digest}/content", content_bytes, firmware)

    async def list(self) -> tuple[ImageInfo, ...]:
        return (*await super().list(), self.info)

    async def files(self, digest: str) -> ImageFiles:
        return self.file if digest == self.info.digest else await super().files(digest)


class DiskWorld(HostWorld):
    """A grid whose head has a root disk of a size of its own, and whose workers have one like their image."""

    def __init__(self, folder: Path, content_bytes: int = IMAGE_BYTES) -> None:
        super().__init__(folder)
        self.images = self.disk_images = DiskImages(content_bytes, Firmware.UEFI)

    def spec(self) -> GridSpec:
        plain = super().spec()
        head, worker = (self._of_disk(cluster) for cluster in plain.clusters)
        head = msgspec.structs.replace(head, disk_bytes=16 << 20)
        return msgspec.structs.replace(plain, clusters=(head, worker))

    def _of_disk(self, cluster: ClusterSpec) -> ClusterSpec:
        image = msgspec.structs.replace(cluster.image, digest=self.disk_images.info.digest)
        return msgspec.structs.replace(cluster, image=image)

    def rebuild(self, workspace: str, build: int) -> None:
        """What an order to rebuild one of them comes to."""
        assert self.part is not None
        mine = tuple(
            msgspec.structs.replace(
                p, wanted=msgspec.structs.replace(p.wanted, build=build, boot=p.wanted.boot + 1)
            )
            if p.workspace.name == workspace
            else p
            for p in self.part.mine
        )
        self.part = msgspec.structs.replace(self.part, mine=mine)
        self.realiser.kick(GRID)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiskWorld]:
    monkeypatch.setattr(realiser, "_RETRY_S", (0.0,))
    world = DiskWorld(tmp_path)
    await world.start()
    world.want()
    for name in RUNNING:
        await until(lambda n=name: world.phases(n)[-1:] == [Phase.RUNNING], name)  # type: ignore[misc]
    yield world
    await world.end()


async def test_its_machine_boots_from_a_disk_that_lies_on_the_image(world: DiskWorld) -> None:
    assert await world.roots.observe() == {HEAD: 16 << 20, WORKER: IMAGE_BYTES}
    machine = world.hypervisor.machines[machine_name(GRID, "head-1")]
    image = world.disk_images.file
    root = Disk(f"/fake/roots/{HEAD}/disk.qcow2", "root", "qcow2", backing=image.path)
    assert machine.disks[0] == root
    assert [disk.serial for disk in machine.disks] == ["root", "data", "scratch"]
    assert machine.boots == DiskBoot(Firmware.UEFI, f"/fake/roots/{HEAD}/variables.fd")


@pytest.mark.parametrize("power", [Power.OFF, Power.SUSPENDED, Power.PAUSED])
async def test_it_is_kept_while_nothing_runs(world: DiskWorld, power: Power) -> None:
    world.want(dict.fromkeys(RUNNING, power))
    rests = {Power.OFF: Phase.EXPIRED, Power.SUSPENDED: Phase.SUSPENDED, Power.PAUSED: Phase.PAUSED}
    await until(lambda: world.phases("head-1")[-1:] == [rests[power]], "it rests")
    assert list(world.roots.made) == [HEAD, WORKER]


async def test_it_is_kept_over_restarts_and_deaths_of_the_daemon(world: DiskWorld) -> None:
    await world.end()
    world.told.clear()
    await world.start()
    world.want(boot=2)
    await until(lambda: world.phases("head-1")[-1:] == [Phase.RUNNING], "it runs again")
    assert list(world.roots.made) == [HEAD, WORKER]


async def test_it_goes_with_its_workspace_only(world: DiskWorld) -> None:
    world.want(RUNNING | {"worker-1": Power.GONE})
    await until(lambda: world.phases("worker-1")[-1:] == [Phase.GONE], "the worker is gone")
    assert list(world.roots.made) == [HEAD]


async def test_down_leaves_none_not_even_of_a_forgotten_build(world: DiskWorld) -> None:
    await world.roots.ensure(root_name(GRID, "head-1", 4), world.disk_images.file, 0)
    world.want(dict.fromkeys(RUNNING, Power.GONE), up=False)
    await until(lambda: world.cleared, "all is cleared")
    assert world.roots.made == {}


async def test_a_rebuild_begins_with_the_image_and_ends_what_was(world: DiskWorld) -> None:
    world.rebuild("head-1", 2)
    head = machine_name(GRID, "head-1")
    await until(lambda: (head, 2) in world.hypervisor.starts, "it is started again")
    assert sorted(world.roots.made) == sorted([root_name(GRID, "head-1", 2), WORKER])
    (root, *_) = world.hypervisor.machines[head].disks
    assert root.path == f"/fake/roots/{root_name(GRID, 'head-1', 2)}/disk.qcow2"
    assert world.hypervisor.states[head] is MachineState.RUNNING


async def test_a_rebuild_asks_the_guest_before_its_disk_goes(world: DiskWorld) -> None:
    head = machine_name(GRID, "head-1")
    world.hypervisor.deaf.add(head)
    world.stop_within_s = 600
    world.want()
    world.rebuild("head-1", 2)
    await until(lambda: world.phases("head-1")[-1:] == [Phase.ENDING], "it is asked")
    assert sorted(world.roots.made) == [HEAD, WORKER], "its disk is there while it shuts down"
    world.hypervisor.end(head, Cause.POWERED_OFF)
    await until(lambda: (head, 2) in world.hypervisor.starts, "it is started again")
    assert sorted(world.roots.made) == sorted([root_name(GRID, "head-1", 2), WORKER])
    assert world.hypervisor.machines[head].build == 2


async def test_an_image_too_large_for_the_root_disk_ends_nothing(world: DiskWorld) -> None:
    image = world.disk_images.file
    world.disk_images.file = msgspec.structs.replace(image, bytes=17 << 20)
    world.rebuild("head-1", 2)
    await until(lambda: world.phases("head-1")[-1:] == [Phase.FAILED], "it is told")
    said = world.details("head-1")[-1]
    assert said.startswith("image guest has 17 MiB, and the root disk has 16 MiB")
    assert said.endswith("until then its last start runs on")
    assert sorted(world.roots.made) == [HEAD, WORKER]
    assert world.hypervisor.states[machine_name(GRID, "head-1")] is MachineState.RUNNING


async def test_what_a_grid_has_of_the_disk_is_promised_once(world: DiskWorld) -> None:
    have = await world.realiser.disk_bytes()
    assert have == await world.volumes.free_bytes() + sum(world.volumes.sizes.values()) + (
        (16 << 20) + IMAGE_BYTES
    )


async def test_a_root_smaller_than_its_image_is_told_with_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realiser, "_RETRY_S", (60.0,))
    world = DiskWorld(tmp_path, 64 << 20)
    await world.start()
    world.want()
    await until(lambda: world.phases("head-1")[-1:] == [Phase.FAILED], "it is told")
    assert "smaller than its image" in world.details("head-1")[-1]
    await world.end()


def test_a_root_says_whose_it_is() -> None:
    grid = GridId("0123456789abcdef0123.1-abcdef")
    root = root_name(grid, "head-1", 12)
    assert (grid_of(root), root_owner(root)) == (grid, ("head-1", 12))


@pytest.mark.parametrize("name", ["", "a", "a.b", "a.b.c", "a.b.c.", "a.b.c.x", "a.b.c.1.2"])
def test_what_is_no_root_belongs_to_nobody(name: str) -> None:
    assert root_owner(name) == ("", 0)
