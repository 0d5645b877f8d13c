"""The grid as everyone but its author sees it: complete, in base units, no default left open.

It is what a grid file (overlayd/config/gridfile.py) becomes and what travels in a signed order.
Structs here say shape only; whether a value makes sense is said by `check.problems`, which the peer
that read the file and every host that receives the order both call. Tuples keep the file's order.
"""

from enum import StrEnum

import msgspec


class Encryption(StrEnum):
    """Whether a network's traffic may cross hosts in the clear."""

    REQUIRED = "required"
    """The default: hosts that cannot encrypt between them refuse."""
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
    """A reservation: begins then, Unix time. 0: no."""
    before_s: float = 0.0
    """A deadline: any start that ends by then, Unix time. 0: no."""
    best_effort: bool = False
    """Waits for room, and makes room for reservations by being suspended."""
    on_expiry: OnExpiry = OnExpiry.STOP
    grace_s: int = 86400
    """How long what is left is kept after the end."""
    warn_s: tuple[int, ...] = ()
    """How long before the end its hosts warn."""


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
    """QEMU, be it on hardware virtualisation or by emulation."""
    LXC = "lxc"
    TEST = "test"
    """Machines that only pretend, for trying out an overlay."""


class Architecture(StrEnum):
    """The instructions a host's cpus take, in the words of `uname -m`."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"
    PPC64LE = "ppc64le"
    RISCV64 = "riscv64"
    S390X = "s390x"


class DeviceCount(msgspec.Struct, frozen=True, array_like=True):
    """So many of the devices a host's configuration calls by that name."""

    name: str
    count: int


class ImageRef(msgspec.Struct, frozen=True):
    """A guest image: the name a person wrote and, once resolved, the SHA-256 that is meant."""

    name: str
    digest: str = ""
    """64 hexadecimal digits, or empty while not resolved."""


class NetworkSpec(msgspec.Struct, frozen=True):
    """A private network of the grid. Its first host address is the network's own."""

    name: str
    cidr: str
    """Private IPv4, written `10.42.0.0/24`."""
    encryption: Encryption = Encryption.REQUIRED


class VolumeSpec(msgspec.Struct, frozen=True):
    """A disk that outlives the workspace that mounts it."""

    name: str
    size_bytes: int
    replicas: int = 1


SCRATCH = "scratch"
"""What a guest knows its workspace's own disk by: its serial, and the label of the file system on it."""

SCRATCH_PATH = "/scratch"
"""Where it is mounted."""


class Mount(msgspec.Struct, frozen=True):
    """Where a cluster's workspace sees a volume."""

    volume: str
    path: str


class ClusterSpec(msgspec.Struct, frozen=True):
    """`count` equal workspaces, named NAME-1 to NAME-count."""

    name: str
    count: int
    image: ImageRef
    cpus_milli: int
    """Thousandths of a cpu, of each workspace."""
    memory_bytes: int
    """Of each workspace."""
    minimum: int | None = None
    """Fewest workspaces that still make a grid; None means `count`."""
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    scratch_bytes: int = 0
    """Of each workspace's own disk, empty at first and gone with the workspace; 0: it has none."""
    provides: tuple[str, ...] = ()
    """Names of services others may require."""
    requires: tuple[str, ...] = ()
    """Services whose providers start before this cluster does."""
    labels: tuple[str, ...] = ()
    """Only hosts that have all of these."""
    preferred_labels: tuple[str, ...] = ()
    """Hosts that have more of these first."""
    architecture: Architecture | None = None
    driver: Driver | None = None
    devices: tuple[DeviceCount, ...] = ()
    """Of each workspace. Reserved on the host; nothing hands them to the guest yet."""
    near_volume: str = ""
    """A volume of this grid: hosts near the one that has it first."""
    near_image: ImageRef = ImageRef("")
    """Hosts that have this image first, then those at a site that has."""

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
    """Sites, the best first; all others come behind them."""
    compact: Compact = Compact.NONE
    strict: tuple[Strict, ...] = ()
    """Which of spread and compact are kept or the grid refused; otherwise as far as there is room."""
    within_ms: int = 0
    """Longest round trip between any two members' hosts; 0 means any."""
    apart: tuple[str, ...] = ()
    """Names of grids of the same owner with which this one shares no host."""


class GridSpec(msgspec.Struct, frozen=True):
    """A whole grid."""

    name: str
    clusters: tuple[ClusterSpec, ...]
    vo: str = ""
    """Virtual organisation it runs for; empty while there are none."""
    lease_s: int = 86400
    """How long, in seconds: from the moment it is committed if `lease` does not say otherwise."""
    lease: LeaseTerms = LeaseTerms()
    networks: tuple[NetworkSpec, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    placement: PlacementSpec = PlacementSpec()
    ssh_authorized_keys: tuple[str, ...] = ()
    """One line each, as in an authorized_keys file."""


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
    """Sum of its volumes, its scratch disk, and its memory where that may be saved to disk."""
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
