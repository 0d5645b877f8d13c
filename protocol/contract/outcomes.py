"""What the sides of an agreement cannot do themselves, and ask the node to have done."""

import msgspec

from protocol.grid.decision import Certificate
from protocol.grid.steps import Step
from protocol.terms.effects import Effect
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.order import SignedOrder


class CommitGrid(msgspec.Struct, frozen=True):
    """A requester makes a grid of its holds, votes against it, or asks whether it was made."""

    grid: GridId


class ChangeGrid(msgspec.Struct, frozen=True):
    """A request changes a grid that exists."""

    request: RequestId


class ConfirmGrid(msgspec.Struct, frozen=True):
    """A peer that was asked about a grid looks whether it was decided. One look of several has that number."""

    grid: GridId
    number: int


class VoidHold(msgspec.Struct, frozen=True):
    """A host votes against a grid whose hold has run out."""

    grid: GridId


class AuditLease(msgspec.Struct, frozen=True):
    """A host asks what has become of a grid that it carries."""

    grid: GridId


class AskFoundling(msgspec.Struct, frozen=True):
    """A host asks what has become of a grid of which it found something, and remembers nothing."""

    grid: GridId


class YieldMembers(msgspec.Struct, frozen=True):
    """A host gives up members of an elastic grid that it carries, because others need the room."""

    grid: GridId


class AllotSite(msgspec.Struct, frozen=True):
    """A host has its part of its site's ceilings changed."""


class ReplaceSteward(msgspec.Struct, frozen=True):
    """A steward has another that is gone replaced, in the register with that key."""

    register: str


RequesterPurpose = CommitGrid | ChangeGrid | ConfirmGrid
HostPurpose = VoidHold | AuditLease | AskFoundling | YieldMembers | AllotSite
Purpose = RequesterPurpose | HostPurpose
"""What a change of a register is for. Its outcome goes back to the side that can say what follows."""


class Propose(msgspec.Struct, frozen=True):
    """Have this step of a register decided, or look what is. Its outcome comes back with the `purpose`.

    What is under way for the same purpose is not begun again.
    """

    purpose: Purpose
    register: str
    """The key of the order's register."""
    stewards: tuple[PeerId, ...]
    """Whom to ask. Whoever they are, only a certificate of those that the order names is believed."""
    step: Step | None
    """None: only look."""
    cause: str = ""
    order: SignedOrder | None = None
    """The order, for stewards that may not know it."""
    evidence: Certificate | None = None
    """What was decided before, for stewards that may have lost it."""
    shown: bool = False
    """Whether those asked are no stewards, but hosts: the first certificate that one shows will do."""


class NoticeDue(msgspec.Struct, frozen=True):
    """What this host has to say about a grid changed: a notice is due."""

    grid: GridId


class RoomChanged(msgspec.Struct, frozen=True):
    """What is free on this host changed."""


class CheckGrids(msgspec.Struct, frozen=True):
    """What hosts tell of these grids counts for this one, so it is to be known whether it was decided."""

    grids: tuple[GridId, ...]


Outcome = Propose | NoticeDue | RoomChanged | CheckGrids
Answer = tuple[list[Effect], list[Outcome]]
"""What one side of the work answers: what is to be done to the world, and what it asks of the node."""
