"""The grid as everyone but its author sees it: complete, in base units, no default left open.

It is what a grid file (overlayd/config/gridfile.py) becomes and what travels in a signed order. Structs
here say shape only. `check.problems` says whether a value makes sense; the peer that read the file calls
it, and so does every host that receives the order. Tuples keep the file's order.
"""

from enum import StrEnum

import msgspec

from protocol.terms.architecture import Architecture
from protocol.terms.ids import Digest


class Encryption(StrEnum):
    """Whether a network's traffic may cross hosts in the clear."""

    REQUIRED = "required"
    """The default: hosts refuse if they cannot encrypt between them."""
    NONE = "none"


class Spread(StrEnum):
    """What the workspaces of one grid avoid sharing."""

    SITE = "site"
    HOST = "host"
    NONE = "none"


class OnExpiry(StrEnum):
    """What becomes of workspaces at the end of their lease."""

    STOP = "stop"
    """The default: stopped; disks are kept for the grace."""
    SUSPEND = "suspend"
    """Saved to disk, memory and all, and kept with the disks for the grace."""
    DELETE = "delete"
    """Stopped and deleted, volumes too."""


class LeaseTerms(msgspec.Struct, frozen=True):
    """When a lease may begin and what ends it. How long it lasts is GridSpec.lease_s.

    At most one of `start_s`, `before_s` and `best_effort` is given; with none it begins now or not at all.
    """

    start_s: float = 0.0
    """A reservation: it begins then, Unix seconds. 0: none."""
    before_s: float = 0.0
    """A deadline: any start will do that ends by then, Unix seconds. 0: none."""
    best_effort: bool = False
    """Waits for room, and makes room for reservations by being suspended."""
    on_expiry: OnExpiry = OnExpiry.STOP
    grace_s: int = 86400
    """How long what is left is kept after the end, in seconds."""
    warn_s: tuple[int, ...] = ()
    """How long before the end its hosts warn, in seconds, once for each."""


class Restart(StrEnum):
    """When a workspace that ended by itself is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    """The default: unless its guest switched itself off."""
    NEVER = "never"


class Wait(StrEnum):
    """How far a workspace that is changed has to come before the next one of its cluster is."""

    READY = "ready"
    """The default: it has done all that an `up` waits for."""
    RUNNING = "running"
    """It runs."""


class Compact(StrEnum):
    """What the workspaces of one grid share."""

    SITE = "site"
    HOST = "host"
    NONE = "none"


class Strict(StrEnum):
    """Rules of placement that may be made strict: kept, or the grid is refused."""

    SPREAD = "spread"
    COMPACT = "compact"


class Driver(StrEnum):
    """What runs a workspace on its host."""

    KVM = "kvm"
    """QEMU on hardware virtualisation."""
    QEMU = "qemu"
    """QEMU, on hardware virtualisation or by emulation."""
    LXC = "lxc"
    TEST = "test"
    """Machines that only pretend, to try out an overlay."""


class DeviceCount(msgspec.Struct, frozen=True, array_like=True):
    """So many of the devices a host's configuration calls by that name."""

    name: str
    count: int


class Transport(StrEnum):
    """What a port is a port of."""

    TCP = "tcp"
    UDP = "udp"


class Exposure(msgspec.Struct, frozen=True, array_like=True):
    """A port of a guest that is reached from outside, at a port of the host that carries it."""

    port: int
    """Of the guest."""
    transport: Transport = Transport.TCP
    outside: int = 0
    """Of its host. 0: one that the host chooses."""

    @property
    def suffix(self) -> str:
        """What follows a port where it is written; TCP goes without saying."""
        return "/udp" if self.transport is Transport.UDP else ""

    def __str__(self) -> str:
        plain = f"{self.port}{self.suffix}"
        return f"{plain} as {self.outside}" if self.outside else plain


class ImageRef(msgspec.Struct, frozen=True):
    """A guest image: the name a person wrote and, once resolved, the SHA-256 it stands for."""

    name: str
    digest: str = ""
    """64 hexadecimal digits; empty until it is resolved."""


SIX_AUTO = "auto"
"""Of a network's range of IPv6: it follows from the grid's id (six.py)."""


class NetworkSpec(msgspec.Struct, frozen=True):
    """A private network of the grid. Its first host address is the network's own."""

    name: str
    cidr: str
    """Private IPv4, written `10.42.0.0/24`."""
    encryption: Encryption = Encryption.REQUIRED
    internet: bool = False
    """Whether its guests get out, where their hosts allow it."""
    multicast: bool = False
    """Whether what its guests send to groups of IPv4, and to all, goes to all of them."""
    cidr6: str = ""
    """Its /64 of IPv6, written `fd42::/64`, or SIX_AUTO. Empty, also in orders of older builds: it has none."""


class VolumeSpec(msgspec.Struct, frozen=True):
    """A disk that outlives the workspace that mounts it."""

    name: str
    size_bytes: int
    replicas: int = 1


SCRATCH = "scratch"
"""How a guest finds its workspace's own disk: the disk's serial, and the label of its file system."""

SCRATCH_PATH = "/scratch"
"""Where it is mounted."""


class Mount(msgspec.Struct, frozen=True):
    """Where a cluster's workspace sees a volume."""

    volume: str
    path: str


class OwnSize(msgspec.Struct, frozen=True, array_like=True):
    """How large one workspace of a cluster is, where that is not as the others are."""

    workspace: str
    cpus_milli: int = 0
    """0: as the cluster says."""
    memory_bytes: int = 0
    """0: as the cluster says."""
    network_bits_s: int = 0
    """0: as the cluster says."""
    disk_bytes_s: int = 0
    """0: as the cluster says."""
    disk_operations_s: int = 0
    """0: as the cluster says."""


class ClusterSpec(msgspec.Struct, frozen=True):
    """`count` workspaces, named NAME-1 to NAME-count, alike but for `sizes`."""

    name: str
    count: int
    image: ImageRef
    cpus_milli: int
    """Thousandths of a cpu for each workspace."""
    memory_bytes: int
    """For each workspace."""
    minimum: int | None = None
    """Fewest workspaces that still make a grid; None means `count`."""
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    scratch_bytes: int = 0
    """The size of each workspace's own disk, empty at first and gone with the workspace. 0: it has none."""
    provides: tuple[str, ...] = ()
    """Names of services others may require."""
    requires: tuple[str, ...] = ()
    """Services whose providers start before this cluster does."""
    labels: tuple[str, ...] = ()
    """Only hosts that have all of these."""
    preferred_labels: tuple[str, ...] = ()
    """Hosts that have more of these come first."""
    architecture: Architecture | None = None
    driver: Driver | None = None
    devices: tuple[DeviceCount, ...] = ()
    """For each workspace. The host reserves them; nothing hands them to the guest yet."""
    near_volume: str = ""
    """A volume of this grid: hosts near the one that has it come first."""
    near_image: ImageRef = ImageRef("")
    """Hosts that have this image come first, then hosts at a site that has it."""
    disk_bytes: int = 0
    """The size of each workspace's root disk. 0: as large as its image, or none if the image has none."""
    user_data: str = ""
    """The SHA-256 of what the guest is given for its first boot, 64 hexadecimal digits. Empty: nothing."""
    restart: Restart = Restart.ON_FAILURE
    stop_within_s: int = 30
    """How long the guest may take to shut down before it is cut off, in seconds."""
    console_bytes: int = 0
    """What the log of each workspace's console may take of its host's disk. 0, in orders of older builds: it is
    kept small, and its host has the room."""
    max_cpus_milli: int = 0
    """How far each workspace's cpus can be raised while it runs. 0: no further than `cpus_milli`."""
    max_memory_bytes: int = 0
    """How far each workspace's memory can be raised while it runs. 0: no further than `memory_bytes`."""
    update_at_once: int = 1
    """How many of its workspaces may be started anew at once when the grid is changed."""
    update_wait: Wait = Wait.READY
    """What the next ones wait for then."""
    sizes: tuple[OwnSize, ...] = ()
    """Those that have another size than `cpus_milli` and `memory_bytes`, or another rate."""
    elastic: bool = False
    """Whether it is as large as there is room for, from `minimum` to `count`: only of best-effort grids."""
    network_bits_s: int = 0
    """What each workspace is promised, and held to, on each of its networks, each way: bits a second. 0: it is
    promised nothing, and its host says whether it is held to something."""
    expose: tuple[Exposure, ...] = ()
    """Ports of each workspace that are reached from outside."""
    disk_bytes_s: int = 0
    """What each workspace is promised, and held to, of all its disks together, read and written together: bytes
    a second. 0: it is promised nothing, and its host says whether it is held to something."""
    disk_operations_s: int = 0
    """The same in reads and writes a second."""

    @property
    def least(self) -> int:
        """Fewest workspaces that still make a grid."""
        return self.count if self.minimum is None else self.minimum


class PlacementSpec(msgspec.Struct, frozen=True):
    """Where the grid may be."""

    spread: Spread = Spread.NONE
    sites: tuple[str, ...] = ()
    """Only these sites; empty means any."""
    exclude: tuple[str, ...] = ()
    """Never on these hosts, by host name."""
    exclude_sites: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    """Sites, the best first. All others come behind them."""
    compact: Compact = Compact.NONE
    strict: tuple[Strict, ...] = ()
    """Which of spread and compact are kept, or else the grid is refused. Others are kept if there is room."""
    within_ms: int = 0
    """The longest round trip between any two members' hosts; 0 means any."""
    apart: tuple[str, ...] = ()
    """Names of grids of the same owner with which this one shares no host."""


class GridSpec(msgspec.Struct, frozen=True):
    """A whole grid."""

    name: str
    clusters: tuple[ClusterSpec, ...]
    vo: str = ""
    """The virtual organisation it runs for; empty while there are none."""
    lease_s: int = 86400
    """How long the lease is, in seconds: from the commit, if `lease` does not say otherwise."""
    lease: LeaseTerms = LeaseTerms()
    networks: tuple[NetworkSpec, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    placement: PlacementSpec = PlacementSpec()
    ssh_authorized_keys: tuple[str, ...] = ()
    """One line each, as in an authorized_keys file."""

    @property
    def files(self) -> tuple[tuple[str, Digest], ...]:
        """(cluster, digest) of the files that go with it."""
        return tuple((c.name, Digest(c.user_data)) for c in self.clusters if c.user_data)


class Workspace(msgspec.Struct, frozen=True):
    """One virtual machine of a grid, as it is quoted, held and built."""

    name: str
    """`worker-3`: unique in its grid, a DNS label."""
    cluster: str
    index: int
    """From 1."""
    cpus_milli: int
    memory_bytes: int
    disk_bytes: int
    """The sum of its root disk, volumes, scratch disk, its console's log, and its memory if it may be saved."""
    image: ImageRef
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    scratch_bytes: int = 0
    requires: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    preferred_labels: tuple[str, ...] = ()
    architecture: Architecture | None = None
    driver: Driver | None = None
    devices: tuple[DeviceCount, ...] = ()
    near_volume: str = ""
    near_image: ImageRef = ImageRef("")
    internet: bool = False
    """Whether one of its networks is to reach the outside."""
    root_bytes: int = 0
    """The size of its root disk, counted whole. 0: it has none, or its image's size was not known."""
    restart: Restart = Restart.ON_FAILURE
    stop_within_s: int = 30
    console_bytes: int = 0
    user_data: str = ""
    max_cpus_milli: int = 0
    max_memory_bytes: int = 0
    network_bits_s: int = 0
    """On each of its networks, each way."""
    expose: tuple[Exposure, ...] = ()
    disk_bytes_s: int = 0
    """Of all its disks together, read and written together."""
    disk_operations_s: int = 0
