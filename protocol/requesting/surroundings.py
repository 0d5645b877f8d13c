"""Where a placing request is, and what the node knows that it needs."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from protocol.requesting.proposal import Proposal
from protocol.requesting.shortlist import Candidate
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId


class Surroundings(msgspec.Struct, frozen=True):
    """What the node knows that a request needs, asked for when it is needed."""

    me: str
    """This peer in this life: one that was killed may have had a grid decided it does not know of, and
    what it lets go of now must not be that grid's."""
    candidates: Callable[[], tuple[Candidate, ...]]
    stewards: Callable[[str], tuple[PeerId, ...]]
    """For a register key."""
    detail: Callable[[tuple[str, ...], float], list[Effect]] = lambda sites, now: []
    """Asks other sites for their hosts, when not all are known; these sites, if any are named."""
    blind: Callable[[float], bool] = lambda now: False
    """Whether this peer has yet to hear of the hosts there are."""
    keep: Callable[[Proposal], list[Effect]] = lambda proposal: []
    """Keeps a quote, or a plan that is held, on disk."""
    partly: Callable[[], bool] = lambda: False
    """Whether there are hosts it hears of only when it asks other sites."""


class Stage(StrEnum):
    """Where a placing request is."""

    HEARING = "hearing"
    """This peer was started a moment ago: it has yet to hear of the hosts there are."""
    ASKING_SITES = "asking sites"
    QUOTING = "quoting"
    HOLDING = "holding"
    BACKING_OFF = "backing off"
    QUEUED = "queued"
    COMMITTING = "committing"
    VOIDING = "voiding"
    LOOKING = "looking"
    """A grid of that name is up: whether this very order made it is asked of the stewards."""
    BUILDING = "building"
    OVER = "over"


UNDECIDED = (
    Stage.HEARING,
    Stage.ASKING_SITES,
    Stage.QUOTING,
    Stage.HOLDING,
    Stage.BACKING_OFF,
    Stage.LOOKING,
)
"""Nothing of this attempt is before the stewards."""
RESTING = (Stage.BACKING_OFF, Stage.QUEUED)
"""Nothing is asked of anybody but to keep room."""
