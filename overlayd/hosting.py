"""The host's side of a peer: hypervisor, networks, volumes, images, and the realiser that makes grids of them.

It is imported and opened after the peer has joined the overlay. None of it is needed for that, and a hypervisor
may take seconds to try. The advert follows when it has been tried.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from overlayd.adapters import exposure
from overlayd.adapters.attachments import DirectoryAttachments
from overlayd.adapters.commits import DirectoryCommits
from overlayd.adapters.egress import fault_of, way_out
from overlayd.adapters.forwarder import TunnelForwarder
from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.adapters.libvirt.users import UserRange
from overlayd.adapters.network import KernelNetwork
from overlayd.adapters.partials import DirectoryPartials
from overlayd.adapters.roots import DirectoryRoots
from overlayd.adapters.seeds import NoCloudSeeds
from overlayd.adapters.underlay import Underlay, UnderlayWatch, dialled_at, source_of
from overlayd.adapters.usage_store import SqliteUsage
from overlayd.adapters.volumes import DirectoryVolumes
from overlayd.config.daemonfile import (
    ComputeUri,
    DaemonConfig,
    EgressUse,
    KvmUse,
    WhenRevoked,
    WireguardUse,
)
from overlayd.config.places import LIBVIRT_ROOT, LXC_ROOT
from overlayd.loop.attachments import AttachmentTraffic, Boxes
from overlayd.loop.audited_view import AuditedView
from overlayd.loop.auditing import Auditing
from overlayd.loop.bulk import Bulk
from overlayd.loop.commits import Commits
from overlayd.loop.consoles import Consoles
from overlayd.loop.path_asks import PathAsks
from overlayd.loop.streams import Streams
from overlayd.loop.usage_asks import UsageAsks
from overlayd.metadata.doors import Doors
from overlayd.metadata.routes import Routes
from overlayd.metadata.server import Server
from overlayd.ports.compute import NO_DISK_RATE, Accelerator, ComputeOffer, DiskRate
from overlayd.ports.images import labels_of
from overlayd.realise import commits, logs, plan
from overlayd.realise.console_room import ConsoleRoom
from overlayd.realise.fetch import Fetcher
from overlayd.realise.fitness import Fitness
from overlayd.realise.image_cache import ImageCache
from overlayd.realise.metering import Metering
from overlayd.realise.paths import Paths
from overlayd.realise.realiser import Realiser, Tools
from overlayd.realise.revoked import stopping
from overlayd.realise.sealing import Sealing
from overlayd.realise.strays import look_around, watch
from overlayd.realise.wireguard import WireguardTrial
from overlayd.telemetry.logs import logger
from overlayd.telemetry.supervisor import Supervisor
from protocol.capacity.advert import CONFINED_MOST, HostFacts
from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.grid.record import order_part
from protocol.hosting.part import Part
from protocol.node.events import Event, ImagesChanged, Probed, Readdressed
from protocol.node.snapshot import PeerView
from protocol.policy.receipts import Meter
from protocol.terms.ids import GridId, KeyId
from protocol.terms.wireguard import WireguardEnd
from protocol.trust.signing import Signer

_NOT_TRIED = 'its configuration says `wireguard = "never"`'
_IPV6 = Path("/proc/sys/net/ipv6")
"""What a kernel without IPv6 has not."""
CACHE = Path("/var/cache/overlayd")
"""The folder with what was learnt of this machine by trying (KVM, QEMU's abilities), for all its daemons."""


class Hosting:
    """What this host can do, and does."""

    def __init__(
        self,
        config: DaemonConfig,
        owner_tag: str,
        view: PeerView,
        supervisor: Supervisor,
        tell: Callable[[Event], None],
        now: Callable[[], float],
        boxes: Boxes,
        auditing: Auditing,
        signer: Signer,
    ) -> None:
        """`owner_tag` marks what belongs to this host in the kernel and in the hypervisor."""
        state = Path(config.host.state)
        self._config, self._owner_tag, self._view = config, owner_tag, view
        self._supervisor, self._tell = supervisor, tell
        self.paths = Paths(state)
        self._console_room = ConsoleRoom(self.paths)
        self.images = DirectoryImages(state / "images", lambda image: self._roots.lying_on(image))
        self._volumes = DirectoryVolumes(
            state / "volumes",
            lambda: self._roots.promised_bytes() + self._console_room.promised_bytes(),
        )
        self._roots = DirectoryRoots(
            state / "roots",
            lambda: self._volumes.promised_bytes() + self._console_room.promised_bytes(),
        )
        self._still: set[str] = set()
        self._seeds = NoCloudSeeds(state / "seeds")
        self.attachments = DirectoryAttachments(state / "attachments")
        self._network = KernelNetwork(state / "networks", owner_tag)
        self._forwarder = TunnelForwarder(state / "networks", config.network.tunnel_port)
        port = config.network.wireguard_port
        self._wireguard = WireguardTrial(self._network, port, self._wireguard_found)
        self.sealing = Sealing(self._network, self._forwarder, tell, now)
        self._routes = Routes(view, self._seeds, tell, lambda g, w: self.realiser.asked(g, w), now)
        self._metadata = Server(self._routes.answer)
        self._doors = Doors(self._network, self._metadata)
        self._underlay = UnderlayWatch(source_of(config))
        self._told: HostFacts | None = None
        self._where: Readdressed | None = None
        self._rate_fault = ""
        self._compute = compute_of(config, state, owner_tag, self.images)
        self.fitness = Fitness(self._compute.try_out, self._fitness_changed, supervisor)
        partials = DirectoryPartials(state / "images")
        self._fetcher = Fetcher(
            self.images,
            partials,
            tell,
            view.sources,
            self._image_came,
            self._make_room,
        )
        self.image_cache = ImageCache(
            self.images,
            partials,
            view.image_users,
            lambda: self._fetcher.running,
            self.images_changed,
            int(config.images.cache),
        )
        audited = AuditedView(view, auditing.put)
        self.consoles = Consoles(view.me, audited.console, self.paths, tell, now)
        self.streams = Streams(view.me, audited, self._network, supervisor, tell, now)
        self.attachment_traffic = AttachmentTraffic(
            view, self.attachments, boxes, supervisor, tell, self._attachment_came
        )
        self._committer = commits.Committer(self._committing())
        self.commits = Commits(view.me, audited.commit, self._committer, supervisor, tell, now)
        meter = Meter(signer.key, view.name, view.site)
        self.metering = Metering(
            self._compute, SqliteUsage(state), meter, signer, view.leases_now, now
        )
        self.path_asks = PathAsks(view.me, view.paths, tell)
        self.usage_asks = UsageAsks(
            view.me, self.metering, lambda peer: view.site_of(KeyId(peer)) == view.site, tell, now
        )
        self.bulk = Bulk(
            self.images,
            self._fetcher,
            self.consoles,
            self.streams,
            self.attachment_traffic,
            self.commits,
            self.path_asks,
            self.usage_asks,
            supervisor,
            tell,
        )
        self.realiser = Realiser(
            self._tools(), supervisor, config.compute.uri is not ComputeUri.TEST
        )

    @property
    def counts(self) -> Counter[str]:
        """How often something was dropped or failed here, by what it was."""
        counts = self.realiser.counts + self.bulk.counts + self.streams.counts
        counts += self.sealing.counts + self.metering.counts
        return counts + self.attachment_traffic.counts + self._metadata.counts

    async def open(self) -> None:
        """Opens everything, and tells the node what there is, also of grids that it does not remember."""
        await asyncio.to_thread(self._underlay.look)
        for grid in self._view.carried():
            self._console_room.settle(self._view.part_of(grid))
        _tell_sealing(await self.sealing.probe(), self._config.network.tunnel_port)
        if self._config.network.wireguard is WireguardUse.TRY:
            await self._wireguard.look()
            self._supervisor.keep("wireguard", self._wireguard.run)
        offer = await self._compute.open(self._machine_changed)
        await self.fitness.look()
        if self.fitness.unfit:
            self._supervisor.keep("fitness", self.fitness.examine)
        _tell_confinement(self._compute.confined)
        self._supervisor.keep("logs", lambda: logs.keep_small(self._logs()))
        if found := await look_around(self._tools(), self._view.carried()):
            self._supervisor.keep("unknown", lambda: watch(self._tools(), found))
        self.realiser.keep()
        self._supervisor.keep("sealing", self.sealing.run)
        self._supervisor.keep("probing", self.sealing.prober.run)
        self._supervisor.spawn("mend commits", self._committer.mend())
        self._supervisor.keep("image cache", self.image_cache.watch)
        self._tell(ImagesChanged(labels_of(await self.images.list())))
        self._probed(await self._facts(offer))
        self._supervisor.keep("attachments", self.attachment_traffic.run)
        self._supervisor.keep("usage", self.metering.run)
        self._supervisor.keep("underlay", lambda: self._underlay.watch(self._underlay_seen))

    async def close(self) -> None:
        """Closes everything. Guests go on."""
        self._doors.close()
        await self._network.close()
        await self._forwarder.close()
        await self._compute.close()
        await self.metering.close()

    async def images_changed(self) -> None:
        """Tells the node what the image store has. The first image is what KVM can be tried with."""
        self._tell(ImagesChanged(labels_of(await self.images.list())))
        if self._view.facts.accelerator == Accelerator.EMULATED:
            self._supervisor.spawn("reconsider", self._reconsider())

    def _logs(self) -> dict[Path, logs.Bound]:
        """The folders of logs that others write, and how large each log may grow."""
        qemu = self.paths.state / LIBVIRT_ROOT / "log" / "qemu"
        return {
            self.paths.consoles: self._console_room.log_bytes,
            qemu: lambda _: logs.QEMU_BYTES,
        }

    async def _reconsider(self) -> None:
        facts = await self._facts(await self._compute.reconsider())
        if facts.accelerator_why != self._view.facts.accelerator_why:
            self._probed(facts)

    def _probed(self, facts: HostFacts) -> None:
        self._told = facts
        self._tell(Probed(facts))

    def _underlay_seen(self, seen: Underlay) -> None:
        """The underlay was looked at. What the node does not know yet is told, also if that was lost before."""
        if self._told is None:
            return
        facts = self._with_underlay(self._told, seen)
        if facts != self._view.facts:
            self._probed(facts)
        where = Readdressed(dialled_at(self._config, seen), seen.unheard)
        if where != self._where or where.address != self._view.this_peer().address:
            self._where = where
            self._tell(where)

    def _site(self) -> plan.Site:
        now = self._underlay.now
        network = self._config.network
        hosts = self._view.underlays() if network.egress is EgressUse.NAT else ()
        egress = way_out(network, hosts)
        inside = (network.wireguard_port, self._wireguard.now.key)
        exposed_at = exposure.entered_at(network, self._config.overlay, now.address)
        return plan.Site(
            self._view.me,
            self._owner_tag,
            now.address,
            now.mtu,
            egress,
            self._containers,
            int(network.guest_rate or 0),
            *inside,
            ipv6=_IPV6.is_dir(),
            exposed_at=exposed_at,
            guest_disk=self._guest_disk(),
        )

    @property
    def _containers(self) -> bool:
        return self._config.compute.uri in (ComputeUri.LXC, ComputeUri.LXC_SYSTEM)

    def _tools(self) -> Tools:
        return Tools(
            compute=self._compute,
            network=self._network,
            images=self.images,
            volumes=self._volumes,
            roots=self._roots,
            still=self._still,
            seeds=self._seeds,
            fetcher=self._fetcher,
            paths=self.paths,
            site=self._site,
            part_of=self._part_of(),
            tell=self._tell,
            keepsake=self._view.keepsake,
            user_data=self._user_data,
            opening=self._doors,
            carrying=self.sealing,
            started=self.fitness.started,
        )

    async def _user_data(self, grid: GridId, digest: str) -> bytes | None:
        """A file of a grid; None if it has yet to come, which is hurried."""
        content = await self.attachments.read(order_part(grid), digest)
        if content is None:
            self.attachment_traffic.wake()
        return content

    def _committing(self) -> commits.Tools:
        state = self.paths.state
        return commits.Tools(
            compute=self._compute,
            images=self.images,
            commits=DirectoryCommits(state / "commits", state / "roots"),
            part_of=self._view.part_of,
            images_changed=self.images_changed,
            still=self._still,
            host=self._view.name,
            disk_bytes=lambda: shutil.disk_usage(state).total,
        )

    def _part_of(self) -> Callable[[GridId], Part | None]:
        def settled(grid: GridId) -> Part | None:
            return self._console_room.settle(self._view.part_of(grid))

        if self._config.host.when_revoked is WhenRevoked.KEEP:
            return settled
        return stopping(settled, lambda: self._view.revoked)

    def _wireguard_found(self) -> None:
        if self._told is not None:
            self._probed(self._with_underlay(self._told, self._underlay.now))

    def _fitness_changed(self) -> None:
        if self._told is not None:
            self._probed(
                msgspec.structs.replace(
                    self._told,
                    unfit=self.fitness.unfit,
                    confined=self._compute.confined[:CONFINED_MOST],
                )
            )

    def _machine_changed(self, name: str) -> None:
        self.realiser.machine_changed(name)
        self.metering.soon()

    def _attachment_came(self, grid: GridId) -> None:
        self.realiser.kick(grid)

    async def _make_room(self, size_bytes: int) -> None:
        await self.image_cache.collect(need_bytes=size_bytes)

    def _image_came(self) -> None:
        self._supervisor.spawn("images-changed", self._took_in())

    async def _took_in(self) -> None:
        await self.images_changed()
        await self.image_cache.collect()

    async def _facts(self, offer: ComputeOffer) -> HostFacts:
        """What was probed of the host, capped by the configuration."""
        caps = self._config.offer
        disk_bytes = await self.realiser.disk_bytes()
        disk_bytes += await asyncio.to_thread(self._console_room.counted_bytes)
        facts = HostFacts(
            capacity=Quantum(
                cpus_milli=int(min(offer.cpus_milli, caps.cpus or offer.cpus_milli)),
                memory_bytes=int(min(offer.memory_bytes, caps.memory or offer.memory_bytes)),
                disk_bytes=int(min(disk_bytes, caps.disk or disk_bytes)),
                network_bits_s=await self._rates(),
                disk_bytes_s=int(caps.disk_rate or UNCOUNTED),
                disk_operations_s=int(caps.disk_operations or UNCOUNTED),
            ),
            architecture=offer.architecture,
            driver=str(self._config.compute.uri),
            accelerator=offer.accelerator,
            accelerator_why=offer.why,
            underlay="",
            encrypts=False,
            labels=tuple(str(label) for label in caps.labels),
            suspends=not self._containers,
            unfit=self.fitness.unfit,
            confined=self._compute.confined[:CONFINED_MOST],
            disk_rate_fault=offer.disk_rate_fault,
        )
        return self._with_underlay(facts, self._underlay.now)

    def _guest_disk(self) -> DiskRate:
        """What a guest without a rate of its disks is held to, where it can be held to one."""
        compute = self._config.compute
        if self._view.facts.disk_rate_fault:
            return NO_DISK_RATE
        return DiskRate(int(compute.guest_disk_rate or 0), int(compute.guest_disk_operations or 0))

    async def _rates(self) -> int:
        """What of the rates of its networks is promised: as configured, or as much as is asked for."""
        if fault := await self._network.rate_fault():
            if fault != self._rate_fault:
                logger().warning(
                    "networks.no-rates", why=fault, means="no grid with `network-rate` here"
                )
            self._rate_fault = fault
            return 0
        return int(self._config.offer.network_rate or UNCOUNTED)

    def _with_underlay(self, facts: HostFacts, now: Underlay) -> HostFacts:
        """The facts with what the host's own network is like now."""
        seals, network, inside = not self.sealing.why, self._config.network, self._wireguard.now
        fault, ports = fault_of(network), exposure.given(network, self._config.overlay, now.address)
        devices = self._config.offer.devices | exposure.counted(ports)
        capacity = msgspec.structs.replace(facts.capacity, devices=tuple(sorted(devices.items())))
        return msgspec.structs.replace(
            facts,
            capacity=capacity,
            encrypts=seals,
            tunnel_port=network.tunnel_port if seals else 0,
            relay_bytes_s=network.relay_rate // 8,
            wireguard=WireguardEnd(inside.key, network.wireguard_port) if inside.key else None,
            wireguard_why=inside.fault if network.wireguard is WireguardUse.TRY else _NOT_TRIED,
            underlay=now.address,
            mtu=now.mtu,
            underlay_fault=now.fault,
            egress=network.egress is EgressUse.NAT and not fault,
            egress_fault=fault,
            ports=ports,
            ports_fault=exposure.fault_of(network, self._config.overlay, now.address),
        )


def _tell_sealing(fault: str, port: int) -> None:
    """Says in the log by which port sealed networks cross hosts, or why none can."""
    if fault:
        logger().error("networks.not-sealed", why=fault, means="no sealed network crosses hosts")
    else:
        logger().info("networks.sealed", udp_port=port)


def _tell_confinement(confined: str) -> None:
    """Says in the log what a guest's process may do here. Root's powers are said loudly."""
    if confined.startswith("root"):
        logger().error(
            "guests.run_as_root",
            confined=confined,
            means="who breaks out of a guest is root on this host",
        )
    elif confined:
        logger().info("guests.confined", confined=confined)


def compute_of(
    config: DaemonConfig, state: Path, owner: str, images: DirectoryImages | None = None
) -> LibvirtCompute:
    """The hypervisor that a configuration names. Without `images` nothing is tried: it is only looked at."""
    uri = str(config.compute.uri)
    if config.compute.uri is ComputeUri.EMBED:
        uri = f"{uri}?root={state / LIBVIRT_ROOT}"
    if config.compute.uri is ComputeUri.LXC:
        uri = f"{uri}?root={state / LXC_ROOT}"
    if config.compute.uri is ComputeUri.LXC_SYSTEM:
        uri = str(ComputeUri.LXC)
    users = None
    if uids := config.compute.guest_uids:
        first, last = uids.ends
        users = UserRange(first, last - first + 1)
    if images is None:
        return LibvirtCompute(uri, state, "never", cache_dir=CACHE, owner=owner, users=users)
    return LibvirtCompute(
        uri,
        state,
        "try" if config.compute.kvm is KvmUse.TRY else "never",
        find_kernel=images.any_kernel,
        trial_s=float(config.compute.kvm_trial),
        cache_dir=CACHE,
        owner=owner,
        users=users,
    )
