"""The realiser: brings about what the node wants of each grid on this host, however often it is asked.

There is one task for each grid, and it is level-triggered. It takes the newest wanted state, compares it with
what the ports observe, and mends the difference by idempotent steps. There is no journal of steps: what is
wanted is on disk, what is there is observed, and a daemon that was killed between any two steps finds both
again.

The order: machines that must go or be saved; networks; image, disks, seed and start of each workspace,
providers first; and last, what nothing needs any more. A step that fails is told and tried again, with growing
pauses, until what is wanted changes. A guest that ends by itself is started again (relapses.py says when).
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from overlayd.ports.compute import Compute, ComputeError, Machine, MachineSeen, MachineState
from overlayd.ports.images import ImageError, Images
from overlayd.ports.network import Network, NetworkError
from overlayd.ports.roots import RootError, Roots
from overlayd.ports.seeds import SeedError, Seeds
from overlayd.ports.volumes import VolumeError, Volumes
from overlayd.realise import disks, plan, roots
from overlayd.realise.cards import Cards
from overlayd.realise.endings import Endings
from overlayd.realise.fetch import Fetcher
from overlayd.realise.image_here import image_here
from overlayd.realise.keeping import Carrying, Keeping, Opening
from overlayd.realise.paths import Paths, machine_name, scratch_name
from overlayd.realise.relapses import Relapses, stays_off
from overlayd.realise.sizes import MachineSizes
from overlayd.realise.turns import Turns
from overlayd.realise.upkeep import Upkeep
from overlayd.realise.user_data import WAITS, UserData, no_user_data, of_workspace
from overlayd.realise.waiting import Waiting
from overlayd.realise.watch import Watch
from overlayd.telemetry.logs import logger
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.events import Care, Cleared, Kept, Measured, Progressed
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId

_RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_STARTS_AT_ONCE = 4
"""Guests that are started side by side. More would only make each of them slower."""

_ON_THE_WAY = (Phase.IMAGE, Phase.NETWORK, Phase.BOOTING)
"""The phases told during a try. Why the last try failed is told with them."""


class EndsByItself(Exception):
    """A guest that does not stay up gets a rest. The text says how long, and where to look."""


Failure = (
    EndsByItself, ComputeError, ImageError, NetworkError, RootError, SeedError, VolumeError,
    OSError,
)  # fmt: skip


@dataclass(frozen=True)
class Tools:
    """The ports a realiser works with, and how it speaks to the node."""

    compute: Compute
    network: Network
    images: Images
    volumes: Volumes
    roots: Roots
    seeds: Seeds
    fetcher: Fetcher
    paths: Paths
    site: Callable[[], plan.Site]
    part_of: Callable[[GridId], Part | None]
    tell: Callable[[Event], None]
    started: Callable[[bool], None]
    """Hears of every start of a machine whether it went well."""
    still: set[str] = field(default_factory=set)
    """Machines that are held still for a moment (commits.py). They are not woken."""
    opening: Opening | None = None
    """What is opened in each network for its guests."""
    carrying: Carrying | None = None
    """What carries sealed networks to other hosts."""
    keepsake: Callable[[GridId], bytes] = lambda grid: b""
    """What the machines of a grid are given to keep."""
    user_data: UserData = no_user_data
    """A file that a grid names; None if it has yet to come."""


class Realiser:
    """Every grid of which this host carries a part."""

    def __init__(self, tools: Tools, supervisor: Supervisor, probes: bool) -> None:
        """`probes` says whether guests can be seen to answer (the test driver's cannot)."""
        self._tools, self._supervisor = tools, supervisor
        self._kicks: dict[GridId, asyncio.Event] = {}
        self._grid_of_machine: dict[str, GridId] = {}
        self._whys: dict[tuple[GridId, str], str] = {}
        self._turns = Turns(_STARTS_AT_ONCE)
        self._relapses = Relapses()
        self._keeping = Keeping(tools.network, self.kick, tools.tell, tools.opening, tools.carrying)
        self._cards = Cards(tools.network, tools.compute, self._turns)
        self._probes = probes
        self._watch = Watch(tools.network, self._keeping, supervisor, tools.tell, probes)
        self._upkeep = Upkeep(tools.compute, supervisor, tools.tell, self.kick)
        self._sizes = MachineSizes(tools.compute, supervisor, tools.tell, self.kick, tools.site)
        self._waiting = Waiting(supervisor, self.kick)
        self._endings = Endings(tools.compute, supervisor, tools.tell, self.kick)
        self.counts: Counter[str] = Counter()

    def kick(self, grid: GridId | str, cause: str = "") -> None:
        """What is wanted of a grid may have changed."""
        grid = GridId(grid)
        kick = self._kicks.get(grid)
        if kick is None:
            kick = self._kicks[grid] = asyncio.Event()
            self._supervisor.spawn(f"realise {grid}", self._keep(grid, kick, cause))
        kick.set()

    def machine_changed(self, name: str) -> None:
        """The hypervisor says a machine did something."""
        grid = self._grid_of_machine.get(name)
        if grid is not None:
            self.kick(grid)

    def asked(self, grid: GridId, workspace: str) -> None:
        """A guest asked something at the metadata address."""
        self._watch.asked(grid, workspace)

    def keep(self) -> None:
        """Keeps networks as they were made, from now on."""
        self._supervisor.keep("keep networks", self._keeping.run)

    async def disk_bytes(self) -> int:
        """Bytes of disk this host has for grids: what is free, and what grids have already."""
        volumes, roots_here = self._tools.volumes, self._tools.roots
        theirs = sum((await volumes.observe()).values())
        theirs += sum((await roots_here.observe()).values())
        return await volumes.free_bytes() + theirs

    async def _keep(self, grid: GridId, kick: asyncio.Event, cause: str) -> None:
        """One grid's task. It works when kicked, tries again after failures, and ends when nothing is left."""
        try:
            await self._tend(grid, kick, cause)
        finally:
            # Also after an error nobody foresaw, so that the next kick finds no dead task in its place.
            self._watch.forget(grid)
            self._kicks.pop(grid, None)
            for key in [key for key in self._whys if key[0] == grid]:
                del self._whys[key]
        if kick.is_set():
            self.kick(grid)

    async def _tend(self, grid: GridId, kick: asyncio.Event, cause: str) -> None:
        failures = 0
        while True:
            if failures:
                pause_s = _RETRY_S[min(failures, len(_RETRY_S)) - 1]
                # Not wait_for: that takes no cancellation (Python 3.11) when the kick comes at the same moment.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await kick.wait()
            else:
                await kick.wait()
            kick.clear()
            part = self._tools.part_of(grid)
            if part is None:
                return
            try:
                left = await self._once(part)
                failures = 0
            except Failure as error:
                failures += 1
                self.counts["failed"] += 1
                logger().warning("realise.failed", grid=grid, error=str(error), cause=cause)
                continue
            except Exception as error:  # nobody foresaw it: what is wanted stays wanted
                failures += 1
                self.counts["failed"] += 1
                logger().error("realise.failed", grid=grid, cause=cause, exc_info=error)
                continue
            if not left:
                return

    async def _once(self, part: Part) -> bool:
        """One comparison, and what follows from it. False if nothing is left to do for the grid here."""
        seen = {machine.name: machine for machine in await self._tools.compute.observe()}
        going = [p for p in part.mine if plan.stops(p)]
        try:
            ending = await self._stop_all(part, going, seen)
            for mine in filter(plan.saves, part.mine):
                await self._save(part, mine, seen)
            await self._networks(part, ending)
        except Failure as error:
            self._stuck(part, seen, str(error))
            raise
        failed = await self._start_all(part, seen, ending)
        if not ending and (not part.mine or any(map(_gone, going))):
            await disks.drop(self._tools.volumes, self._tools.roots, part)
        for mine in going:
            if mine.workspace.name not in ending:
                self._went(part, mine)
        for mine in part.mine:
            if mine.not_yet:
                self._say(part, mine, Phase.HELD, mine.not_yet)
        if not ending and all(map(_gone, part.mine)):
            self._tools.tell(Cleared(part.record.id))
            return False
        if failed:
            raise failed[0]
        return True

    # -- one workspace

    async def _stop_all(
        self, part: Part, going: list[PartOf], seen: dict[str, MachineSeen]
    ) -> frozenset[str]:
        """Ends machines, side by side. Answers the workspaces whose guests are still shutting down."""
        work = (self._stop(part, mine, seen) for mine in going)
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        left = zip(going, results, strict=True)
        return frozenset(mine.workspace.name for mine, over in left if not over)

    async def _stop(self, part: Part, mine: PartOf, seen: dict[str, MachineSeen]) -> bool:
        """Ends a machine, and removes what goes with it. False while its guest is shutting down."""
        grid, workspace = part.record.id, mine.workspace.name
        name = machine_name(grid, workspace)
        self._watch.drop(grid, workspace)
        self._grid_of_machine[name] = grid
        if not await self._endings.over(part, mine, seen.get(name)):
            return False
        await self._tools.compute.stop(name)
        self._grid_of_machine.pop(name, None)
        self._relapses.forget(name)
        self._upkeep.forget(name)
        self._sizes.forget(name)
        if mine.wanted.power is Power.GONE:
            await self._tools.compute.forget(name)  # before its seed, by which it is found again
            await self._tools.seeds.remove(machine_name(grid, workspace))
            await self._tools.volumes.remove(scratch_name(grid, workspace))
            await roots.clear(self._tools.roots, grid, workspace)
            for path in self._tools.paths.console_files(grid, workspace):
                path.unlink(missing_ok=True)
        return True

    async def _save(self, part: Part, mine: PartOf, seen: dict[str, MachineSeen]) -> None:
        """Saves its memory to disk, one machine after another on the whole host. Tells how long that took."""
        grid, workspace = part.record.id, mine.workspace
        name = machine_name(grid, workspace.name)
        self._watch.drop(grid, workspace.name)
        self._upkeep.look(part, mine, seen.get(name))
        now = plan.there(part, mine, seen)
        off = self._off(mine, seen.get(name))
        if now is None and not off:
            # Nothing of it runs, so there is nothing to save. An older start of it is not wanted back.
            await self._tools.compute.stop(name)
        elif now is not None and now.state is not MachineState.SAVED:
            self._say(part, mine, Phase.SAVING, "waits for its turn")
            async with self._turns.alone():
                self._say(part, mine, Phase.SAVING, "")
                began_s = time.monotonic()
                await self._tools.compute.save(name)
                self._measured(True, workspace.memory_bytes, began_s)
        did_not = "it is off" if off else "it did not run"
        self._say(part, mine, Phase.SUSPENDED, "" if now is not None else did_not)

    def _measured(self, saved: bool, memory_bytes: int, began_s: float) -> None:
        self._tools.tell(Measured(saved, memory_bytes, time.monotonic() - began_s))

    def _stuck(self, part: Part, seen: dict[str, MachineSeen], why: str) -> None:
        """Something that all workspaces need failed: that is told of those that do not run yet."""
        for mine in part.mine:
            there = plan.there(part, mine, seen)
            if plan.saves(mine) and there is not None and there.state is MachineState.SAVED:
                continue
            if not mine.not_yet and not (plan.runs(mine) and there):
                self._say(part, mine, Phase.FAILED, why)

    def _went(self, part: Part, mine: PartOf) -> None:
        phase = Phase.GONE if mine.wanted.power is Power.GONE else Phase.EXPIRED
        self._say(part, mine, phase, "")

    async def _start_all(
        self, part: Part, seen: dict[str, MachineSeen], ending: frozenset[str]
    ) -> list[Exception]:
        """Starts every workspace that is to run and waits for no other, beside those that are `ending`. Answers
        what failed."""
        running = [mine for mine in part.mine if plan.runs(mine)]
        results = await asyncio.gather(
            *(self._bring(part, mine, seen, ending) for mine in running), return_exceptions=True
        )
        failed: list[Exception] = []
        for mine, result in zip(running, results, strict=True):
            if isinstance(result, Failure):
                self._say(part, mine, Phase.FAILED, f"{result}{plan.goes_on(part, mine, seen)}")
                failed.append(result)
            elif isinstance(result, Exception):
                why = f"an error in overlayd: {result!r}; its log says where; it is tried again"
                self._say(part, mine, Phase.FAILED, why)
                failed.append(result)
            elif isinstance(result, BaseException):
                raise result
        return failed

    async def _bring(
        self, part: Part, mine: PartOf, seen: dict[str, MachineSeen], ending: frozenset[str]
    ) -> None:
        grid, workspace = part.record.id, mine.workspace
        name = machine_name(grid, workspace.name)
        self._grid_of_machine[name] = grid
        ended = self._upkeep.look(part, mine, seen.get(name))
        if ended:
            self._whys[grid, workspace.name] = ended
        now = plan.there(part, mine, seen)
        if now is not None and self._probes and (why := await self._cards.lost(part, mine, now)):
            self._watch.drop(grid, workspace.name)
            self._say(part, mine, Phase.SAVING, why)
            now = await self._cards.unplug(now)
        if now is not None and now.state is MachineState.SAVED:
            if not await self._make(part, mine, seen, ending, saved=True):
                return
            self._upkeep.set_clock(name)
            if again := self._cards.plugged(name):
                subject = f"{part.record.name}/{workspace.name}"
                self._tools.tell(Kept(grid, subject, Care.MENDED, again))
        elif now is None:
            if off := self._off(mine, seen.get(name)):
                self._watch.drop(grid, workspace.name)
                self._say(part, mine, Phase.OFF, off, final=True)
                return
            if waits := self._waiting.why(grid, mine):
                self._say(part, mine, Phase.HELD, waits)
                return
            self._watch.drop(grid, workspace.name)
            self._let_rest(mine, name, ended)
            mine = self._upkeep.anew(part, mine)
            if not await self._make(part, mine, seen, ending):
                return
            self._endings.forget(name)
            self._upkeep.started(name, mine.wanted.boot)
            self._relapses.started(name, mine.wanted.boot, time.monotonic())
        self._endings.take_back(name)
        if mine.wanted.power is Power.PAUSED:
            self._watch.drop(grid, workspace.name)
            await self._tools.compute.pause(name)
            self._upkeep.paused(name)
            self._say(part, mine, Phase.PAUSED, "")
            return
        if name in self._tools.still:
            return
        if now is not None and now.state is MachineState.PAUSED:
            held = await self._upkeep.wake(part, mine, now)
            if held is not None:
                self._watch.drop(grid, workspace.name)
                self._say(part, mine, held.phase, held.detail)
                return
        self._whys.pop((grid, workspace.name), None)
        runs = now is not None and now.state is MachineState.RUNNING
        sizes = self._sizes.see_to(part, mine, now) if now is not None and runs else ""
        again = self._upkeep.again(name, mine.wanted.boot)
        self._watch.follow(part, mine, "; ".join(filter(None, (again, sizes))))

    def _let_rest(self, mine: PartOf, machine: str, why: str) -> None:
        """Raises EndsByItself while the machine, which ended for that reason, is to rest."""
        ends, left_s = self._relapses.rests(machine, mine.wanted.boot, time.monotonic())
        if left_s:
            raise EndsByItself(
                f"ended by itself {ends} times soon after its start{f' ({why})' if why else ''}; "
                f"starts again within {left_s:.0f} s; "
                f"overlayctl console shows what it said last, overlayctl restart starts it at once"
            )

    def _off(self, mine: PartOf, seen: MachineSeen | None) -> str:
        """Why a machine that ended by itself, and is not started again, is off; empty for any other."""
        if seen is None or seen.state is not MachineState.STOPPED or seen.boot != mine.wanted.boot:
            return ""
        if self._endings.asked(seen.name, seen.boot):
            return ""
        is_off = stays_off(mine.workspace.restart, seen.cause)
        return (seen.why or "it ended by itself") if is_off else ""

    def _still_runs(self, part: Part, mine: PartOf) -> bool:
        """Whether the workspace is wanted as it was, with that image."""
        now = self._tools.part_of(part.record.id)
        wanted = now.mine if now is not None else ()
        return any(each.workspace == mine.workspace and plan.runs(each) for each in wanted)

    async def _make(
        self,
        part: Part,
        mine: PartOf,
        seen: dict[str, MachineSeen],
        ending: frozenset[str],
        saved: bool = False,
    ) -> bool:
        """Makes everything its machine needs, and then the machine. A `saved` one goes on where it stopped.

        False while the guest of the start before it is shutting down, while its user-data has yet to come, and
        if it is wanted no more.
        """
        tools, workspace = self._tools, mine.workspace
        user_data = await of_workspace(tools.user_data, part.record.id, workspace)
        if user_data is None:
            self._say(part, mine, Phase.HELD, WAITS)
            return False
        if not await image_here(
            tools.images,
            tools.fetcher,
            workspace.image,
            lambda: self._still_runs(part, mine),
            lambda detail: self._say(part, mine, Phase.IMAGE, detail),
        ):
            return False
        image = await tools.images.files(workspace.image.digest)
        name = machine_name(part.record.id, workspace.name)
        roots.require_fits(mine, image)
        if not saved:
            if not await self._endings.over(part, mine, seen.get(name)):
                return False
            self._say(part, mine, Phase.NETWORK, "")
        await roots.clear_older(tools.roots, tools.compute, part.record.id, mine)
        await roots.end_before_growth(tools.roots, tools.compute, part.record.id, mine)
        site = tools.site()
        boots, root = await roots.boot(tools.roots, part, mine, image, site.containers)
        has = await disks.ensure(tools.volumes, part, mine)
        mtu = plan.mtu_of(part, site)
        told = plan.seed(part, mine, plan.told_mtu_of(part, site), user_data)
        if site.containers:
            told = msgspec.structs.replace(told, mounts=())  # they are mounted for it
        seed = await tools.seeds.ensure(name, told)
        if site.containers:
            # Its cards went with the container before it.
            for network in plan.networks(part, site, ending):
                await self._keeping.ensure(network)
        machine = plan.machine(
            part, mine, boots, root, seed, has, tools.paths, mtu, site.guest_disk
        )
        machine = msgspec.structs.replace(machine, keepsake=tools.keepsake(part.record.id))
        tools.paths.console(part.record.id, workspace.name)[0].parent.mkdir(
            mode=0o700, exist_ok=True
        )
        if saved:
            self._say(part, mine, Phase.RESTORING, "")
            async with self._turns.alone():
                began_s = time.monotonic()
                await self._start(machine)
                self._measured(False, workspace.memory_bytes, began_s)
        else:
            async with self._turns.start():
                self._say(part, mine, Phase.BOOTING, "")
                await self._start(machine)
        await self._keeping.started(plan.networks(part, site, ending))
        return True

    async def _start(self, machine: Machine) -> None:
        try:
            await self._tools.compute.start(machine)
        except ComputeError:
            self._tools.started(False)
            raise
        self._tools.started(True)

    # -- the grid

    async def _networks(self, part: Part, ending: frozenset[str]) -> None:
        # A workspace that waits for its time may run already, if a new daemon found it: its network stays.
        waits = any(mine.not_yet for mine in part.mine)
        wanted = plan.networks(part, self._tools.site(), ending)
        await self._keeping.have(part.record.id, wanted, others_stay=waits)

    def _say(
        self, part: Part, mine: PartOf, phase: Phase, detail: str, final: bool = False
    ) -> None:
        key = (part.record.id, mine.workspace.name)
        if phase is Phase.FAILED:
            self._whys[key] = detail
        elif phase not in _ON_THE_WAY:
            self._whys.pop(key, None)
        elif not detail and key in self._whys:
            # A person who looks between two tries must still be told what stops it.
            detail = f"again, after: {self._whys[key]}"
        self._tools.tell(
            Progressed(part.record.id, mine.workspace.name, phase, detail, mine.wanted.boot, final)
        )


def _gone(mine: PartOf) -> bool:
    return mine.wanted.power is Power.GONE
