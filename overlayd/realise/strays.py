"""What is on a host and belongs to no grid that it carries: found at the start, and told to the node.

What a carried grid has no more is left over from a death at a bad moment, and goes; unless a machine shows that
this host has forgotten an epoch, which may have brought it. Of a grid that this host
does not carry it may have lost the memory. So its machines go on, its disks stay and its networks with them,
and the node asks the stewards what is to become of it. Only a network without machine and disk is nobody's.
"""

import asyncio
from collections.abc import Iterable

import msgspec

from overlayd.ports.compute import ComputeError, LostMachine, MachineSeen, MachineState
from overlayd.ports.volumes import VolumeError
from overlayd.realise.leftovers import clear_files
from overlayd.realise.paths import grid_of, is_scratch, machine_name, root_owner, scratch_name
from overlayd.realise.realiser import Tools
from overlayd.telemetry.logs import logger
from protocol.grid.lifecycle import Power
from protocol.hosting.events import Found
from protocol.terms.ids import GridId
from protocol.terms.quantities import format_size

LOOKS_EVERY_S = 10.0
PROCESS = "process "
"""How what is found begins if it is a machine that its hypervisor has lost."""
ROOT_DISK = "root disk "
"""How what is found begins if it is a root disk."""
_POWERS = {
    MachineState.RUNNING: Power.RUNNING,
    MachineState.PAUSED: Power.PAUSED,
    MachineState.SAVED: Power.SUSPENDED,
    MachineState.STOPPED: Power.OFF,
}
_WORDS = {
    MachineState.RUNNING: "runs",
    MachineState.PAUSED: "is paused",
    MachineState.SAVED: "is saved",
    MachineState.STOPPED: "has stopped",
}


async def look_around(tools: Tools, carried: Iterable[GridId]) -> list[Found]:
    """Clears what is left over of carried grids; tells, and answers, what is found of any other."""
    grids = dict.fromkeys(carried)
    ours = _names(tools, grids)
    seen = await tools.compute.observe()
    spared = _forgotten(tools, grids, seen)
    found = await _machines(tools, grids, ours, spared)
    found += await _disks(tools, grids, ours, spared)
    found += await _roots(tools, grids, spared)
    unknown = {thing.grid for thing in found}
    lost = await tools.compute.lost()
    found += [lost_found(machine) for machine in lost]
    # Nothing says which networks a lost machine is on.
    for network in () if lost else await tools.network.observe():
        grid = grid_of(network)
        if grid not in grids and grid not in unknown:
            logger().warning("stray.network", network=network)
            await tools.network.remove(network)
    there = {seen.name for seen in await tools.compute.observe()}
    there |= {machine.name for machine in lost}
    await clear_files(tools.compute, tools.seeds, tools.paths.consoles, ours | there)
    for thing in found:
        logger().warning("found.unknown", what=thing.what, grid=thing.grid, detail=thing.detail)
        tools.tell(thing)
    return found


async def watch(tools: Tools, found: list[Found]) -> None:
    """Looks again now and then, and tells what of that has gone. It ends when nothing of it is unknown."""
    while found := [thing for thing in found if tools.part_of(thing.grid) is None]:
        await asyncio.sleep(LOOKS_EVERY_S)
        try:
            there = await _there(tools)
        except (ComputeError, VolumeError) as error:
            logger().warning("found.looked", error=str(error))
            continue
        for thing in [thing for thing in found if thing.what not in there]:
            tools.tell(msgspec.structs.replace(thing, is_gone=True))
        found = [thing for thing in found if thing.what in there]


async def _there(tools: Tools) -> set[str]:
    """Everything that is here, by the names that the node was told."""
    there = {machine_found(seen).what for seen in await tools.compute.observe()}
    there |= {disk_found(disk, 0).what for disk in await tools.volumes.observe()}
    there |= {root_found(root, 0).what for root in await tools.roots.observe()}
    return there | {lost_found(machine).what for machine in await tools.compute.lost()}


def _names(tools: Tools, carried: Iterable[GridId]) -> set[str]:
    """The names of the machines and of the workspaces' own disks that carried grids have here."""
    names = set()
    for grid in carried:
        part = tools.part_of(grid)
        for workspace in (p.workspace.name for p in part.mine) if part else ():
            names |= {machine_name(grid, workspace), scratch_name(grid, workspace)}
    return names


def _forgotten(
    tools: Tools, carried: Iterable[GridId], machines: Iterable[MachineSeen]
) -> frozenset[GridId]:
    """Carried grids with a machine of a later epoch than this host remembers. Their stewards tell it soon."""
    parts = {grid: tools.part_of(grid) for grid in carried}
    known = {grid: part.record.epoch for grid, part in parts.items() if part is not None}
    shown = {(seen.grid, seen.epoch) for seen in machines}
    return frozenset(GridId(g) for g, epoch in sorted(shown) if known.get(GridId(g), epoch) < epoch)


async def _machines(
    tools: Tools, carried: dict[GridId, None], ours: set[str], spared: frozenset[GridId]
) -> list[Found]:
    found = []
    for seen in await tools.compute.observe():
        if seen.name in ours or seen.grid in spared:
            continue
        if seen.grid in carried:
            logger().warning("stray.machine", name=seen.name)
            await tools.compute.stop(seen.name)
        else:
            found.append(machine_found(seen))
    return found


async def _disks(
    tools: Tools, carried: dict[GridId, None], ours: set[str], spared: frozenset[GridId]
) -> list[Found]:
    found = []
    for disk, size_bytes in (await tools.volumes.observe()).items():
        grid = grid_of(disk)
        if grid not in carried:
            found.append(disk_found(disk, size_bytes))
        elif is_scratch(disk) and disk not in ours and grid not in spared:
            logger().warning("stray.scratch", disk=disk)
            await tools.volumes.remove(disk)
    return found


async def _roots(
    tools: Tools, carried: dict[GridId, None], spared: frozenset[GridId]
) -> list[Found]:
    found = []
    for root, size_bytes in (await tools.roots.observe()).items():
        grid = grid_of(root)
        if grid not in carried:
            found.append(root_found(root, size_bytes))
            continue
        if grid in spared:
            continue
        part = tools.part_of(grid)
        builds = {p.workspace.name: p.wanted.build for p in part.mine} if part else {}
        workspace, build = root_owner(root)
        # One of a newer build stays: this host may have lost its memory of that.
        if workspace not in builds or build < builds[workspace]:
            logger().warning("stray.root", root=root)
            await tools.roots.remove(root)
    return found


def machine_found(seen: MachineSeen) -> Found:
    """A machine, as the node is told of it."""
    return Found(
        grid=GridId(seen.grid),
        what=f"machine {seen.name}",
        workspace=seen.workspace,
        detail=_WORDS[seen.state],
        power=_POWERS[seen.state],
        boot=seen.boot,
        build=seen.build,
        cpus_milli=seen.cpu_milli,
        memory_bytes=seen.memory_bytes,
        keepsake=seen.keepsake,
    )


def disk_found(disk: str, size_bytes: int) -> Found:
    """A disk, as the node is told of it."""
    size = f"of {format_size(size_bytes)}"
    return Found(grid_of(disk), f"disk {disk}", detail=size, disk_bytes=size_bytes)


def root_found(root: str, size_bytes: int) -> Found:
    """A root disk, as the node is told of it."""
    workspace, build = root_owner(root)
    size = f"of {format_size(size_bytes)}"
    what = f"{ROOT_DISK}{root}"
    return Found(grid_of(root), what, workspace, size, build=build, disk_bytes=size_bytes)


def lost_found(lost: LostMachine) -> Found:
    """A machine that its hypervisor has lost, as the node is told of it."""
    what = f"runs {lost.name}, which the hypervisor does not know; `kill {lost.pid}` ends it"
    return Found(
        grid=GridId(""),
        what=f"{PROCESS}{lost.pid}",
        detail=what,
        cpus_milli=lost.cpus_milli,
        memory_bytes=lost.memory_bytes,
    )
