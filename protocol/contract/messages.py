"""What a requester says to hosts, and hosts to a requester."""

import msgspec

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Step
from protocol.grid.lease import LeaseTime
from protocol.grid.record import GridRecord
from protocol.terms.coordinate import Coordinate
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.refusal import Refusal
from protocol.trust.order import SignedOrder


class QuoteAsk(msgspec.Struct, frozen=True, tag="quote-ask"):
    """What have you got for that time? Binds nobody. `site` is whose admin asks."""

    request: RequestId
    site: str
    time: LeaseTime = LeaseTime(0.0, 0.0, 0.0)
    grid: str = ""
    """What it is to be named."""
    apart: tuple[str, ...] = ()
    """Grids of the same site's admin with which it is to share no host."""
    order: str = ""
    """Of what order it is; empty for a plan."""
    since_s: float = 0.0
    """When that was signed; 0: not yet. What is claimed by older ones is not offered."""


class Quote(msgspec.Struct, frozen=True, tag="quote"):
    """The host's word on its room: what a lease of the time asked for can have, and what is free later."""

    request: RequestId
    host: str
    site: str
    facts: HostFacts
    """Without `accelerator_why`, which is for people and in the advert."""
    free: Quantum
    images: tuple[str, ...]
    later: tuple[Step, ...] = ()
    """Free room from now on, whoever asks."""
    refused: Refusal | None = None
    """Why the host would not take it for a reason that is not about room."""
    coordinate: Coordinate | None = None
    clashes: tuple[str, ...] = ()
    """Grids it carries that are to be kept apart from this one, as either says."""
    hidden: bool = False
    """Not every host can dial it: it carries no network that spans sites."""
    held: Quantum = Quantum()
    """What it holds for others, not decided yet: in a few seconds it is a lease, or free."""
    kept: Quantum = Quantum()
    """What of its room it keeps for older orders; not in `free`."""


class HoldAsk(msgspec.Struct, frozen=True, tag="hold-ask"):
    """Promise these workspaces of this order for `hold_s` seconds. Asking again is asking once.

    The quantum follows from the order, not from this message: the carrier gets no trust.
    """

    grid: GridId
    order: SignedOrder
    workspaces: tuple[str, ...]
    stewards: tuple[PeerId, ...]
    vnis: tuple[tuple[str, int], ...]
    hold_s: float
    start_s: float = 0.0
    """When the lease is to begin; 0: now. It must agree with the order."""
    instead: str = ""
    """A plan of the same owner and name that is held here: these take the place of its holds."""


class HoldReply(msgspec.Struct, frozen=True, tag="hold-reply"):
    """What is promised (and on disk), and why the rest is not."""

    grid: GridId
    held: tuple[str, ...]
    refused: tuple[tuple[str, Refusal], ...]


class HoldRelease(msgspec.Struct, frozen=True, tag="hold-release"):
    """Let these go; the requester will not commit them."""

    grid: GridId
    workspaces: tuple[str, ...]


class RoomClaim(msgspec.Struct, frozen=True, tag="room-claim"):
    """Keep room for these workspaces as it gets free, before what was ordered later: for CLAIM_S, in place of
    what this order claimed before. Without workspaces: keep none any more. Answered by `room-kept`, as soon as
    there is room for any of them."""

    order: SignedOrder
    workspaces: tuple[str, ...]


class RoomRenew(msgspec.Struct, frozen=True, tag="room-renew"):
    """Keep what I claimed for this order for CLAIM_S more: as if the claim were said again."""

    order: str
    """The part of its grids' ids that it gives."""
    kept: int
    """For how many workspaces there is room, as far as was heard; answered if that is not so."""


class RoomKept(msgspec.Struct, frozen=True, tag="room-kept"):
    """For which of the workspaces that this order claimed here there is room now. Said whenever that changes;
    it promises nothing."""

    order: str
    workspaces: tuple[str, ...]
    claimed: bool = True
    """False: nothing is claimed here for that order, or not by who renews it."""


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """A record a majority of its stewards holds."""

    record: GridRecord


class DecidedAck(msgspec.Struct, frozen=True, tag="decided-ack"):
    """The host has that epoch on disk and acts on it."""

    grid: GridId
    epoch: int


class Act(msgspec.Struct, frozen=True, tag="act"):
    """Do this to one of your workspaces: pause, resume, restart."""

    request: RequestId
    grid: GridId
    order: SignedOrder


class LeaseAsk(msgspec.Struct, frozen=True, tag="lease-ask"):
    """Promise the time by which this order extends the lease of a grid you carry."""

    request: RequestId
    grid: GridId
    order: SignedOrder


class LeaseReply(msgspec.Struct, frozen=True, tag="lease-reply"):
    """Promised (and on disk), or why not."""

    request: RequestId
    problem: str
    """Empty if it is promised."""


class ActReply(msgspec.Struct, frozen=True, tag="act-reply"):
    """Taken on (and on disk), or why not."""

    request: RequestId
    workspace: str
    problem: str
    """Empty if it was taken on."""


ToHost = QuoteAsk | HoldAsk | HoldRelease | RoomClaim | RoomRenew | Decided | Act | LeaseAsk
"""What a host is told and asked."""

ToRequester = Quote | HoldReply | RoomKept | DecidedAck | ActReply | LeaseReply
"""What a host answers."""

NegotiationMessage = ToHost | ToRequester
