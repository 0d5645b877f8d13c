"""What the API says beyond the rows of the peer's view. It is cheap to import: faces decode answers with it."""

from typing import Annotated

import msgspec

from overlayd.ports.images import ImageInfo
from protocol.grid.model import GridSpec
from protocol.image.facts import ImageKind
from protocol.node.rows import GridRow, StoryRow, WorkspaceRow
from protocol.policy.receipts import Payer, Total
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.order import SignedOrder

VERSION = "v1"
"""The first part of every path. It changes when clients of before would be told something wrong."""

Offset = Annotated[int, msgspec.Meta(ge=-(1 << 16), le=1 << 53)]
"""A place in a console's text, in bytes. A negative one counts from the end."""

KEYS_MAX_BYTES = 4096
"""The most bytes that are typed at once into a console: a pasted page."""


class ProblemView(msgspec.Struct, frozen=True):
    """The body of every answer that is no success."""

    problem: str
    """What was asked and what stopped it, in a line."""
    would_work: str = ""
    """What would work; empty if nothing is known that would."""


class Accepted(msgspec.Struct, frozen=True):
    """It was taken in. GET /v1/requests/{request} tells what becomes of it."""

    request: RequestId


class OrderBody(SignedOrder, frozen=True):
    """A signed order, and the files that its grid names by their digests."""

    attachments: tuple[bytes, ...] = ()

    @property
    def order(self) -> SignedOrder:
        """The order alone."""
        return SignedOrder(self.payload, self.signature, self.chain, self.grants)

    @classmethod
    def of(cls, order: SignedOrder, attachments: tuple[bytes, ...] = ()) -> "OrderBody":
        """An order with files."""
        return cls(order.payload, order.signature, order.chain, order.grants, attachments)


class PlanBody(GridSpec, frozen=True):
    """A grid to be planned, and the files that it names by their digests."""

    attachments: tuple[bytes, ...] = ()
    without: tuple[str, ...] = ()
    """Of a change: workspaces that would not be there, though their clusters have them."""

    @property
    def spec(self) -> GridSpec:
        """The grid alone."""
        return GridSpec(*(getattr(self, field) for field in GridSpec.__struct_fields__))

    @classmethod
    def of(
        cls, spec: GridSpec, attachments: tuple[bytes, ...] = (), without: tuple[str, ...] = ()
    ) -> "PlanBody":
        """A grid with files."""
        fields = [getattr(spec, field) for field in GridSpec.__struct_fields__]
        return cls(*fields, attachments, without)  # type: ignore[call-arg]  # all of GridSpec's, then its own


class AuditEndView(msgspec.Struct, frozen=True):
    """Where the audit log of this host ends."""

    n: int
    """The number of the last line, 0 if there is none."""
    digest: str
    """SHA-256 of that line, 64 hexadecimal digits."""
    key: PeerId
    """The host's key, by which the log is checked."""
    host: str
    fault: str
    """Why what was to be written last is not; empty if it is."""


class UsageRow(msgspec.Struct, frozen=True):
    """What one lease had on one host."""

    host: str
    site: str
    grid: GridId
    name: str
    payer: Payer
    total: Total


class UsageView(msgspec.Struct, frozen=True):
    """What leases of a site's hosts had."""

    rows: tuple[UsageRow, ...]
    missing: tuple[tuple[str, str], ...]
    """Hosts that told nothing, or not all, each with why."""


class RevocationView(msgspec.Struct, frozen=True):
    """What a revocation that was published revokes."""

    what: str
    serial: str
    reason: str
    until_s: float
    """When the certificate would have ended by itself."""
    known: bool
    """Whether this peer had heard of it before."""


class Telling(msgspec.Struct, frozen=True):
    """A line for the people of every host."""

    text: str


class LeavingBody(msgspec.Struct, frozen=True):
    """Whether this host is to be stopped for good."""

    leaving: bool


class FileView(msgspec.Struct, frozen=True):
    """A file that guests of a cluster are given: what it is known by, never what it says."""

    cluster: str
    digest: str
    """Its SHA-256."""
    size_bytes: int
    """-1 if it has yet to come to the peer that was asked."""


class ElasticView(msgspec.Struct, frozen=True):
    """How large an elastic cluster is, and may be."""

    cluster: str
    here: int
    least: int
    most: int
    """As many as were asked for, without what was ordered gone."""


class SizeView(msgspec.Struct, frozen=True):
    """What one workspace is promised and held to, as was decided last. A rate of 0: none in particular."""

    workspace: str
    cpus_milli: int
    memory_bytes: int
    disk_bytes: int
    """Of its own: its root and what is empty at its start, without volumes."""
    network_bits_s: int
    """On each of its networks, each way."""
    disk_bytes_s: int
    """Of all its disks, what is read and what is written together; likewise the next."""
    disk_operations_s: int


class GridView(msgspec.Struct, frozen=True):
    """One grid with its workspaces, in the record's order."""

    grid: GridRow
    workspaces: tuple[WorkspaceRow, ...]
    story: tuple[StoryRow, ...] = ()
    """What happened to it, oldest first."""
    files: tuple[FileView, ...] = ()
    """The user-data of its clusters, if the peer that was asked carries the grid or keeps its record."""
    elastic: tuple[ElasticView, ...] = ()
    """Its elastic clusters, if the peer that was asked was shown what was decided of it."""
    carriers: tuple[tuple[str, str], ...] = ()
    """(network, `sealed`, `wireguard` or `plain`), if it was shown that."""
    sizes: tuple[SizeView, ...] = ()
    """Of its workspaces, in the grid file's order, likewise."""


class ImageHost(msgspec.Struct, frozen=True):
    """A host that has an image, as far as this peer has heard."""

    name: str
    site: str
    health: str
    age_s: float


class ImageRow(msgspec.Struct, frozen=True):
    """One image under one name."""

    name: str
    digest: str
    size_bytes: int
    here: bool
    """Whether this host has it."""
    hosts: tuple[ImageHost, ...]
    kind: str = ImageKind.APPLIANCE
    virtual_bytes: int = 0
    """How long its content is: of a disk, how large its guest finds it. 0 if its host does not say."""
    firmware: str = ""
    """What boots the disk that it is: `bios` or `uefi`."""
    architecture: str = ""
    used_by: tuple[str, ...] = ()
    """The workspaces on this host that are made of it, as GRID/WORKSPACE."""
    default_user: str = ""
    """Who logs in to a guest of it, if somebody said."""
    ours: bool = False
    """Whether somebody at this host, or at another of its site, gave it that name: then the name means it."""
    named_by: tuple[str, ...] = ()
    """The sites at whose hosts somebody gave it that name: it means it for people of these, too."""


class ImageView(msgspec.Struct, frozen=True):
    """One image with all its names, as far as this peer has heard."""

    digest: str
    names: tuple[str, ...]
    kind: str
    architecture: str
    firmware: str
    size_bytes: int
    """What it takes of this host's disk, or of another's that has it."""
    virtual_bytes: int
    here: bool
    hosts: tuple[ImageHost, ...]
    used_by: tuple[str, ...]
    """The workspaces on this host that are made of it, as GRID/WORKSPACE."""
    origin: str
    """What it was made from, for people; empty if this host does not have it."""
    added_by: str
    default_user: str = ""
    """Who logs in to a guest of it, if somebody said."""


class ImageAdded(ImageInfo, frozen=True):
    """An image that was added."""

    known: bool = False
    """Whether this host had its content before."""


class ImportView(msgspec.Struct, frozen=True):
    """How far a file is on its way to be an image, or an image to be a file."""

    stage: str
    done_bytes: int
    total_bytes: int
    """0: it is not known."""


class ConsoleRequest(msgspec.Struct, frozen=True):
    """Read a console from `offset` on, after typing `keys` into it."""

    order: SignedOrder
    """An order with action `console`, which names the grid and the workspace."""
    offset: Offset = 0
    keys: Annotated[bytes, msgspec.Meta(max_length=KEYS_MAX_BYTES)] = b""


class ConsoleView(msgspec.Struct, frozen=True):
    """What the console said. The next read begins at `offset` plus the length of `data`."""

    offset: int
    data: bytes


class ConnectRequest(msgspec.Struct, frozen=True):
    """Connect to a port of a workspace."""

    order: SignedOrder
    """An order with action `connect`, which names grid and workspace. Its body names the port and this peer."""


class AttachRequest(msgspec.Struct, frozen=True):
    """Have this host on a network of a grid, or go on having it there."""

    order: SignedOrder
    """An order with action `attach`, which names the grid's id, and this peer. Its body names the network."""


class AttachView(msgspec.Struct, frozen=True):
    """How this host stands on a network that it is to be on."""

    up: bool
    """Whether it is on it."""
    address: str
    """Its own there; empty while it has none."""
    cidr: str
    given: int
    """By so many of `hosts` that have members there it is let in. More than half are needed."""
    hosts: int
    problem: str
    """What stops it; empty if nothing does."""
    over: bool
    """Whether nothing will come of it."""


class BrokenView(msgspec.Struct, frozen=True):
    """Why a stream ended before both directions had."""

    why: str
    """A word for programs."""
    problem: str


class Health(msgspec.Struct, frozen=True):
    """The answer that shows that the daemon's loop turns, and whether it has the overlay it is to join."""

    status: str
    """`ok`; `joining` if nobody that `join` names was reached yet, `lost` if nobody is any more."""
    name: str
    site: str
    now_s: float
    problems: tuple[str, ...] = ()
    """What is wrong, in words. `overlayctl status` says what would help."""


class PathView(msgspec.Struct, frozen=True):
    """How one host of a grid reaches another on one of its networks, as the first knows and has measured it."""

    network: str
    host: str
    site: str
    to: str
    to_site: str
    carrier: str
    """`sealed` or `plain`."""
    cipher: str
    """What seals it; empty if nothing does, or there are no keys now."""
    loop: str
    """`native` or `python`: what seals it at the first host; empty if nothing does."""
    relay: str
    """The host that passes it on; empty if it goes there directly."""
    place: str
    """Where it is sent, HOST:PORT; empty if nobody knows."""
    mtu: int
    """The largest packet of guests that gets there, in bytes."""
    round_trip_s: float
    """Of the last probe that was answered; -1 if none was."""
    lost: int
    """Of the last probes, how many were not answered."""
    probes: int
    """How many those were."""


class PathsView(msgspec.Struct, frozen=True):
    """The paths between the hosts of a grid, by network; `silent` hosts, each with why, have told none."""

    grid: GridId
    name: str
    paths: tuple[PathView, ...]
    silent: tuple[tuple[str, str], ...]
