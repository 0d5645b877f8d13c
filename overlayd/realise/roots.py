"""What a workspace's machine boots from, and its root disk: made before the machine, and cleared after it."""

from collections.abc import Iterable
from typing import assert_never

from overlayd.ports.compute import Boots, Compute, ContainerBoot, Disk, DiskBoot, KernelBoot
from overlayd.ports.images import DiskFile, ImageError, ImageFiles, KernelFiles, TreeFile
from overlayd.ports.roots import RootError, Roots
from overlayd.realise.paths import grid_of, machine_name, root_name, root_owner
from overlayd.telemetry.logs import logger
from protocol.hosting.part import Part, PartOf
from protocol.terms.ids import GridId
from protocol.terms.quantities import format_size

ROOT = "root"
"""The serial by which a guest finds its root disk."""


async def boot(
    roots: Roots, part: Part, mine: PartOf, image: ImageFiles, containers: bool
) -> tuple[Boots, tuple[Disk, ...]]:
    """What the machine boots from, and its root disk if it has one, which is made if it is not there.

    `containers`: whether this host's guests are. Raises RootError; ImageError for an image of the other kind.
    """
    called = mine.workspace.image.name
    match image:
        case KernelFiles(kernel, initrd, cmdline):
            return KernelBoot(kernel, initrd, cmdline), ()
        case DiskFile() if containers:
            raise ImageError(f"image {called} is a virtual machine's; this host runs containers")
        case DiskFile(path=base, firmware=firmware):
            name = root_name(part.record.id, mine.workspace.name, mine.wanted.build)
            root = await roots.ensure(name, image, mine.workspace.root_bytes)
            disk = Disk(root.path, serial=ROOT, format="qcow2", backing=base)
            return DiskBoot(firmware, root.variables), (disk,)
        case TreeFile() if not containers:
            raise ImageError(f"image {called} is a container's, which this host does not run")
        case TreeFile():
            name = root_name(part.record.id, mine.workspace.name, mine.wanted.build)
            root = await roots.ensure(name, image, mine.workspace.root_bytes)
            return ContainerBoot(root.path), ()
        case unknown:
            assert_never(unknown)


def require_fits(mine: PartOf, image: ImageFiles) -> None:
    """Raises RootError for a rebuild of an image that is too large, before anything is ended for it."""
    has = mine.workspace.root_bytes
    if mine.wanted.build > 1 and isinstance(image, DiskFile) and 0 < has < image.bytes:
        name, needs = mine.workspace.image.name, format_size(image.bytes)
        raise RootError(f"image {name} has {needs}, and the root disk has {format_size(has)}")


async def clear_older(roots: Roots, compute: Compute, grid: GridId, mine: PartOf) -> None:
    """Removes the root disks of earlier builds of a workspace. A machine that still uses one is ended first."""
    workspace = mine.workspace.name
    older = [
        root
        for root in await _of(roots, grid)
        if root_owner(root)[0] == workspace and root_owner(root)[1] < mine.wanted.build
    ]
    if older:
        await compute.stop(machine_name(grid, workspace))
    for root in older:
        await _remove(roots, root)


async def end_before_growth(roots: Roots, compute: Compute, grid: GridId, mine: PartOf) -> None:
    """A root disk grows while nobody has it open: a machine of an earlier start is ended first."""
    workspace = mine.workspace
    root = root_name(grid, workspace.name, mine.wanted.build)
    if 0 < (await roots.observe()).get(root, 0) < workspace.root_bytes:
        await compute.stop(machine_name(grid, workspace.name))


async def clear(roots: Roots, grid: GridId, workspace: str) -> None:
    """Removes every root disk of a workspace."""
    for root in await _of(roots, grid):
        if root_owner(root)[0] == workspace:
            await _remove(roots, root)


async def clear_others(roots: Roots, grid: GridId, workspaces: Iterable[str]) -> None:
    """Removes the root disks that a grid has here for workspaces other than those."""
    kept = [*workspaces]
    for root in await _of(roots, grid):
        if root_owner(root)[0] not in kept:
            await _remove(roots, root)


async def _of(roots: Roots, grid: GridId) -> list[str]:
    return [root for root in await roots.observe() if grid_of(root) == grid]


async def _remove(roots: Roots, root: str) -> None:
    logger().info("root.deleted", root=root)
    await roots.remove(root)
