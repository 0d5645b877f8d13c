"""The daemon's configuration: TOML, one file for each daemon, to a DaemonConfig with nothing left open.

Defaults that follow from other keys (advertise, socket) are filled in, and relative paths are made
absolute against the file's folder. So the composition root can use every value as it is.
"""

import grp
import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from overlayd.config.documents import DocumentError, KeyPath, Problem, Source, combined, load
from overlayd.config.offer import OfferTable, Table, offer_problems
from overlayd.config.places import (
    API_SOCKET,
    CONSOLE_SOCKET,
    LIBVIRT_ROOT,
    LIBVIRT_ROOT_MAX,
    SOCKET_PATH_MAX,
)
from overlayd.config.toml_source import parse_toml
from overlayd.config.typed import read
from overlayd.config.values import (
    AUTO,
    Contact,
    DiskRate,
    Duration,
    Endpoint,
    FilePath,
    Ipv4,
    Name,
    Operations,
    PortRange,
    Rate,
    Size,
    UnderlaySource,
    UserIds,
)
from protocol.grid.limits import DISK_BYTES_S_MIN, DISK_OPERATIONS_S_MIN, NETWORK_BITS_S_MIN
from protocol.grid.problem import quoted
from protocol.terms.limits import LEVELS_ABOVE, MTU_LEAST, MTU_MOST, MTU_USUAL
from protocol.terms.quantities import format_byte_rate, format_operations, format_rate
from protocol.terms.ranges import PORT_MOST

DEFAULT_CONFIG = Path("/etc/overlayd/overlayd.toml")


LEVELS_LEAST, LEVELS_MOST = 16, 10_000
"""Fewer peers are nearly a full mesh. More would cost 5 % of a core for adverts alone."""

DEFAULT_PORT = 7700
_KEY = Meta(examples=["/etc/overlayd/host.key"])


class KvmUse(StrEnum):
    """Whether to try hardware virtualisation."""

    TRY = "try"
    NEVER = "never"


class WireguardUse(StrEnum):
    """Whether to try WireGuard."""

    TRY = "try"
    NEVER = "never"


class LogLevel(StrEnum):
    """The least important line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How lines are written."""

    JSON = "json"
    CONSOLE = "console"


class ComputeUri(StrEnum):
    """Hypervisor connections the compute adapter knows."""

    EMBED = "qemu:///embed"
    SYSTEM = "qemu:///system"
    LXC = "lxc:///"
    """Containers, by a libvirtd that the daemon starts for itself."""
    LXC_SYSTEM = "lxc:///system"
    """Containers, by the libvirtd that the host has."""
    TEST = "test:///default"


class WhenRevoked(StrEnum):
    """What becomes of the guests here when this host's certificate is revoked."""

    KEEP = "keep"
    STOP = "stop"


class HostTable(Table, frozen=True, kw_only=True):
    """This host's identity. Names must be those of its certificate."""

    name: Annotated[Name, Meta(examples=["uc-1"])]
    site: Annotated[Name, Meta(examples=["uc"])]
    state: Annotated[FilePath, Meta(examples=["/var/lib/overlayd"])]
    """The folder of everything the daemon keeps. It is made if it is not there."""
    when_revoked: WhenRevoked = WhenRevoked.KEEP
    """`keep`: guests go on, cut off from those on other hosts. `stop`: they are shut off, their disks kept."""


class ReachUse(StrEnum):
    """Whether other peers can dial this one."""

    AUTO = "auto"
    PUBLIC = "public"
    NAT = "nat"


class OverlayTable(Table, frozen=True, kw_only=True):
    """How peers reach each other."""

    listen: Annotated[Endpoint, Meta(examples=["192.0.2.7:7700", "[::]:7700"])] = Endpoint()
    """An address of this host, or a name that stands for one when the daemon starts; `[::]` is every address,
    `0.0.0.0` every IPv4 address. Only a peer behind NAT may leave it out. It then listens nowhere.
    """
    advertise: Endpoint = Endpoint()
    """Where others reach it. A name is looked up by them, each time that they dial. If left out, it is as
    `listen`; if that is every address, others are told the one that this host has towards them, and the next
    one when that changes.
    """
    reach: ReachUse = ReachUse.AUTO
    """`nat`: nobody can dial it, and others reach it through a peer it dials. `auto`: it finds out."""
    join: Annotated[tuple[Contact, ...], Meta(examples=[["KEY@192.0.2.7:7700"]])] = ()
    """Peers to join by; empty for the first peer of an overlay. A name is looked up each time it is dialled."""
    levels_above: int = LEVELS_ABOVE
    """Up to so many peers everybody knows everybody. Above, other sites are known by summaries. It must be
    the same at every peer."""


class IdentityTable(Table, frozen=True, kw_only=True):
    """Files that `overlayctl host enrol` wrote."""

    key: Annotated[FilePath, _KEY]
    """The host's secret key, mode 0600."""
    certificate: Annotated[FilePath, Meta(examples=["/etc/overlayd/host.cert"])]
    """The chain: host, site."""
    federation: Annotated[FilePath, Meta(examples=["/etc/overlayd/federation.pub"])]
    """The federation's public key, in which all trust ends."""


class ApiTable(Table, frozen=True, kw_only=True):
    """The Unix socket that overlayctl talks to."""

    socket: FilePath = FilePath()
    """If left out, where overlayctl looks by itself. Several daemons on one host need one each."""
    group: str = ""
    """A group that may use the socket. If left out, only root may."""


class ComputeTable(Table, frozen=True, kw_only=True):
    """Which hypervisor, and how much of it is tried."""

    uri: ComputeUri = ComputeUri.EMBED
    kvm: KvmUse = KvmUse.TRY
    kvm_trial: Annotated[Duration, Meta(examples=["20s"])] = Duration(20)
    """Seconds a guest has to show that it runs under KVM."""
    guest_disk_rate: Annotated[DiskRate | None, Meta(examples=["200M"])] = None
    """What a guest without a `disk-rate` of its own is held to, of all its disks together, read and written
    together, in bytes a second. If left out, it has what there is. A container may
    read so much and write so much on each disk, and is not held where control groups are of version 1."""
    guest_disk_operations: Annotated[Operations | None, Meta(examples=[2000])] = None
    """The same for one without `disk-operations`, in reads and writes a second."""
    guest_uids: UserIds = UserIds()
    """User ids for guests' processes, one for each workspace, which nobody else on this host has. If left out,
    some of 1879048192 to 2147221503, which no distribution uses. A container needs 65536 of them; if left out,
    it has some of 603979776 to 1879048191, which are for containers by convention."""


class EgressUse(StrEnum):
    """Whether guests get out."""

    NONE = "none"
    NAT = "nat"


PRIVATE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
)  # fmt: skip
"""What is not the public internet (RFC 6890)."""


class NetworkTable(Table, frozen=True, kw_only=True):
    """How grids' networks cross hosts."""

    underlay: UnderlaySource = UnderlaySource(AUTO)
    """This host's end of tunnels: a local address, or the interface whose address it is, whatever that becomes,
    IPv4 if it has both. `auto`: the host part of `advertise` if it is local, else the address from which peers
    of `join` are reached, those by name left out. Hosts carry a network together by one family of addresses.
    """
    mtu: int = MTU_USUAL
    """The largest packet of guests, in bytes, if the underlay's link carries it: VXLAN takes 50 bytes more, by
    IPv6 70. A network takes the least of its hosts, a sealed one 32 bytes less, one inside WireGuard 80."""
    tunnel_port: int = 0
    """The UDP port by which networks that are sealed reach other hosts. If left out, the number of the port in
    `listen`, or 7700 without that. Other hosts must reach it."""
    wireguard: WireguardUse = WireguardUse.TRY
    """`try`: networks that are to be encrypted cross by the kernel's WireGuard, if all of their hosts have it;
    otherwise they are sealed by a program of ours."""
    wireguard_port: int = 0
    """The UDP port of WireGuard. If left out, one more than `tunnel-port`. Other hosts must reach it."""
    egress: EgressUse = EgressUse.NONE
    """`nat`: networks with `internet: true` reach the outside with this host's address. It must forward."""
    egress_closed: Annotated[tuple[str, ...], Meta(examples=[["10.0.0.0/8", "203.0.113.0/24"]])] = (
        PRIVATE
    )
    """Ranges that guests do not reach all the same; left out, all that is not public. This host, its own
    networks and other hosts of the overlay are closed in any case."""
    expose: Annotated[PortRange, Meta(examples=["30000-32767"])] = PortRange()
    """This host's ports that grids may have, each for one workspace; left out, none. It must forward."""
    expose_address: Ipv4 = Ipv4()
    """Where these are; left out, where others reach this host. A router in front may have it, and pass on."""
    resolvers: Annotated[tuple[Ipv4, ...], Meta(examples=[["192.0.2.53"]])] = ()
    """DNS servers that are asked about names of the outside; left out, those of /etc/resolv.conf, whatever it
    says next. One on this host's loopback will do."""
    relay_rate: Annotated[Rate, Meta(examples=["100M"])] = Rate(10_000_000)
    """Bits a second lent for passing on, sealed, between hosts that do not reach each other; 0 lends none."""
    guest_rate: Annotated[Rate | None, Meta(examples=["1G"])] = None
    """What a guest without a `network-rate` of its own is held to on each network, each way, in bits a second.
    If left out, it has what there is."""


class ImagesTable(Table, frozen=True, kw_only=True):
    """Images that this host keeps."""

    cache: Size = Size(50 << 30)
    """How much disk may be taken by images that no workspace here uses. Beyond it those that were used longest
    ago are removed, but none that was added here."""


class LogTable(Table, frozen=True, kw_only=True):
    """What is logged."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.CONSOLE


class DaemonConfig(Table, frozen=True, kw_only=True):
    """The whole file. As load_daemon answers it, every path is absolute and no text is empty
    but `api.group`.
    """

    host: HostTable
    overlay: OverlayTable
    identity: IdentityTable
    api: ApiTable = ApiTable()
    compute: ComputeTable = ComputeTable()
    offer: OfferTable = OfferTable()
    network: NetworkTable = NetworkTable()
    images: ImagesTable = ImagesTable()
    log: LogTable = LogTable()


def load_daemon(path: str | Path) -> DaemonConfig:
    """The configuration in a file. Raises DocumentError with every problem of it."""
    config, problems = _read(path)
    if problems:
        raise DocumentError(problems)
    return config


def check(path: str | Path) -> list[Problem]:
    """Every problem on this host of the file and of the files it names; empty if there is none."""
    try:
        return _read(path)[1]
    except DocumentError as error:
        return list(error.problems)


def _read(path: str | Path) -> tuple[DaemonConfig, list[Problem]]:
    source = load(path, parse_toml)
    written, problems = read(source, DaemonConfig)
    config = _resolved(written, Path(path).absolute().parent)
    meaning = [source.problem(at, message) for at, message in _problems(config, source)]
    return config, combined(problems, meaning)


def _resolved(config: DaemonConfig, folder: Path) -> DaemonConfig:
    """The configuration with nothing left open: paths absolute, dependent defaults filled in."""
    replace = msgspec.structs.replace

    def absolute(path: str) -> FilePath:
        return FilePath(os.path.normpath(folder / path)) if path else FilePath()

    state = absolute(config.host.state)
    advertise = config.overlay.advertise or config.overlay.listen
    listens = config.overlay.listen.address.port if config.overlay.listen else DEFAULT_PORT
    sealed = config.network.tunnel_port or listens
    inside = config.network.wireguard_port or min(sealed, PORT_MOST - 1) + 1
    return replace(
        config,
        host=replace(config.host, state=state),
        overlay=replace(config.overlay, advertise=advertise),
        identity=IdentityTable(
            key=absolute(config.identity.key),
            certificate=absolute(config.identity.certificate),
            federation=absolute(config.identity.federation),
        ),
        api=replace(config.api, socket=absolute(config.api.socket or API_SOCKET)),
        network=replace(config.network, tunnel_port=sealed, wireguard_port=inside),
    )


def _problems(config: DaemonConfig, source: Source) -> Iterator[tuple[KeyPath, str]]:
    """What cannot work, though each value alone is well-formed."""
    state = Path(config.host.state)
    if state.exists() and not state.is_dir():
        yield ("host", "state"), f"{state} is a file; name a folder, or one that can be made"
    if problem := _too_deep(config.host.state, config.compute.uri):
        yield ("host", "state"), problem
    yield from _overlay_problems(config, source)
    yield from _identity_problems(config.identity)
    yield from _api_problems(config.api)
    if not MTU_LEAST <= config.network.mtu <= MTU_MOST:
        allowed = f"allowed are {MTU_LEAST} to {MTU_MOST}"
        yield ("network", "mtu"), f"found {config.network.mtu}; {allowed}"
    yield from _compute_problems(config.compute)
    yield from _tunnel_problems(config.network)
    yield from _egress_problems(config.network)
    if not 1 <= config.compute.kvm_trial <= 600:
        yield ("compute", "kvm-trial"), f"found {config.compute.kvm_trial} s; allowed are 1s to 10m"
    yield from offer_problems(config.offer)


def _compute_problems(compute: ComputeTable) -> Iterator[tuple[KeyPath, str]]:
    rate, operations = compute.guest_disk_rate, compute.guest_disk_operations
    for key, value, least, words in (
        ("guest-disk-rate", rate, DISK_BYTES_S_MIN, format_byte_rate),
        ("guest-disk-operations", operations, DISK_OPERATIONS_S_MIN, format_operations),
    ):
        if value is not None and value < least:
            yield ("compute", key), f"found {words(value)}; {words(least)} is the least"


def _tunnel_problems(network: NetworkTable) -> Iterator[tuple[KeyPath, str]]:
    for name, port in (
        ("tunnel-port", network.tunnel_port),
        ("wireguard-port", network.wireguard_port),
    ):
        if not 1 <= port <= PORT_MOST:
            yield ("network", name), f"found {port}; allowed are 1 to {PORT_MOST}"
    if network.wireguard is WireguardUse.TRY and network.wireguard_port == network.tunnel_port:
        yield (
            ("network", "wireguard-port"),
            f"found {network.wireguard_port}, which tunnel-port is",
        )


def _egress_problems(network: NetworkTable) -> Iterator[tuple[KeyPath, str]]:
    for text in network.egress_closed:
        try:
            IPv4Network(text)
        except ValueError as error:
            told = f"found {quoted(text)}, {error}; write a range as 10.0.0.0/8"
            yield ("network", "egress-closed"), told
    if network.guest_rate is not None and network.guest_rate < NETWORK_BITS_S_MIN:
        least = format_rate(NETWORK_BITS_S_MIN)
        yield (
            ("network", "guest-rate"),
            f"found {format_rate(network.guest_rate)}; {least} is the least",
        )


def _too_deep(state: str, uri: ComputeUri) -> str | None:
    """What is wrong with a state directory in which a guest's Unix sockets would have too long a path."""
    most = SOCKET_PATH_MAX - len(f"/{CONSOLE_SOCKET}")
    if uri is ComputeUri.EMBED:
        most = min(most, LIBVIRT_ROOT_MAX - len(f"/{LIBVIRT_ROOT}"))
    length = len(os.fsencode(state))
    if length <= most or uri is ComputeUri.TEST:  # What only pretends has no sockets.
        return None
    return (
        f"{state} has {length} bytes; guests' Unix sockets lie in it, so at most {most} are allowed,"
        " for example /var/lib/overlayd"
    )


def _overlay_problems(config: DaemonConfig, source: Source) -> Iterator[tuple[KeyPath, str]]:
    overlay = config.overlay
    if not LEVELS_LEAST <= overlay.levels_above <= LEVELS_MOST:
        allowed = f"allowed are {LEVELS_LEAST} to {LEVELS_MOST}"
        yield ("overlay", "levels-above"), f"found {overlay.levels_above}; {allowed}"
    yield from _listen_problems(config)
    if overlay.advertise.is_everywhere and ("overlay", "advertise") in source.spots:
        said = f"found {quoted(overlay.advertise)}; write the address others reach it by"
        yield ("overlay", "advertise"), said
    if (ip := config.network.underlay.ip) is not None and ip.is_unspecified:
        said = f"found {quoted(str(ip))}; write this host's address towards other hosts"
        yield ("network", "underlay"), said
    for index, contact in enumerate(overlay.join):
        if contact.endpoint == overlay.advertise:
            said = "found this daemon's own address; name other peers, or none if it is the first"
            yield ("overlay", "join", index), said
        elif contact in overlay.join[:index]:
            yield ("overlay", "join", index), "found the same peer a second time; once is enough"


def _listen_problems(config: DaemonConfig) -> Iterator[tuple[KeyPath, str]]:
    """What a peer without `listen` cannot do."""
    overlay = config.overlay
    if overlay.listen:
        return
    if overlay.reach is not ReachUse.NAT:
        yield ("overlay", "listen"), "missing; write for example 192.0.2.7:7700"
        return
    if overlay.advertise:
        said = "nobody listens there without listen; write listen too, or leave both out"
        yield ("overlay", "advertise"), said
    if not overlay.join:
        said = "nobody can dial this peer, so name at least one that it is to dial"
        yield ("overlay", "join"), said


def _identity_problems(identity: IdentityTable) -> Iterator[tuple[KeyPath, str]]:
    for key, path in (
        ("key", identity.key),
        ("certificate", identity.certificate),
        ("federation", identity.federation),
    ):
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            yield ("identity", key), f"{path}: {reason}; overlayctl host enrol writes it"
            continue
        if not stat.S_ISREG(mode):
            yield ("identity", key), f"{path} is not a file"
        elif key == "key" and stat.S_IMODE(mode) & 0o177:
            found = f"{path} has mode {stat.S_IMODE(mode):04o}"
            yield ("identity", key), f"{found}; a secret key has 0600: chmod 600 {path}"


def _api_problems(api: ApiTable) -> Iterator[tuple[KeyPath, str]]:
    length = len(os.fsencode(api.socket))
    if length > SOCKET_PATH_MAX:
        found = f"{api.socket} has {length} bytes"
        yield (
            ("api", "socket"),
            f"{found}; a socket's path has at most {SOCKET_PATH_MAX}, so write a shorter one",
        )
    if api.group:
        try:
            grp.getgrnam(api.group)
        except KeyError:
            said = f"found {quoted(api.group)}, which is no group of this host; groupadd makes it"
            yield ("api", "group"), said
