"""One running peer, assembled from its parts. The only file that knows all adapters by name."""

import asyncio
from collections import Counter
from pathlib import Path

from overlayd.adapters.clock import SystemClock
from overlayd.adapters.credentials import Credentials
from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.adapters.nacl_keys import NaclVerifier
from overlayd.adapters.network import KernelNetwork
from overlayd.adapters.seeds import NoCloudSeeds
from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.adapters.volumes import DirectoryVolumes
from overlayd.adapters.zmq_transport import ZmqTransport
from overlayd.api.app import create_app
from overlayd.api.server import Served, serve
from overlayd.config.daemonfile import ComputeUri, DaemonConfig, KvmUse, ReachUse
from overlayd.loop.bulk import Bulk
from overlayd.loop.consoles import Consoles
from overlayd.loop.driver import Driver
from overlayd.loop.inbox import Inbox
from overlayd.loop.interpreter import Interpreter
from overlayd.ports.compute import Accelerator, ComputeOffer
from overlayd.ports.images import ImageInfo
from overlayd.ports.peer import Busy, EventLine
from overlayd.ports.transport import Arrived as FrameArrived
from overlayd.ports.transport import Down, Refused, TransportEvent, Up
from overlayd.realise import plan
from overlayd.realise.fetch import Fetcher
from overlayd.realise.paths import Paths
from overlayd.realise.realiser import Realiser, Tools
from overlayd.telemetry import metrics
from overlayd.telemetry.events import EventRing
from overlayd.telemetry.logs import logger
from overlayd.telemetry.supervisor import Supervisor
from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.membership.membership import Join
from protocol.negotiation.authority import Authority
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Garbled,
    ImagesChanged,
    Probed,
    Started,
)
from protocol.node.identity import Identity
from protocol.node.messages import ConsoleText, Message
from protocol.node.node import Node
from protocol.node.part import part_of
from protocol.terms.dice import Dice
from protocol.terms.ids import Digest, PeerId, short_hash
from protocol.terms.reach import Reach
from protocol.trust.order import SignedOrder
from protocol.wire.codec import Malformed
from protocol.wire.envelope import unpack

CACHE = Path("/var/cache/overlayd")
"""What was learnt of this machine by trying (KVM, QEMU's abilities), for all its daemons."""

NOWHERE = "127.0.0.1:0"
"""Where a peer listens that only dials out: the transport must listen, and nobody else gets there."""

OWNER_TAG = 6
"""Characters of the host's tag in names of kernel objects."""


class Assembly:
    """The running peer: what the faces use, what feeds the node, and what closes in which order."""

    def __init__(self, config: DaemonConfig, credentials: Credentials) -> None:
        state = Path(config.host.state)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config, self._credentials = config, credentials
        self.clock = SystemClock()
        self.inbox = Inbox()
        self.supervisor = Supervisor()
        self.paths = Paths(state)
        self.store = SqliteStore(state)
        self.transport = ZmqTransport(credentials.identity)
        self.images = DirectoryImages(state / "images")
        self.volumes = DirectoryVolumes(state / "volumes")
        self.seeds = NoCloudSeeds(state / "seeds")
        self.owner_tag = short_hash(credentials.identity.key, digits=OWNER_TAG)
        self.network = KernelNetwork(state / "networks", self.owner_tag)
        self.compute = _compute(config, state, self.owner_tag, self.images)
        self.ring = EventRing(str(config.host.name))
        self.counts: Counter[str] = Counter()
        self.node: Node
        self.driver: Driver
        self._interpreter: Interpreter
        self._consoles: Consoles
        self._bulk: Bulk
        self._realiser: Realiser
        self._api: Served | None = None

    # -- LocalPeer

    def now(self) -> float:
        """The peer's clock."""
        return self.clock.now()

    def submit(self, event: Event) -> None:
        """Hands the node an event. Busy."""
        self.inbox.put(event)

    def events(self, since: int) -> list[EventLine]:
        """Kept lines after that number."""
        return self.ring.since(since)

    async def events_after(self, since: int, timeout_s: float) -> list[EventLine]:
        """As `events`, but waits for the first."""
        return await self.ring.after(since, timeout_s)

    async def images_changed(self) -> None:
        """Tells the node what the image store has; the first image is what KVM can be tried with."""
        self.submit(ImagesChanged(_labels(await self.images.list())))
        if self.node.host.facts.accelerator == Accelerator.EMULATED:
            self.supervisor.spawn("reconsider", self._reconsider())

    async def _reconsider(self) -> None:
        facts = await _facts(self.config, await self.compute.reconsider(), self.volumes)
        if facts.accelerator_why != self.node.host.facts.accelerator_why:
            self._tell(Probed(facts))

    async def console(
        self, peer: PeerId, order: SignedOrder, offset: int, keys: bytes
    ) -> ConsoleText:
        """A workspace's console, wherever it is."""
        return await self._consoles.ask(peer, order, offset, keys)

    def metrics(self) -> bytes:
        """Prometheus text."""
        counts = self.inbox.dropped + self._interpreter.counts + self._realiser.counts
        counts += self._bulk.counts + self.counts
        return metrics.render(self.node, self.transport, counts)

    # -- life

    async def start(self, dice: Dice) -> None:
        """Opens every port and makes the node. Whatever fails is raised, what was opened is closed."""
        await self.store.open()
        rows = await self.store.load()
        offer = await self.compute.open(self._machine_changed)
        facts = await _facts(self.config, offer, self.volumes)
        images = _labels(await self.images.list())
        self.node = Node(self._identity(), facts, images, self._joins(), rows, dice, self.now())
        self._wire(offer)
        carried = {row.record.id for row in self.node.host.carrier.rows()}
        await self._realiser.clear_strays(carried)
        listen = self.config.overlay.listen or NOWHERE
        await self.transport.open(f"tcp://{listen}", self._from_transport)
        app = create_app(self, self.paths.uploads)
        self._api = await serve(app, self.config.api.socket, self.config.api.group)

    async def run(self) -> None:
        """Until the driver is told to stop."""
        await self.driver.step(Started())
        await self.driver.run()

    async def close(self) -> None:
        """Everything closed, in the order that loses nothing. Guests go on."""
        if self._api is not None:
            await self._api.stop()
        await self.supervisor.close()
        await self.transport.close()
        await self.compute.close()
        await self.store.close()

    # -- parts

    def _wire(self, offer: ComputeOffer) -> None:
        config, node = self.config, self.node
        site = plan.Site(node.me, self.owner_tag, str(config.network.underlay), config.network.mtu)
        fetcher = Fetcher(self.images, self._tell, self._sources, self._image_came)
        tools = Tools(
            compute=self.compute,
            network=self.network,
            images=self.images,
            volumes=self.volumes,
            seeds=self.seeds,
            fetcher=fetcher,
            paths=self.paths,
            site=site,
            part_of=lambda grid: part_of(node.host.carrier, node.desk.notices, grid),
            tell=self._tell,
        )
        probes = offer.accelerator is not Accelerator.TEST
        self._realiser = Realiser(tools, self.supervisor, probes)
        authority = Authority(node.identity.federation, node.identity.verifier)
        self._consoles = Consoles(node, authority, self.paths, self._tell, self.now)
        self._bulk = Bulk(self.images, fetcher, self._consoles, self.supervisor, self._tell)
        self._interpreter = Interpreter(
            node.me, self.transport, self.store, self._realiser, self._bulk, self.ring, self.clock
        )
        self.driver = Driver(node, self.inbox, self._interpreter, self.clock)

    def _tell(self, event: Event) -> None:
        """An event of our own; when the inbox is full it is lost and counted, and will be told again."""
        try:
            self.inbox.put(event)
        except Busy:
            self.counts["told-while-busy"] += 1

    def _from_transport(self, event: TransportEvent) -> None:
        match event:
            case Up(peer=peer):
                self._tell(Connected(peer))
            case Down(peer=peer, why=why):
                self._tell(Disconnected(peer, why))
            case FrameArrived(peer=peer, frame=frame):
                try:
                    cause, message = unpack(frame, Message)
                except Malformed as error:
                    self._tell(Garbled(peer, error.reason))
                else:
                    self._tell(Arrived(peer, message, cause))
            case Refused(address=address, why=why):
                logger().debug("transport.refused", address=address, why=why)

    def _machine_changed(self, name: str) -> None:
        self._realiser.machine_changed(name)

    def _image_came(self) -> None:
        self.supervisor.spawn("images-changed", self.images_changed())

    def _sources(self, digest: Digest) -> list[PeerId]:
        """Live peers that advertise an image, those of this site first."""
        node = self.node
        sites = node.membership.sites_alive()
        found = [
            peer
            for peer, heard in node.desk.adverts.items()
            if peer in sites and any(image.digest == digest for image in heard.advert.images)
        ]
        return sorted(found, key=lambda peer: sites[peer] != node.identity.site)

    def _identity(self) -> Identity:
        credentials, overlay = self._credentials, self.config.overlay
        return Identity(
            signer=credentials.identity,
            verifier=NaclVerifier(),
            chain=credentials.chain,
            federation=credentials.federation,
            name=credentials.principal.name,
            site=credentials.principal.site,
            address=str(overlay.advertise),
            reach=None if overlay.reach is ReachUse.AUTO else Reach(overlay.reach.value),
        )

    def _joins(self) -> tuple[Join, ...]:
        joins = self.config.overlay.join
        return tuple(Join(PeerId(join.peer), str(join.endpoint)) for join in joins)


async def assemble(config: DaemonConfig, credentials: Credentials, dice: Dice) -> Assembly:
    """A started peer; closed again if anything cannot be opened."""
    assembly = Assembly(config, credentials)
    try:
        await assembly.start(dice)
    except BaseException:
        await asyncio.shield(assembly.close())
        raise
    return assembly


def _compute(
    config: DaemonConfig, state: Path, owner: str, images: DirectoryImages
) -> LibvirtCompute:
    uri = str(config.compute.uri)
    if config.compute.uri is ComputeUri.EMBED:
        uri = f"{uri}?root={state / 'libvirt'}"
    return LibvirtCompute(
        uri,
        state,
        "try" if config.compute.kvm is KvmUse.TRY else "never",
        find_kernel=images.any_kernel,
        trial_s=float(config.compute.kvm_trial),
        cache_dir=CACHE,
        owner=owner,
    )


async def _facts(config: DaemonConfig, offer: ComputeOffer, volumes: DirectoryVolumes) -> HostFacts:
    """What was probed, capped by the configuration."""
    caps = config.offer
    disk_bytes = await volumes.free_bytes()
    return HostFacts(
        capacity=Quantum(
            cpus_milli=int(min(offer.cpus_milli, caps.cpus or offer.cpus_milli)),
            memory_bytes=int(min(offer.memory_bytes, caps.memory or offer.memory_bytes)),
            disk_bytes=int(min(disk_bytes, caps.disk or disk_bytes)),
        ),
        architecture=offer.architecture,
        driver=str(config.compute.uri),
        accelerator=offer.accelerator,
        accelerator_why=offer.why,
        underlay=str(config.network.underlay),
        encrypts=False,
    )


def _labels(images: tuple[ImageInfo, ...]) -> tuple[ImageLabel, ...]:
    return tuple(ImageLabel(i.name, i.digest, i.size_bytes) for i in images)
