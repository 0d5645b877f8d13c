"""What a placing request does next, as closed unions, so that mypy names the place that forgets one.

Policies (policies.py), attempts (gathering.py) and what the stewards have (looking.py) answer one of these. The
request takes it (placing.py).
"""

from enum import Enum, auto

import msgspec

from protocol.contract.notices import Notice
from protocol.grid.decision import Decision
from protocol.grid.differences import Difference
from protocol.grid.record import GridRecord
from protocol.placement.choose import Choice
from protocol.placement.explain import Explanation
from protocol.requesting.proposal import Proposal
from protocol.requesting.request import Moved, Planned, RequestState
from protocol.requesting.transitions import Happening
from protocol.terms.effects import Effect

# -- what a policy says of quotes and holds, and the attempts carry out


class Short(msgspec.Struct, frozen=True):
    """It does not fit on the hosts that were asked. Others are asked, or it is not placed."""

    choice: Choice


class Hold(msgspec.Struct, frozen=True):
    """Hosts are asked to hold what the choice places and is not held yet."""

    choice: Choice
    placement: tuple[Planned, ...]
    line: str = ""
    """A line for the story, if there is more to say than which hosts are asked."""


class Refill(msgspec.Struct, frozen=True):
    """What was refused is asked for elsewhere."""


# -- what the request itself carries out


class Once(msgspec.Struct, frozen=True):
    """A line of the story that is told even while the request waits for room and repeats no other line."""

    text: str


class Await(msgspec.Struct, frozen=True):
    """Hosts were asked something, or nothing is left to ask for a while. The request waits."""

    happening: Happening
    effects: tuple[Effect, ...]
    within_s: float
    story: tuple[str | Once, ...]
    queued: tuple[str, ...] = ()
    """What people are told meanwhile, if the request waits for room."""


class Begin(msgspec.Struct, frozen=True):
    """Another attempt."""


class TryLater(msgspec.Struct, frozen=True):
    """Everything is let go, and tried again after a pause."""

    line: str = ""
    """A line for the story that says why, if that is not said yet."""


class NoRoom(msgspec.Struct, frozen=True):
    """It fits nowhere, even if all that is ahead of it went away. It fails, or waits for room."""

    lines: tuple[str, ...]
    why: Explanation


class Commit(msgspec.Struct, frozen=True):
    """What is held becomes a grid, if the stewards agree."""


class Reason(Enum):
    """Why the stewards are asked what grid of that name there is, made by this order or by another."""

    NAME_IS_UP = auto()
    """A host refused the name, or a notice of such a grid was heard.

    An order that is given again, after its answer was lost or to two peers, has the answer of the first time.
    """
    GIVEN_BEFORE = auto()
    """The order is older than this life of this peer, so an earlier life may have been given it."""
    CANNOT_BEGIN = auto()
    """The same, but what the order needs is not there any more, so nothing is begun if there is no grid."""
    IS_PLANNED = auto()
    """A plan of a grid whose name is up: it says what an `up` would change."""


class Look(msgspec.Struct, frozen=True):
    """The stewards are asked what grid of that name there is; looking.py says what follows."""

    reason: Reason
    lines: tuple[str, ...] = ()
    """The answer if there is no grid of this order, where that ends the request."""
    there: Notice | None = None
    """The grid of another order that is looked at; None: what this order has made."""
    hearsay: bool = False
    """Whether that there is such a grid is only told: if its stewards do not say so, it is in nobody's way."""


class Follow(msgspec.Struct, frozen=True):
    """There is a grid as the request asks for it, which it follows until that is up."""

    record: GridRecord
    decision: Decision
    """That it was decided."""
    ours: bool
    """Whether this attempt made it."""


class Unchanged(msgspec.Struct, frozen=True):
    """A plan of a grid that is up already as it is asked for."""

    record: GridRecord


class Shown(msgspec.Struct, frozen=True):
    """Shows where it would go, which is all that was asked."""

    placement: tuple[Planned, ...]


class Keep(msgspec.Struct, frozen=True):
    """The answer is a proposal, which is kept."""

    proposal: Proposal
    state: RequestState
    line: str


class NotAsQuoted(msgspec.Struct, frozen=True):
    """What was quoted cannot be had any more."""

    released: tuple[Effect, ...]
    """Releases of what was held."""
    moved: tuple[Moved, ...]
    lines: tuple[str, ...]
    start_s: float
    """When its lease was to begin, Unix seconds."""
    placement: tuple[Planned, ...]
    """What would work now; empty if nothing would."""
    why: Explanation | None
    """Why nothing would; None if something does."""


class Fail(msgspec.Struct, frozen=True):
    """The request ends without a grid."""

    lines: tuple[str, ...]
    differs: tuple[Difference, ...] = ()
    """What a grid that is up under that name has otherwise, if that is why."""


AfterQuotes = Short | Hold | Shown | Keep | NotAsQuoted
"""What a policy says when every host has given its quote."""
AfterHolds = Refill | TryLater | Commit | Keep | NotAsQuoted
"""What a policy says when every host that was asked to hold has answered."""
Gathered = Await | Look | TryLater | NoRoom | Commit | Shown | Keep | NotAsQuoted
"""What may come of an attempt."""
Paused = Await | Fail
"""What may come of it that there is no room now."""
Conclusion = Follow | Unchanged | Begin | TryLater | Fail
"""What may come of the stewards' answer."""
