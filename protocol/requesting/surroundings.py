"""What a placing request needs to know of the world, asked for when it is needed."""

from typing import Protocol

from protocol.requesting.proposal import Proposal
from protocol.requesting.shortlist import Candidate
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId


class Surroundings(Protocol):
    """The peer a request is made at, as the request sees it."""

    @property
    def me(self) -> str:
        """This peer in this life: one that was killed may have had a grid decided it does not know of, and
        what it lets go of now must not be that grid's."""

    def candidates(self) -> tuple[Candidate, ...]:
        """Hosts that can be asked for a quote."""

    def stewards(self, key: str) -> tuple[PeerId, ...]:
        """Who keeps the register of that key."""

    def detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Asks other sites for their hosts, when not all are known; these sites, if any are named."""

    def blind(self, now: float) -> bool:
        """Whether this peer has yet to hear of the hosts there are."""

    def partly(self) -> bool:
        """Whether there are hosts it hears of only when it asks other sites."""

    def keep(self, proposal: Proposal) -> list[Effect]:
        """Keeps a quote, or a plan that is held, on disk."""
