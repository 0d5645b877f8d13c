"""A grid's disks on this host: its volumes, and the scratch disks of its workspaces."""

from overlayd.ports.roots import Roots
from overlayd.ports.volumes import Volumes
from overlayd.realise import plan, roots
from overlayd.realise.paths import grid_of, scratch_name, volume_name
from overlayd.telemetry.logs import logger
from protocol.grid.lifecycle import Power
from protocol.hosting.part import Part, PartOf


async def ensure(volumes: Volumes, part: Part, mine: PartOf) -> dict[str, str]:
    """Makes a workspace's disks, unless they are there. What the guest calls each, and its path.

    Raises VolumeError.
    """
    return {
        name: await volumes.ensure(disk, size_bytes, name)
        for name, disk, size_bytes in plan.disks(part, mine)
    }


async def drop(volumes: Volumes, all_roots: Roots, part: Part) -> None:
    """Deletes what is not to be kept of a grid's disks, root disks too. Raises VolumeError, RootError."""
    grid = part.record.id
    there = [mine.workspace.name for mine in part.mine if mine.wanted.power is not Power.GONE]
    kept = {volume_name(grid, volume) for volume in part.keeps}
    kept |= {scratch_name(grid, workspace) for workspace in there}
    for disk in await volumes.observe():
        if grid_of(disk) == grid and disk not in kept:
            logger().info("disk.deleted", disk=disk)
            await volumes.remove(disk)
    await roots.clear_others(all_roots, grid, there)
