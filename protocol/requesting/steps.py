"""What a placing request does next: closed unions, so that mypy says who forgot one.

A policy answers with one (policies.py), and so do the attempts (gathering.py) and what the stewards have
(looking.py); the request takes it (placing.py).
"""

from enum import Enum, auto

import msgspec

from protocol.grid.record import GridRecord
from protocol.placement.choose import Choice
from protocol.placement.explain import Explanation
from protocol.requesting.proposal import Proposal
from protocol.requesting.request import Moved, Planned, RequestState
from protocol.requesting.transitions import Happening
from protocol.terms.effects import Effect

# -- what a policy says of quotes and holds, and the attempts carry out


class Short(msgspec.Struct, frozen=True):
    """It does not fit on those that were asked: others are asked, or it is not placed."""

    choice: Choice


class Hold(msgspec.Struct, frozen=True):
    """Hosts are asked to hold what the choice places and is not held yet."""

    choice: Choice
    placement: tuple[Planned, ...]
    line: str = ""
    """For its story, if there is more to say than whom it asks."""


class Refill(msgspec.Struct, frozen=True):
    """What was refused is asked for elsewhere."""


# -- what the request itself carries out


class Once(msgspec.Struct, frozen=True):
    """A line of its story that is told also while it waits for room, when other lines are not repeated."""

    text: str


class Await(msgspec.Struct, frozen=True):
    """Others were asked something, or nothing is left to ask for a while; what they say is waited for."""

    happening: Happening
    effects: tuple[Effect, ...]
    within_s: float
    story: tuple[str | Once, ...]
    queued: tuple[str, ...] = ()
    """What people are told meanwhile, if it waits for room."""


class Begin(msgspec.Struct, frozen=True):
    """Another attempt."""


class TryLater(msgspec.Struct, frozen=True):
    """Everything is let go, and tried again after a pause."""

    line: str = ""
    """For its story: why, if that is not said yet."""


class NoRoom(msgspec.Struct, frozen=True):
    """It fits nowhere, and nobody is only ahead of it: it fails, or waits for room."""

    lines: tuple[str, ...]
    why: Explanation


class Commit(msgspec.Struct, frozen=True):
    """What is held becomes a grid, if the stewards agree."""


class Reason(Enum):
    """Why the stewards are asked whether an order has made a grid already."""

    NAME_IS_UP = auto()
    """A host refused the name, or a notice of such a grid was heard: given again, after its answer was lost or
    to two peers, an order has the answer of the first time."""
    GIVEN_BEFORE = auto()
    """The order is older than this life of this peer: an earlier one may have been given it."""
    CANNOT_BEGIN = auto()
    """The same, but what the order needs is not there any more, so nothing is begun either."""


class Look(msgspec.Struct, frozen=True):
    """The stewards are asked whether this order has made a grid already; looking.py says what follows."""

    reason: Reason
    lines: tuple[str, ...] = ()
    """The answer if there is no grid of this order, where that is an answer."""


class Follow(msgspec.Struct, frozen=True):
    """Its order has made that grid, which is followed until it is up."""

    record: GridRecord
    ours: bool
    """This attempt made it; otherwise an earlier life of this peer, or another peer with the same order."""


class Shown(msgspec.Struct, frozen=True):
    """Where it would go is all that was asked."""

    placement: tuple[Planned, ...]


class Keep(msgspec.Struct, frozen=True):
    """The answer is a proposal, which is kept."""

    proposal: Proposal
    state: RequestState
    line: str


class NotAsQuoted(msgspec.Struct, frozen=True):
    """What was quoted cannot be had any more."""

    released: tuple[Effect, ...]
    """What is let go of it."""
    moved: tuple[Moved, ...]
    lines: tuple[str, ...]
    start_s: float
    """When it was to begin."""
    placement: tuple[Planned, ...]
    """What would work now, if anything."""
    why: Explanation | None
    """Why nothing would, if that is so."""


class Fail(msgspec.Struct, frozen=True):
    """There will be no grid of it."""

    lines: tuple[str, ...]


AfterQuotes = Short | Hold | Shown | Keep | NotAsQuoted
"""What a policy says when everybody has spoken."""
AfterHolds = Refill | TryLater | Commit | Keep | NotAsQuoted
"""What it says when hosts have answered that were asked to hold."""
Gathered = Await | Look | TryLater | NoRoom | Commit | Shown | Keep | NotAsQuoted
"""What comes of an attempt."""
Paused = Await | Fail
"""What comes of it that there is no room now."""
Conclusion = Follow | Begin | TryLater | Fail
"""What comes of what the stewards have."""
