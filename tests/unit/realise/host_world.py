"""A host's realiser on fakes, and the part of a grid it is to bring about."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from tiny_image import tiny_image

from overlayd.adapters.partials import DirectoryPartials
from overlayd.fakes.compute import FakeCompute, FakeHypervisor
from overlayd.fakes.images import FakeImages
from overlayd.fakes.network import FakeNetwork
from overlayd.fakes.roots import FakeRoots
from overlayd.fakes.seeds import FakeSeeds
from overlayd.fakes.volumes import FakeVolumes
from overlayd.ports.compute import NO_DISK_RATE, DiskRate, MachineState
from overlayd.realise import plan
from overlayd.realise.fetch import Fetcher
from overlayd.realise.paths import Paths, machine_name
from overlayd.realise.realiser import Realiser, Tools
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.addresses import plan as cards_of
from protocol.grid.expand import workspaces
from protocol.grid.lifecycle import Phase, Power, Wanted
from protocol.grid.model import (
    ClusterSpec,
    Encryption,
    GridSpec,
    ImageRef,
    Mount,
    NetworkSpec,
    Restart,
    VolumeSpec,
)
from protocol.grid.record import Assignment, GridRecord, GridState, HostRef
from protocol.grid.tunnel import TunnelEnd
from protocol.hosting.events import Cleared, Progressed
from protocol.hosting.part import Part, PartOf
from protocol.node.events import Event
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.order import SignedOrder

ME, OTHER = PeerId("a" * 64), PeerId("b" * 64)
GRID = GridId("0123456789abcdef0123.0")
TAG = "abc123"
DEADLINE_S = 5.0


async def _no_more_room(size_bytes: int) -> None:
    """Nothing here can be removed."""


class HostWorld:
    """What outlives a daemon, and one daemon's realiser at a time."""

    def __init__(
        self,
        folder: Path,
        hypervisor: FakeHypervisor | None = None,
        guest_disk: DiskRate = NO_DISK_RATE,
    ) -> None:
        self.folder = folder
        self.hypervisor = hypervisor or FakeHypervisor()
        self.network, self.images = FakeNetwork(TAG), FakeImages()
        self.volumes, self.seeds, self.roots = FakeVolumes(), FakeSeeds(), FakeRoots()
        self.told: list[Event] = []
        self.starts: list[bool] = []
        self.part: Part | None = None
        self.digest = ""
        self.stop_within_s = 0
        self.restart = Restart.ON_FAILURE
        self.site = plan.Site(ME, TAG, "192.0.2.1", 1450, guest_disk=guest_disk)

    async def start(self) -> None:
        """A daemon's life begins."""
        if not self.digest:
            info = await self.images.add(tiny_image(self.folder / "image"))
            self.digest = info.digest
        self.compute, self.supervisor = FakeCompute(self.hypervisor), Supervisor()
        fetcher = Fetcher(
            self.images,
            DirectoryPartials(self.folder / "images"),
            lambda _: None,
            lambda _: [],
            lambda: None,
            _no_more_room,
        )
        self.tools = Tools(
            compute=self.compute,
            network=self.network,
            images=self.images,
            volumes=self.volumes,
            roots=self.roots,
            seeds=self.seeds,
            fetcher=fetcher,
            paths=Paths(self.folder),
            site=lambda: self.site,
            part_of=lambda _: self.part,
            tell=self.told.append,
            keepsake=lambda grid: f"of {grid}".encode(),
            started=self.starts.append,
        )
        self.realiser = Realiser(self.tools, self.supervisor, probes=True)
        await self.compute.open(self.realiser.machine_changed)

    async def end(self) -> None:
        """The daemon ends, in order or not. Nothing is undone."""
        await self.supervisor.close()
        await self.compute.close()

    def want(
        self,
        powers: dict[str, Power] | None = None,
        boot: int = 1,
        up: bool = True,
        keeps: bool = True,
    ) -> None:
        """What is wanted of the grid's workspaces here, and a kick."""
        powers = powers or dict.fromkeys(("head-1", "worker-1"), Power.RUNNING)
        spec, waits = self.spec(), {"worker-1": ()}
        self.part = Part(
            record=self.record(GridState.UP if up else GridState.DOWN),
            spec=spec,
            cards=cards_of(spec),
            mine=tuple(
                PartOf(
                    w,
                    Wanted(w.name, powers[w.name], boot),
                    waits.get(w.name, ()),
                    stop_within_s=self.stop_within_s,
                )
                for w in workspaces(spec)
                if w.name in powers
            ),
            keeps=("data",) if up and keeps else (),
            ends=((ME, TunnelEnd("192.0.2.1", 1450)), (OTHER, TunnelEnd("192.0.2.2", 1450))),
        )
        self.realiser.kick(GRID)

    def wait_for_head(self) -> None:
        """The worker waits for the head, as the node would say."""
        assert self.part is not None
        mine = tuple(
            msgspec.structs.replace(p, waits_for=("head-1",))
            if p.workspace.name == "worker-1"
            else p
            for p in self.part.mine
        )
        self.part = msgspec.structs.replace(self.part, mine=mine)

    def spec(self) -> GridSpec:
        image = ImageRef("guest", self.digest)
        head = ClusterSpec(
            "head", 1, image, 500, 64 << 20, 1, ("lan",), (Mount("data", "/srv"),), 32 << 20
        )
        head = msgspec.structs.replace(head, restart=self.restart)
        worker = ClusterSpec("worker", 2, image, 250, 64 << 20, 2, ("lan",))
        return GridSpec(
            name="star",
            clusters=(head, worker),
            networks=(NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE),),
            volumes=(VolumeSpec("data", 16 << 20),),
        )

    def record(self, state: GridState) -> GridRecord:
        """head-1 and worker-1 here, worker-2 elsewhere."""
        return GridRecord(
            id=GRID,
            name="star",
            owner=KeyId("c" * 64),
            owner_site="ams",
            epoch=1 if state is GridState.UP else 2,
            state=state,
            order=SignedOrder(b"", b"", ()),
            stewards=(ME,),
            hosts=(HostRef(ME, "h1", "ams"), HostRef(OTHER, "h2", "uc")),
            assignments=(
                Assignment("head-1", ME),
                Assignment("worker-1", ME),
                Assignment("worker-2", OTHER),
            ),
            vnis=(("lan", 4711),),
        )

    # -- looking

    def phase(self, workspace: str) -> tuple[Phase, str] | None:
        """What was told of a workspace last."""
        for event in reversed(self.told):
            if isinstance(event, Progressed) and event.workspace == workspace:
                return event.phase, event.detail
        return None

    def phases(self, workspace: str) -> list[Phase]:
        """Every phase it was told to be in."""
        return [
            event.phase
            for event in self.told
            if isinstance(event, Progressed) and event.workspace == workspace
        ]

    def details(self, workspace: str) -> list[str]:
        """What was said with each phase."""
        return [
            event.detail
            for event in self.told
            if isinstance(event, Progressed) and event.workspace == workspace
        ]

    def state(self, workspace: str) -> MachineState | None:
        return self.hypervisor.states.get(machine_name(GRID, workspace))

    @property
    def cleared(self) -> bool:
        return Cleared(GRID) in self.told

    def answer(self, *workspaces: str) -> None:
        """These guests' SSH servers answer from now on."""
        (network,) = self.network.plans.values()
        for port in network.ports:
            if port.name in workspaces:
                self.network.listeners.add((network.network, port.address, 22))


async def until(condition: Callable[[], object], what: str) -> None:
    """Lets the realiser work until the condition holds."""
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, what
        await asyncio.sleep(0)


async def up(world: HostWorld) -> None:
    """Has the grid's two workspaces here run."""
    world.want()
    for name in ("head-1", "worker-1"):
        await until(lambda n=name: world.phases(n)[-1:] == [Phase.RUNNING], f"{name} runs")
