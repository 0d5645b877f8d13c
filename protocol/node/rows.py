"""What a face may see of a peer, as plain values. Faces in other processes read it, so it imports little."""

import msgspec

from protocol.capacity.advert import ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.capacity.room import Step
from protocol.stream.admission import Carried
from protocol.stream.messages import Why
from protocol.terms.ids import Digest, GridId, PeerId, StoreId


class PeerRow(msgspec.Struct, frozen=True):
    """One peer as this one sees it."""

    peer: PeerId
    name: str
    site: str
    address: str
    health: str
    """alive, suspect, dead or left; `self` for this peer."""
    neighbour: bool
    reach: str
    """public, nat or relayed, which says whether others can dial it."""
    through: str
    """The relay through which it is spoken to now; empty for a direct connection, or none."""
    age_s: float
    """Seconds since its advert came; -1 if none has."""
    round_trip_s: float
    """Measured by pings; 0 if it is not measured."""
    distance_s: float
    """The round trip as network coordinates estimate it; -1 if they do not yet."""
    driver: str
    accelerator: str
    accelerator_why: str
    free: Quantum
    capacity: Quantum
    shapes: tuple[tuple[str, int], ...]
    """How many of each standard shape fit."""
    workspaces: int
    images: tuple[ImageLabel, ...]
    faults: int = 0
    """How many faults of it this peer remembers."""
    quarantine_s: float = 0.0
    """How many seconds its connections are still refused here, for its faults."""
    serial: str = ""
    """The serial of its certificate, as a revocation names it."""
    certificate_s: float | None = None
    """Seconds until its certificate ends."""
    labels: tuple[str, ...] = ()
    clock_ahead_s: float = 0.0
    """By how many seconds its clock is ahead of this peer's as measured, or of its neighbours' as it says.
    0 if it is near, or not known."""
    confined: str = ""
    """What its guests' processes are confined by, as it says."""
    wireguard: bool | None = None
    """Whether it can carry networks by WireGuard, as it says; None if it told nothing of itself yet."""
    wireguard_why: str = ""
    """Why it cannot, as it says."""
    store: StoreId = StoreId("")
    """The store that remembers what it promises, as it says. Orders name it with their stewards."""
    leaving: bool = False
    """Whether it is to be stopped for good, as it says."""
    lied: str = ""
    """What it, as a steward, is proven to have lied of; empty if nothing is. With `health` `out` it is not
    believed."""


class SiteRow(msgspec.Struct, frozen=True):
    """One site: its live hosts together."""

    site: str
    hosts: int
    alive: int
    free: Quantum
    capacity: Quantum
    workspaces: int
    age_s: float
    """The age of the oldest advert that is counted."""


class WorkspaceRow(msgspec.Struct, frozen=True):
    """One workspace of one grid."""

    grid: str
    grid_id: GridId
    workspace: str
    host: str
    peer: PeerId
    site: str
    phase: str
    detail: str
    address: str
    """Its first; empty if it has none."""
    boot: int
    age_s: float
    """Seconds since its host last told of it; -1 if it has not."""
    host_health: str
    told: str = ""
    """The phase that its host told last: another than `phase` if the host is not heard."""
    silent_s: float | None = None
    """For how many seconds its host is not heard; None if it is, -1 if nobody knows since when."""
    addresses: tuple[str, ...] = ()
    """On all its networks, in the grid's order of them."""
    host_keys: tuple[str, ...] = ()
    """The SSH host keys that its guest named, best first: `TYPE BASE64`."""
    login: str = ""
    """Who logs in to it, as its image says; empty if it says nobody."""
    exposed: tuple[str, ...] = ()
    """Where it is reached from outside, as its host says: `198.51.100.7:31443 -> head-1:443`."""


class SpentRow(msgspec.Struct, frozen=True):
    """What a host has by the orders of one key and of those below it."""

    site: str
    host: str
    age_s: float
    """Since the host told it."""
    cpus_milli: int
    memory_bytes: int
    disk_bytes: int
    workspaces: int
    devices: int


class GridRow(msgspec.Struct, frozen=True):
    """One grid."""

    grid: GridId
    name: str
    owner_site: str
    """A site's name, or `vo:` and a VO's."""
    state: str
    epoch: int
    workspaces: int
    phases: tuple[tuple[str, int], ...]
    """How many workspaces are in each phase."""
    hosts: int
    sites: int
    stewards: tuple[str, ...]
    lease_left_s: float
    starts_in_s: float = 0.0
    """Seconds until its lease begins; 0 if its time has come."""
    kept_left_s: float = 0.0
    """Seconds until what is left of it is deleted."""
    lost: tuple[str, ...] = ()
    """The hosts of it that are not heard, and what would work, for people; empty if all are heard."""
    networks: tuple[tuple[str, int], ...] = ()
    """(network, the largest packet it takes), as its hosts make them."""
    detail: str = ""
    """What its owner is to know now, in a line: what is lost, or failed, or ends soon."""
    confirmed: bool = True
    """Whether its stewards' decision was seen here. If not, it is what hosts tell: anybody may say anything."""
    volumes: tuple["VolumeRow", ...] = ()
    """What its hosts keep for it. All of it is deleted when the grid is taken down."""
    member: str = ""
    """What who ordered it is called within its VO; empty for a site's, or if it has no name."""


class VolumeRow(msgspec.Struct, frozen=True):
    """One volume of a grid on one host, as that tells."""

    name: str
    host: str
    size_bytes: int
    workspace: str
    """The workspace that it is for, which may have been terminated."""


class StoryRow(msgspec.Struct, frozen=True):
    """A line of a grid's story."""

    at_s: float
    """Unix seconds, by the clock of the host that tells it."""
    host: str
    kind: str
    text: str


class UnknownRow(msgspec.Struct, frozen=True):
    """What was found of one grid on this host, which does not remember it."""

    grid: GridId
    """Empty if nothing says it."""
    name: str
    """What people call the grid; its id if nothing says it."""
    things: tuple[str, ...]
    """Machines and disks, each with what it does or how large it is; none if only a promise is left."""
    workspaces: tuple[str, ...]
    """Those of its workspaces that are named on its machines."""
    quantum: Quantum
    """What all of it takes of this host."""
    stewards: tuple[str, ...]
    """Who is asked about it; nobody if nothing says it."""
    asked: int
    """How often they were asked."""
    why: str
    """What came of it, for people."""
    age_s: float
    """Seconds since it was found."""


class SelfRow(msgspec.Struct, frozen=True):
    """This peer."""

    peer: PeerId
    name: str
    site: str
    address: str
    incarnation: int
    neighbours: int
    known: int
    records: int
    holds: int
    carried: int
    faults: dict[str, int]
    """How many faults of others were counted, by reason."""
    dropped: int
    """How many messages found no connection."""
    relayed: dict[str, int]
    """How many messages and bytes this peer passed on for others, and how many paths dropped, by reason."""
    quarantined: int = 0
    """How many peers' connections are refused for their faults."""
    leaving: bool = False
    """Whether it is to be stopped for good."""
    seats: int = 0
    """How many living grids it keeps the record of, as one of their stewards."""


class TimetableRow(msgspec.Struct, frozen=True):
    """One host's room from now on, as it told it."""

    name: str
    site: str
    health: str
    age_s: float
    """Seconds since the host told it."""
    now_s: float
    """The clock of the peer that was asked, Unix seconds. The steps count from it."""
    capacity: Quantum
    steps: tuple[Step, ...]
    """Free room. The first step is for now, and the last one has the least of all that is free later."""
    rates: Rates


class NoConsole(Exception):
    """An order opens no console at a host. The text says to people why not."""


class StreamWay(msgspec.Struct, frozen=True):
    """Where an order to connect leads at a host."""

    carried: Carried
    """Whom the stream counts for."""
    port: int
    addresses: tuple[tuple[str, str], ...]
    """(network, address) of the workspace, in the grid's order of networks; none if it has no network."""
    site: str
    """The site of the peer it goes through; empty if it is not known."""


class NoStream(Exception):
    """An order opens no stream at a host, or keeps none open. The text says to people why not."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why


class GridFiles(msgspec.Struct, frozen=True):
    """The files of one grid."""

    key: str
    """What they are kept by."""
    grid: GridId
    named: tuple[tuple[str, Digest], ...]
    """(cluster, file) pairs."""
    readers: tuple[PeerId, ...]
    """Who may have them: the hosts that carry it, and its stewards."""
    before: tuple[Digest, ...] = ()
    """Files of what the grid was before its last change, kept for the way back."""

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The files, each once."""
        return tuple(dict.fromkeys([*(digest for _, digest in self.named), *self.before]))


class NoCommit(Exception):
    """An order makes no image of a workspace at a host. The text says to people why not."""
