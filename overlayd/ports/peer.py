"""The running peer as its faces meet it: they read it, hand it events, and watch what happens.

Everything here is called on the daemon's event loop. A face never decides, and cannot get at the node's
parts. It reads the view, and asks through `submit`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from overlayd.ports.attachments import Attachments
from overlayd.ports.audit import AuditLog
from overlayd.ports.images import Collected, Images
from overlayd.ports.usage import Metered
from protocol.node.events import Event
from protocol.node.messages import CommitTold, ConsoleText, PathsTold, UsageTold
from protocol.stream.messages import Why
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder

if TYPE_CHECKING:
    from protocol.node.snapshot import PeerView


class Busy(Exception):
    """The inbox is full, and nothing was taken in. To try again in a moment helps."""


class EventLine(msgspec.Struct, frozen=True):
    """One thing that happened at a peer."""

    seq: int
    """The number of the line. It begins at 1 and rises by one with each line of this process."""
    at_s: float
    """When it happened, Unix seconds."""
    kind: str
    """`peer.joined`, `request.failed`, ...: a thing and what became of it."""
    subject: str
    detail: str
    cause: str
    """What it came from, the same on every host: the id of a request or of a grid."""
    host: str
    """The name of the host that tells it."""


class StreamOver(Exception):
    """A stream ended before both directions had, or never began. The text says why to people."""

    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text or str(why))
        self.why = why


class Pipe(Protocol):
    """A stream to a port of a workspace. One task reads it, one writes it."""

    async def read(self) -> bytes:
        """What came, at least a byte; nothing once the workspace will say no more. Raises StreamOver."""

    def freed(self, size_bytes: int) -> None:
        """So many bytes that were read have gone on. Without this no more come."""

    async def write(self, data: bytes) -> None:
        """Sends bytes, and waits until all of them are taken in. Raises StreamOver."""

    def end(self) -> None:
        """Nothing more will be written. What comes is still read."""

    def close(self, why: Why, detail: str) -> None:
        """Ends it at once, in both directions. It is no error if it is over."""

    async def wait_over(self) -> None:
        """Returns when both directions have ended and all of it arrived. Raises StreamOver."""


class LocalPeer(Protocol):
    """What a face may use of the running daemon."""

    @property
    def view(self) -> "PeerView":
        """The peer as it is now, to be read."""

    @property
    def images(self) -> Images:
        """This host's image store."""

    @property
    def attachments(self) -> Attachments:
        """The files that came with orders."""

    @property
    def audit_log(self) -> AuditLog:
        """What this host decided about people's orders."""

    @property
    def usage(self) -> Metered:
        """What is counted of this host's leases."""

    @property
    def cards(self) -> Mapping[tuple[str, str], str]:
        """By grid and network that this host is attached to: why its card is not there, or nothing if it is."""

    def now(self) -> float:
        """The peer's clock, Unix seconds."""

    def submit(self, event: Event) -> None:
        """Hands the node an event, which is handled in its turn. Raises Busy."""

    def events(self, since: int) -> list[EventLine]:
        """The kept lines with a `seq` above `since`, oldest first. The last few hundred are kept."""

    async def events_after(self, since: int, timeout_s: float) -> list[EventLine]:
        """The same, but it waits until there is one. Empty if `timeout_s` passed without."""

    async def images_changed(self) -> None:
        """Tells the node what the image store has now. It is called after an image was added or removed."""

    async def collect_images(self, limit_bytes: int | None, need_bytes: int = 0) -> Collected:
        """Removes images that nobody here uses, until those that are left take at most `limit_bytes` (what the
        configuration says if None), and `need_bytes` are freed, if that can be."""

    async def console(
        self, peer: PeerId, order: SignedOrder, offset: int, keys: bytes
    ) -> ConsoleText:
        """The console of a workspace on `peer`, from `offset` bytes on, after typing `keys`.

        It is relayed to that host. What went wrong is in the answer's `problem`; nothing is raised.
        """

    async def connect(self, peer: PeerId, order: SignedOrder) -> Pipe:
        """A stream to the port of a workspace on `peer` that the order names. Raises StreamOver.

        It is relayed to that host, which checks the order itself. Whoever takes it closes it.
        """

    async def commit(self, peer: PeerId, order: SignedOrder) -> CommitTold:
        """Has `peer` make an image of a workspace's root disk, or says how far it is with that.

        It is relayed to that host, which checks the order itself. What went wrong is in the answer's `problem`.
        """

    async def paths(self, peer: PeerId, grid: GridId) -> PathsTold:
        """How `peer` reaches the other hosts of a grid that it carries part of.

        It is asked, and says what it knows and measured. What went wrong is in the answer's `problem`.
        """

    async def usage_of(self, peer: PeerId, since_s: float) -> UsageTold:
        """What leases of `peer`, a host of this site, reserved and used since then.

        It is asked. What went wrong is in the answer's `problem`.
        """

    def metrics(self) -> bytes:
        """Counters in Prometheus's text format."""
