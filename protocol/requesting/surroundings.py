"""What the node knows that a placing request needs."""

from collections.abc import Callable

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
