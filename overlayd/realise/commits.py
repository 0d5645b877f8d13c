"""Making an image of a workspace's root disk while its guest stands still for a moment.

Before that moment the image below is cloned, and after it what was written is hashed: the guest waits only for
what it wrote to be copied. Its file systems are frozen by its agent if it has one. Then it is paused, which
also makes the hypervisor write all that it still holds. A mark on disk says so: what a death of this daemon
leaves frozen is found at the next start, and a guest that is paused goes on anyway.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from overlayd.ports.commits import CommitError, Commits, CommitWatch, Draft
from overlayd.ports.compute import Compute, ComputeError, MachineSeen, MachineState
from overlayd.ports.images import DiskFile, ImageInfo, Images
from overlayd.realise.paths import machine_name, root_name
from overlayd.telemetry.logs import logger
from protocol.grid.problem import listed
from protocol.hosting.part import Part, PartOf
from protocol.terms.ids import GridId
from protocol.terms.quantities import counted, format_size
from protocol.trust.owner import admin

STILL_MOST_S = 60.0
"""A guest that stands still for longer is missed: by its peers, its clock, and who works on it."""
IMAGES_MOST = 16
"""Images made of root disks that one owner may have on one host; one with several names counts by name."""
BYTES_MOST = 64 << 30
"""What they may take of its disk before another one is begun, or a quarter of a small disk."""
THAW_TRIES = 20
THAW_EVERY_S = 3.0

FROZEN = "its file systems were frozen by its agent"
PAUSED = "it was paused; it has no agent that answers, so its file systems are as after a power cut"
RESTED = "it did not run"


@dataclass(frozen=True)
class Tools:
    """The ports that a commit works with."""

    compute: Compute
    images: Images
    commits: Commits
    part_of: Callable[[GridId], Part | None]
    images_changed: Callable[[], Awaitable[None]]
    still: set[str]
    """The machines that are held still now. The realiser does not wake them."""
    host: str
    disk_bytes: Callable[[], int]
    """How large the disk is that images lie on."""


class Committer:
    """Makes one image after another of this host's root disks."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._turn = asyncio.Lock()

    async def commit(
        self, grid: GridId, workspace: str, name: str, watch: CommitWatch
    ) -> tuple[ImageInfo, str]:
        """(the image, how its guest was held still). Raises CommitError, ImageError or ComputeError."""
        async with self._turn:
            part, mine = self._find(grid, workspace)
            await self._allow(part)
            base = await self._below(mine, name)
            root = root_name(grid, workspace, mine.wanted.build)
            draft = await self._tools.commits.begin(root, base, watch)
            try:
                draft, how = await self._fill(part, mine, root, draft, watch)
                leaves = await self._tools.commits.leaves(draft, base, watch)
                return await self._keep(part, mine, draft, leaves, name), how
            finally:
                watch.stop()
                await self._tools.commits.discard(draft)

    async def mend(self) -> None:
        """Lets go on what an earlier life has left frozen. It is tried for a while, then it is given up."""
        for machine in await self._tools.commits.marked():
            for _ in range(THAW_TRIES):
                if await self._mended(machine):
                    break
                await asyncio.sleep(THAW_EVERY_S)
            else:
                logger().warning("commit.frozen", machine=machine)

    async def _mended(self, machine: str) -> bool:
        """Lets a machine's file systems go on, unless a commit of this life holds them. False if it cannot."""
        async with self._turn:
            try:
                mended = not await self._runs(machine) or await self._tools.compute.thaw(machine)
            except ComputeError:
                return False
            if mended:
                await self._tools.commits.unmark(machine)
            return mended

    def _find(self, grid: GridId, workspace: str) -> tuple[Part, PartOf]:
        part = self._tools.part_of(grid)
        mine = [p for p in part.mine if p.workspace.name == workspace] if part else []
        if part is None or not mine:
            raise CommitError("its host does not carry it any more")
        return part, mine[0]

    async def _allow(self, part: Part) -> None:
        """Raises CommitError if its owner has as many images made of root disks here as one may have."""
        owner = part.record.owner
        made = [info for info in await self._tools.images.list() if info.owner == owner]
        size_bytes = sum(info.size_bytes for info in made)
        most_bytes = min(BYTES_MOST, self._tools.disk_bytes() // 4)
        names = [name for info in made for name in info.names or (info.digest[:12],)]
        if len(names) < IMAGES_MOST and size_bytes < most_bytes:
            return
        raise CommitError(
            f"{admin(part.record.owner_site)} has {counted(len(names), 'image')} made of root disks there, "
            f"{format_size(size_bytes)}: {listed(names, 3)}; at most {IMAGES_MOST} are kept, and none is begun "
            f"above {format_size(most_bytes)}; what works: `overlayctl image remove` of one on that host"
        )

    async def _below(self, mine: PartOf, name: str) -> DiskFile:
        digest = mine.workspace.image.digest
        infos = await self._tools.images.list()
        if taken := next((i for i in infos if name in i.names), None):
            raise CommitError(
                f"this host has an image {name} already, {taken.digest[:12]}; "
                "what works: another --name, or remove that one"
            )
        below = next((info for info in infos if info.digest == digest), None)
        if below is None:
            raise CommitError("the image it began as is not on its host yet")
        base = await self._tools.images.files(digest)
        if not isinstance(base, DiskFile):
            raise CommitError(
                f"its image is of kind {below.facts.kind}, which has no root disk to make an image of"
            )
        return base

    async def _fill(
        self, part: Part, mine: PartOf, root: str, draft: Draft, watch: CommitWatch
    ) -> tuple[Draft, str]:
        machine = machine_name(part.record.id, mine.workspace.name)
        seen = await self._seen(machine)
        commits = self._tools.commits
        if seen is None or seen.state in (MachineState.STOPPED, MachineState.SAVED):
            draft = await commits.fill(draft, root, None, watch)
            await self._require(machine, seen)
            return draft, RESTED
        async with self._still(seen) as how:
            draft = await commits.fill(draft, root, STILL_MOST_S, watch)
            await self._require(machine, seen)
        return draft, how

    async def _require(self, machine: str, before: MachineSeen | None) -> None:
        """Raises CommitError if the machine wrote to its disk meanwhile, or may have."""
        now = await self._seen(machine)
        same = (now is None) if before is None else now is not None and now.boot == before.boot
        if not same or (now is not None and now.state is MachineState.RUNNING):
            raise CommitError("it was started or let go on meanwhile; once more works")

    @asynccontextmanager
    async def _still(self, seen: MachineSeen) -> AsyncIterator[str]:
        """Holds a machine still. Afterwards it does what it did before, whatever happens."""
        tools, name = self._tools, seen.name
        runs, frozen = seen.state is MachineState.RUNNING, False
        await tools.commits.mark(name)
        tools.still.add(name)
        try:
            frozen = runs and await tools.compute.freeze(name)
            await tools.compute.pause(name)
            yield FROZEN if frozen else PAUSED
        finally:
            tools.still.discard(name)
            if not runs or await self._goes_on(name, frozen):
                await tools.commits.unmark(name)

    async def _goes_on(self, machine: str, frozen: bool) -> bool:
        """Lets a machine go on. False if it may still be frozen: it keeps its mark for the next life."""
        compute = self._tools.compute
        try:
            await compute.resume(machine)
            thawed = await compute.thaw(machine)
            for _ in range(THAW_TRIES if frozen else 0):
                if thawed:
                    break
                await asyncio.sleep(THAW_EVERY_S)
                thawed = await compute.thaw(machine)
            await compute.set_clock(machine)
        except (
            ComputeError
        ):  # It ended meanwhile, then nothing waits, or its hypervisor does not answer.
            return not frozen
        return thawed or not frozen

    async def _keep(
        self, part: Part, mine: PartOf, draft: Draft, leaves: bytes, name: str
    ) -> ImageInfo:
        infos = await self._tools.images.list()
        below = next(i for i in infos if i.digest == mine.workspace.image.digest)
        facts = msgspec.structs.replace(below.facts, content_bytes=draft.size_bytes)
        origin = f"{part.record.name}/{mine.workspace.name}, which began as {below.name}"
        notes = msgspec.structs.replace(below.notes, added_by=self._tools.host, origin=origin)
        info = await self._tools.images.keep_disk(
            draft.folder, facts, notes, leaves, name, part.record.owner
        )
        await self._tools.images_changed()
        return info

    async def _seen(self, machine: str) -> MachineSeen | None:
        seen = await self._tools.compute.observe()
        return next((one for one in seen if one.name == machine), None)

    async def _runs(self, machine: str) -> bool:
        seen = await self._seen(machine)
        return seen is not None and seen.state in (MachineState.RUNNING, MachineState.PAUSED)
