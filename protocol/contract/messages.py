"""What a requester says to hosts, and hosts to a requester."""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Guaranteed, Quantum
from protocol.capacity.room import Step
from protocol.grid.decision import Certificate
from protocol.grid.grant import SignedGrant
from protocol.grid.lease import LeaseTime
from protocol.grid.limits import FIXED_PORTS_MAX
from protocol.grid.seal import Signature
from protocol.terms.coordinate import Coordinate
from protocol.terms.ids import GridId, RequestId
from protocol.terms.ranges import Count, Line, Moment, Name, Number, Port, Said, cut
from protocol.terms.refusal import Refusal
from protocol.trust.order import SignedOrder


class QuoteAsk(msgspec.Struct, frozen=True, tag="quote-ask"):
    """What have you got for that time? It binds nobody. `site` is the one whose admin asks."""

    request: RequestId
    site: Name
    time: LeaseTime = LeaseTime(0.0, 0.0, 0.0)
    grid: Name = ""
    """The name that the grid is to have."""
    apart: tuple[Name, ...] = ()
    """Grids of the same site's admin with which it is to share no host."""
    order: Name = ""
    """The order that it is for; empty for a plan."""
    since_s: Moment = 0.0
    """When that order was signed; 0 if it was not yet. What older orders claim is not offered."""
    ports: Annotated[tuple[Port, ...], Meta(max_length=FIXED_PORTS_MAX)] = ()
    """Ports of the host that the grid names."""
    owner: Name = ""
    """The key of who is to own the grid: by its share others go before it, or its site may not let it in at
    all. Nobody proves it before a hold. Empty if it is not known."""


class Quote(msgspec.Struct, frozen=True, tag="quote"):
    """The host's word on its room: what a lease at the time asked for can have, and what is free later."""

    request: RequestId
    host: Name
    site: Name
    facts: HostFacts
    """Without what is for people alone (`without_reasons`); the advert has that."""
    free: Quantum
    images: tuple[Name, ...]
    later: tuple[Step, ...] = ()
    """Free room from now on, the same for everybody who asks."""
    refused: Refusal | None = None
    """Why the host would not take the grid, if that is not for want of room."""
    coordinate: Coordinate | None = None
    clashes: tuple[Name, ...] = ()
    """Grids it carries that are to be kept apart from this one, because either of the two says so."""
    hidden: bool = False
    """Not every host can dial it, so it carries no network that spans sites."""
    held: Quantum = Quantum()
    """What it holds for others and is not decided yet. In a few seconds it is leased, or free."""
    kept: Quantum = Quantum()
    """The room that it keeps for older orders; `free` does not include it."""
    guaranteed: Guaranteed = Guaranteed()
    """The room that it keeps for others, whom its site's policy guarantees it; likewise."""
    shut: Annotated[tuple[tuple[Port, Line], ...], Meta(max_length=FIXED_PORTS_MAX)] = ()
    """Those of the ports asked about that it does not give, and why, for people."""


class HoldAsk(msgspec.Struct, frozen=True, tag="hold-ask"):
    """Promise these workspaces of this order for `hold_s` seconds. Asking again is the same as asking once.

    The quantum follows from the order, not from this message: its sender needs no trust. It names all that is
    to be held here, also what is held already: the host grants what it names, in one grant.
    """

    grid: GridId
    order: SignedOrder
    workspaces: tuple[Name, ...]
    vnis: tuple[tuple[Name, Count], ...]
    hold_s: Moment
    start_s: Moment = 0.0
    """When the lease is to begin; 0 for now. It must agree with the order."""
    instead: Name = ""
    """A plan of the same owner and name that is held here: these holds take the place of its holds."""
    change: SignedOrder | None = None
    """The order to apply, if the grid exists and is to become what that says; `order` is the one that made it.
    Then `grid` is the attempt to change it (`grid_id`), and `workspaces` are all that it would carry."""
    of: GridId = GridId("")
    """The id of the grid that is to be changed."""
    asked: Signature = b""
    """By the peer that the order is for, that it asks this host (grid/asked.py). With it the host may vote
    against the attempt. Of an order that is for anybody there is none."""
    shown: Certificate | None = None
    """What was decided of the grid, if room came for more of it: then `change` is the order by which it stands,
    which needs to be fresh no more, and who asks is one of its hosts."""
    until_s: Moment = 0.0
    """When its lease ends there, Unix seconds; a host of which nothing was asked before ends it no later."""


class HoldReply(msgspec.Struct, frozen=True, tag="hold-reply"):
    """What is promised (and is on disk), and why the rest is not."""

    grid: GridId
    held: tuple[Name, ...]
    refused: tuple[tuple[Name, Refusal], ...]
    grant: SignedGrant | None = None
    """The same as `held`, for the grid's record. None if nothing is held, or only for a plan."""


class HoldRelease(msgspec.Struct, frozen=True, tag="hold-release"):
    """Let these workspaces go; the requester will not commit them."""

    grid: GridId
    workspaces: tuple[Name, ...]


class RoomClaim(msgspec.Struct, frozen=True, tag="room-claim"):
    """Keep room for these workspaces as it gets free, ahead of later orders, for CLAIM_S.

    It replaces what this order claimed before; without workspaces nothing is kept any more. The host answers
    with `room-kept` as soon as there is room for any of them.
    """

    order: SignedOrder
    workspaces: tuple[Name, ...]


class RoomRenew(msgspec.Struct, frozen=True, tag="room-renew"):
    """Keep what I claimed for this order for CLAIM_S more, as if the claim were made again."""

    order: Name
    """What the order gives to the ids of its grids."""
    kept: Count
    """How many workspaces have room, as far as the sender has heard. The host answers if that is wrong."""


class RoomKept(msgspec.Struct, frozen=True, tag="room-kept"):
    """The workspaces, of those that this order claimed here, for which there is room now.

    The host says so whenever that changes. It promises nothing.
    """

    order: Name
    workspaces: tuple[Name, ...]
    claimed: bool = True
    """False if nothing is claimed here for that order, or another peer claimed it."""


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """What a majority of a grid's stewards decided, with their signatures."""

    certificate: Certificate


class DecidedAck(msgspec.Struct, frozen=True, tag="decided-ack"):
    """The host has that epoch on disk and acts on it."""

    grid: GridId
    epoch: Number


class Act(msgspec.Struct, frozen=True, tag="act"):
    """Do this to one of your workspaces: pause, resume, restart. `down`: stop all, too few stewards answer."""

    request: RequestId
    grid: GridId
    order: SignedOrder


class LeaseAsk(msgspec.Struct, frozen=True, tag="lease-ask"):
    """Promise the time by which this order extends the lease of a grid that you carry."""

    request: RequestId
    grid: GridId
    order: SignedOrder


class LeaseReply(msgspec.Struct, frozen=True, tag="lease-reply"):
    """The time is promised (and that is on disk), or why it is not."""

    request: RequestId
    problem: Said
    """Empty if it is promised."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


class ActReply(msgspec.Struct, frozen=True, tag="act-reply"):
    """The action is taken on (and that is on disk), or why it is not."""

    request: RequestId
    workspace: Name
    problem: Said
    """Empty if it is taken on."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


class NameAsk(msgspec.Struct, frozen=True, tag="name-ask"):
    """To a guard of a name: this order is to make a grid of that name. `ends` takes that back."""

    order: SignedOrder
    ends: bool = False


class NameReply(msgspec.Struct, frozen=True, tag="name-reply"):
    """Who else is known to have the name, or to ask for it; nobody if `taken` is empty."""

    order: Name
    """The key of the order that asked."""
    taken: Name = ""
    """The key of the order that has it."""


ToHost = (
    QuoteAsk | HoldAsk | HoldRelease | RoomClaim | RoomRenew | Decided | Act | LeaseAsk | NameAsk
)
"""What a host is told and asked. Its side answers each member."""

ToRequester = Quote | HoldReply | RoomKept | DecidedAck | ActReply | LeaseReply | NameReply
"""What a host answers. The requester's side hears each member."""

NegotiationMessage = ToHost | ToRequester
