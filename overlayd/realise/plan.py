"""From a host's part of a grid to what the ports are asked for. Pure, so it can be read and tested."""

from base64 import b64encode
from collections.abc import Iterable, Iterator

import msgspec

from netns.inside import Wireguard, WireguardPeer, endpoint_of, inside_address
from netns.model import (
    MTU6_MIN,
    PREFIX6_BITS,
    Egress,
    Exposed,
    Neighbour,
    NetworkPlan,
    Port,
    card_name,
    mac_of,
    tap_name,
)
from overlayd.ports.compute import (
    NO_DISK_RATE,
    Boots,
    Disk,
    DiskRate,
    Machine,
    MachineSeen,
    MachineState,
    Nic,
)
from overlayd.ports.seeds import Seed, SeedNic
from overlayd.realise.paths import (
    Paths,
    instance_id,
    machine_name,
    machine_uuid,
    network_name,
    scratch_name,
    volume_name,
)
from protocol.grid.addresses import Card, gateway
from protocol.grid.apply import cpus_seen, most_of
from protocol.grid.carrier import Carrier, carriers_of
from protocol.grid.exposed import ports_of_workspaces
from protocol.grid.lifecycle import Power
from protocol.grid.model import SCRATCH, SCRATCH_PATH, Workspace
from protocol.grid.six import address6, cards6, ranges6
from protocol.grid.tunnel import mtus, narrowest, reaches
from protocol.hosting.part import Part, PartOf
from protocol.terms.ids import PeerId


class Site(msgspec.Struct, frozen=True):
    """What matters of this host to its networks: its address towards others, and what its link carries."""

    me: PeerId
    owner_tag: str
    underlay: str
    mtu: int
    """The largest packet its guests may send, in bytes."""
    egress: Egress | None = None
    """The way out that networks with `internet` get here."""
    containers: bool = False
    """Whether its guests are containers."""
    guest_bits_s: int = 0
    """What a guest that asks for no rate is held to on each network, in bits a second. 0: to nothing."""
    wireguard_port: int = 0
    """Where its WireGuard takes packets, UDP."""
    wireguard_key: bytes = b""
    """Its public key of that; empty if it has none."""
    ipv6: bool = False
    """Whether its kernel has IPv6."""
    exposed_at: str = ""
    """The address of this host at whose ports guests are reached."""
    guest_disk: DiskRate = NO_DISK_RATE
    """What a guest that asks for no rate of its disks is held to."""


def networks(
    part: Part, site: Site, ending: frozenset[str] = frozenset()
) -> tuple[NetworkPlan, ...]:
    """The networks this host must have: those with a workspace here that is to run, or is `ending`."""
    by_network: dict[str, list[Card]] = {}
    for card in part.cards:
        by_network.setdefault(card.network, []).append(card)
    vnis = dict(part.record.vnis)
    here = {p.workspace.name for p in part.mine if runs(p)} | ending
    rates = {p.workspace.name: p.workspace.network_bits_s for p in part.mine}
    host_of = part.record.placed
    carriers = carriers_of(part.record, part.spec.networks, part.cards)
    sizes, told = mtu_of(part, site), told_mtu_of(part, site)
    six = _ranges6(part, sizes) if site.ipv6 else {}
    plans = []
    for network in part.spec.networks:
        cards = by_network.get(network.name, [])
        if not any(card.workspace in here for card in cards):
            continue
        name = network_name(part.record.id, network.name)
        away = [c for c in cards if c.workspace not in here and c.workspace in host_of]
        carrier, others = carriers[network.name], _others(part, network.name, {*host_of})
        neighbours = tuple(_neighbours(part, site, name, away, carrier))
        if carrier is Carrier.SEALED:
            neighbours += tuple(_attached(part, network.name, name))
        plans.append(
            NetworkPlan(
                network=name,
                owner_tag=site.owner_tag,
                vni=vnis[network.name],
                cidr=network.cidr,
                gateway=gateway(network.cidr),
                mtu=sizes[network.name],
                underlay=site.underlay,
                domain=part.record.name,
                epoch=part.record.epoch,
                ports=tuple(
                    _port(name, c, site.containers, rates.get(c.workspace, 0) or site.guest_bits_s)
                    for c in cards
                    if c.workspace in here
                ),
                neighbours=neighbours,
                others=tuple((card.workspace, card.address) for card in others),
                egress=site.egress if network.internet else None,
                exposed=tuple(_exposed(part, network.name)) if site.exposed_at else (),
                exposed_at=site.exposed_at,
                sealed=carrier is Carrier.SEALED,
                wireguard=_wireguard(part, site, neighbours)
                if carrier is Carrier.WIREGUARD
                else None,
                multicast=network.multicast,
                told_mtu=told[network.name],
                cidr6=six.get(network.name, ""),
                others6=tuple((card.workspace, a) for card, a in cards6(others, six)),
            )
        )
    return tuple(plans)


def _ranges6(part: Part, mtu: dict[str, int]) -> dict[str, str]:
    """The IPv6 of networks that have it, and whose packets are long enough for it."""
    wide = (net for net in part.spec.networks if mtu.get(net.name, 0) >= MTU6_MIN)
    return ranges6(wide, part.record.id)


def _exposed(part: Part, network: str) -> Iterator[Exposed]:
    """The ports of this host that lead to guests by a network: to those that run, and ask for them now."""
    for mine in filter(runs, part.mine):
        card = _cards(part, mine).get(network)
        if card is None or _way_out(part, mine) != network:
            continue
        asked = {(each.port, each.transport): None for each in mine.workspace.expose}
        for port in ports_of_workspaces(part.exposes, (mine.workspace.name,)):
            if (port.port, port.transport) in asked:
                yield Exposed(card.address, port.port, str(port.transport), port.outside)


def _way_out(part: Part, mine: PartOf) -> str:
    """The network by which a guest sends what is for none of its networks; empty if there is none.

    It is the first with a way out. A guest that is reached from outside answers by its first, if there is none.
    """
    networks = {network.name: network for network in part.spec.networks}
    names = list(_cards(part, mine))
    reached = names[:1] if mine.workspace.expose else []
    return next((name for name in names if networks[name].internet), "".join(reached))


def _others(part: Part, network: str, there: set[str]) -> tuple[Card, ...]:
    """Who is not on a network, and is known by name there: members of networks that a guest shares with it.

    A guest asks one DNS server, and takes its word that there is no such name.
    """
    shared = [c.networks for c in part.spec.clusters if network in c.networks]
    linked = dict.fromkeys(name for names in shared for name in names if name != network)
    on_it = {card.workspace for card in part.cards if card.network == network}
    first: dict[str, Card] = {}
    for card in part.cards:
        if card.network in linked and card.workspace in there and card.workspace not in on_it:
            first.setdefault(card.workspace, card)
    return tuple(first.values())


def mtu_of(part: Part, site: Site) -> dict[str, int]:
    """The largest packet that each network of the grid takes by its hosts' links, in bytes."""
    told = {peer: end.mtu for peer, end in part.ends} | {site.me: site.mtu}
    return dict(mtus(part.record, part.spec.networks, part.cards, told))


def told_mtu_of(part: Part, site: Site) -> dict[str, int]:
    """The same, of which guests here are told: no more than the paths to the network's other hosts take."""
    sizes, takes = mtu_of(part, site).items(), dict(part.takes)
    return dict(narrowest(part.record, part.spec.networks, part.cards, sizes, takes))


def _neighbours(
    part: Part, site: Site, network: str, away: Iterable[Card], carrier: Carrier
) -> Iterator[Neighbour]:
    """Members at other hosts. The forwarder of a sealed network knows where these are."""
    vias = _insides(part, site) if carrier is Carrier.WIREGUARD else _vias(part, site)
    for card in away:
        host = part.record.placed[card.workspace]
        mac = mac_of(network, card.address)
        if carrier is Carrier.SEALED:
            if host not in (site.me, *part.out):
                yield Neighbour(mac, card.address, card.workspace, peer=host)
        elif host in vias:
            yield Neighbour(mac, card.address, card.workspace, vias[host], host)


def _wireguard(part: Part, site: Site, neighbours: tuple[Neighbour, ...]) -> Wireguard:
    """This host's end of WireGuard, and those of the hosts that have neighbours."""
    ends = dict(part.ends)
    peers = []
    for host in dict.fromkeys(PeerId(neighbour.peer) for neighbour in neighbours):
        end = ends[host]
        assert end.wireguard is not None
        key = b64encode(end.wireguard.key).decode()
        there = reaches(site.underlay, end.underlay)
        at = endpoint_of(end.underlay, end.wireguard.port) if there else ""
        peers.append(WireguardPeer(host, key, inside_address(host), at))
    port = site.wireguard_port if site.wireguard_key else 0
    return Wireguard(inside_address(site.me), port, tuple(peers))


def _insides(part: Part, site: Site) -> dict[PeerId, str]:
    """Where each other host of the grid is inside WireGuard, if it has told a key that can be its own."""
    not_there = (site.me, *part.out)
    return {
        peer: inside_address(peer)
        for peer, end in part.ends
        if peer not in not_there
        and end.wireguard is not None
        and end.wireguard.key != site.wireguard_key
    }


def _attached(part: Part, network: str, name: str) -> Iterator[Neighbour]:
    """Hosts that are on a sealed network though they carry nothing of the grid."""
    for each in part.attached:
        if each.network == network and each.peer not in part.out:
            mac = mac_of(name, each.address)
            yield Neighbour(mac, each.address, each.name, peer=each.peer, four_alone=True)


def _vias(part: Part, site: Site) -> dict[PeerId, str]:
    """Where each other host of the grid takes its traffic."""
    # What gave this host's own address to another is behind: the other will tell its next one. Until then, and
    # until a host has told at all, nothing is sent there, and the rest of the network is kept as it is to be.
    not_there = (site.me, *part.out)
    return {
        peer: end.underlay
        for peer, end in part.ends
        if peer not in not_there and reaches(site.underlay, end.underlay)
    }


def runs(part: PartOf) -> bool:
    """Whether a workspace is to have a machine."""
    return not part.not_yet and part.wanted.power in (Power.RUNNING, Power.PAUSED)


def stops(part: PartOf) -> bool:
    """Whether a workspace is to have no machine any more."""
    return not part.not_yet and part.wanted.power in (Power.OFF, Power.GONE)


def saves(part: PartOf) -> bool:
    """Whether a workspace's machine is to be on disk."""
    return not part.not_yet and part.wanted.power is Power.SUSPENDED


def seed(part: Part, mine: PartOf, mtu: dict[str, int], user_data: bytes = b"") -> Seed:
    """What the guest is told; `mtu` is by network. The instance id stays over restarts, since it is the same
    machine, until its root disk is made anew.

    The workspace's own disk is mounted first, since a volume may be mounted somewhere on it.
    """
    own = ((SCRATCH, SCRATCH_PATH),) if mine.workspace.scratch_bytes else ()
    volumes = ((mount.volume, mount.path) for mount in mine.workspace.mounts)
    return Seed(
        instance_id=instance_id(part.record.id, mine.workspace.name, mine.wanted.build),
        hostname=mine.workspace.name,
        ssh_authorized_keys=part.spec.ssh_authorized_keys,
        mounts=(*own, *volumes),
        domain=part.record.name if mine.workspace.networks else "",
        nics=_seed_nics(part, mine, mtu),
        user_data=user_data,
    )


def _cards(part: Part, mine: PartOf) -> dict[str, Card]:
    """A workspace's cards by network, in its order. One that waits for its turn in a change may be of networks
    that it is on no more, or that its grid has no more."""
    there = {card.network: card for card in part.cards if card.workspace == mine.workspace.name}
    return {name: there[name] for name in mine.workspace.networks if name in there}


def _seed_nics(part: Part, mine: PartOf, mtu: dict[str, int]) -> tuple[SeedNic, ...]:
    """The guest's cards. Its way out is the first network that has one, and so is its way to the metadata."""
    networks = {network.name: network for network in part.spec.networks}
    cards, six = _cards(part, mine), _ranges6(part, mtu)
    names = list(cards)
    out = _way_out(part, mine)
    nics = []
    for name, card in cards.items():
        cidr6 = six.get(name, "")
        nics.append(
            SeedNic(
                mac=mac_of(network_name(part.record.id, name), card.address),
                address=f"{card.address}/{card.prefix}",
                gateway=gateway(networks[name].cidr),
                mtu=mtu[name],
                way_out=name == out,
                metadata=name == (out or names[0]),
                address6=f"{address6(cidr6, card.address)}/{PREFIX6_BITS}" if cidr6 else "",
            )
        )
    return tuple(nics)


def machine(
    part: Part,
    mine: PartOf,
    boots: Boots,
    root: tuple[Disk, ...],
    seed_path: str,
    disks: dict[str, str],
    where: Paths,
    mtu: dict[str, int],
    guest_disk: DiskRate = NO_DISK_RATE,
) -> Machine:
    """The guest's machine. `disks` maps what the guest calls its disks to their paths, `mtu` is by network.
    `guest_disk` is what it is held to if it asks for no rate of its disks.

    Its root disk, if it has one, is the first.
    """
    workspace, record = mine.workspace, part.record
    log, socket = where.console(record.id, workspace.name)
    vcpus_max, memory_max_bytes = most_of(workspace)
    where_of = {SCRATCH: SCRATCH_PATH} | {mount.volume: mount.path for mount in workspace.mounts}
    return Machine(
        name=machine_name(record.id, workspace.name),
        uuid=machine_uuid(record.id, workspace.name),
        title=f"{record.name}/{workspace.name}",
        grid=record.id,
        epoch=record.epoch,
        boot=mine.wanted.boot,
        vcpus=cpus_seen(workspace.cpus_milli),
        cpu_milli=workspace.cpus_milli,
        memory_bytes=workspace.memory_bytes,
        boots=boots,
        seed=seed_path,
        disks=(*root, *(Disk(path, name, mount=where_of[name]) for name, path in disks.items())),
        nics=tuple(_nic(part, card, mtu[name]) for name, card in _cards(part, mine).items()),
        console_log=str(log),
        console_socket=str(socket),
        workspace=workspace.name,
        agent_socket=str(where.agent(record.id, workspace.name)),
        build=mine.wanted.build,
        vcpus_max=vcpus_max,
        memory_max_bytes=memory_max_bytes,
        disk_rate=disk_rate(workspace, guest_disk),
    )


def disk_rate(workspace: Workspace, guest_disk: DiskRate) -> DiskRate:
    """What a workspace's machine is held to: what is asked for, else that."""
    return DiskRate(
        workspace.disk_bytes_s or guest_disk.bytes_s,
        workspace.disk_operations_s or guest_disk.operations_s,
    )


def disks(part: Part, mine: PartOf) -> tuple[tuple[str, str, int], ...]:
    """(name in the guest, id on the host, bytes) of a workspace's disks: its volumes, then its own."""
    grid, workspace = part.record.id, mine.workspace
    applied = part.record.applied
    # One that waits for its turn in a change may have volumes that its grid has no more.
    kept = {k.volume: k.size_bytes for k in applied.volumes} if applied is not None else {}
    sizes = kept | {volume.name: volume.size_bytes for volume in part.spec.volumes}
    names = (mount.volume for mount in workspace.mounts)
    found = [(name, volume_name(grid, name), sizes[name]) for name in names]
    if workspace.scratch_bytes:
        found.append((SCRATCH, scratch_name(grid, workspace.name), workspace.scratch_bytes))
    return tuple(found)


def probe_address(part: Part, mine: PartOf) -> tuple[str, str] | None:
    """The (network id, address) at which a workspace can be seen to answer; None without a network."""
    for card in part.cards:
        if card.workspace == mine.workspace.name:
            return network_name(part.record.id, card.network), card.address
    return None


def taps(part: Part, mine: PartOf) -> tuple[str, ...]:
    """The taps a workspace's machine is plugged into."""
    workspace = mine.workspace
    names = (network_name(part.record.id, network) for network in workspace.networks)
    return tuple(tap_name(name, workspace.name) for name in names)


def _port(network: str, card: Card, paired: bool, bits_s: int) -> Port:
    return Port(
        tap=tap_name(network, card.workspace),
        mac=mac_of(network, card.address),
        address=card.address,
        name=card.workspace,
        paired=paired,
        bits_s=bits_s,
    )


def _nic(part: Part, card: Card, mtu: int) -> Nic:
    network = network_name(part.record.id, card.network)
    tap = tap_name(network, card.workspace)
    return Nic(tap=tap, mac=mac_of(network, card.address), mtu=mtu, card=card_name(tap))


def goes_on(part: Part, mine: PartOf, seen: dict[str, MachineSeen]) -> str:
    """What a person is told besides, if a restart failed before the start that it was to replace was ended."""
    now = seen.get(machine_name(part.record.id, mine.workspace.name))
    before = now is not None and now.boot < mine.wanted.boot and now.state is MachineState.RUNNING
    return "; until then its last start runs on" if before else ""


def there(part: Part, mine: PartOf, seen: dict[str, MachineSeen]) -> MachineSeen | None:
    """The workspace's machine, if it runs (or pauses) as the wanted start of it."""
    now = seen.get(machine_name(part.record.id, mine.workspace.name))
    if now is None or now.state is MachineState.STOPPED or now.boot != mine.wanted.boot:
        return None
    return now
