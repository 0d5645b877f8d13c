"""What can happen to a peer. The shell (or the simulator) turns the world into these."""

import msgspec

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.hosting.events import (
    Cleared,
    Found,
    GuestSaid,
    Happened,
    Kept,
    Measured,
    MemorySeen,
    Progressed,
)
from protocol.hosting.hold_row import HoldNotSaved
from protocol.node.messages import BulkMessage, Message
from protocol.requesting.events import (
    AttachDropped,
    AttachGiven,
    CancelAsked,
    GridsAsked,
    OrderGiven,
    PlanAsked,
)
from protocol.requesting.proposal import ProposalNotSaved
from protocol.requesting.queueing import QueueNotSaved
from protocol.terms.effects import Untidied
from protocol.terms.ids import PeerId
from protocol.terms.problem import Trouble
from protocol.terms.sealed import Cipher, TunnelAnswer
from protocol.trust.certificate import Chain
from protocol.trust.record import SignedRecord


class Started(msgspec.Struct, frozen=True):
    """The peer is up. It is the first event, and comes once."""


class Ticked(msgspec.Struct, frozen=True):
    """The deadline has come."""


class Slept(msgspec.Struct, frozen=True):
    """This peer did nothing for a while, because it was stopped or had no core."""

    for_s: float


class Connected(msgspec.Struct, frozen=True):
    """The transport has a connection whose other end has shown that it has that key."""

    peer: PeerId
    accepted: bool = False
    """Whether the other end dialled."""


class Disconnected(msgspec.Struct, frozen=True):
    """The transport has lost its last connection to that peer."""

    peer: PeerId
    why: str


class Knocked(msgspec.Struct, frozen=True):
    """What came of a Knock: whether that peer can be dialled."""

    peer: PeerId
    reached: bool


class Undialled(msgspec.Struct, frozen=True):
    """A peer was dialled in vain. It is dialled again without a word."""

    peer: PeerId
    address: str
    """HOST:PORT."""
    why: Trouble


class Arrived(msgspec.Struct, frozen=True):
    """A well-formed message came from a peer."""

    peer: PeerId
    message: Message
    cause: str
    size_bytes: int = 0
    """The size of its frame."""


class Garbled(msgspec.Struct, frozen=True):
    """Bytes that are no message came from a peer."""

    peer: PeerId
    reason: str


class Probed(msgspec.Struct, frozen=True):
    """The shell found out (again) what the host has."""

    facts: HostFacts


class ForwarderBegan(msgspec.Struct, frozen=True):
    """The host has a forwarder. Keys are made for it, and told in `Sealed`. The same one again changes nothing.

    The shell says it after each start of the daemon and of the forwarder.
    """

    instance: str
    """Another one in each process."""
    ciphers: tuple[Cipher, ...]
    """What it can do, the best first."""
    native: bool = False
    """Whether its loops in C were built."""


class ProbesAnswered(msgspec.Struct, frozen=True):
    """The host's forwarder had these answers to probes."""

    instance: str
    answers: tuple[TunnelAnswer, ...]


class ImagesChanged(msgspec.Struct, frozen=True):
    """The host's image store has these images now."""

    images: tuple[ImageLabel, ...]


class NewsGiven(msgspec.Struct, frozen=True):
    """Somebody here has a line for the people of every host."""

    text: str


class Say(msgspec.Struct, frozen=True):
    """The shell has bulk traffic for a peer."""

    peer: PeerId
    message: BulkMessage
    cause: str = ""


class RecordGiven(msgspec.Struct, frozen=True):
    """Somebody here brings a record that proves itself: a revocation, or a site's policy."""

    record: SignedRecord


class Renewed(msgspec.Struct, frozen=True):
    """This peer has another certificate."""

    chain: Chain


class Readdressed(msgspec.Struct, frozen=True):
    """The shell looked where others dial this peer."""

    address: str
    """HOST:PORT; empty if it has none."""
    fault: str = ""
    """Why they cannot, for people, and after a semicolon what would help; empty if they can."""


class Leaving(msgspec.Struct, frozen=True):
    """Somebody here says whether this host is to be stopped for good."""

    leaving: bool


class Stopping(msgspec.Struct, frozen=True):
    """The daemon stops in order, so the peer is to say goodbye."""


PartnersEvent = ForwarderBegan | ProbesAnswered | AttachGiven | AttachDropped
"""What concerns hosts that exchange sealed traffic with this one."""

Event = (
    Started
    | Ticked
    | Slept
    | Connected
    | Disconnected
    | Knocked
    | Undialled
    | Arrived
    | Garbled
    | Probed
    | ForwarderBegan
    | ProbesAnswered
    | ImagesChanged
    | Progressed
    | GuestSaid
    | Happened
    | Cleared
    | Measured
    | MemorySeen
    | Kept
    | Found
    | PlanAsked
    | OrderGiven
    | CancelAsked
    | AttachGiven
    | AttachDropped
    | GridsAsked
    | NewsGiven
    | Say
    | RecordGiven
    | Renewed
    | Readdressed
    | Leaving
    | Stopping
    | HoldNotSaved
    | QueueNotSaved
    | ProposalNotSaved
    | Untidied
)
