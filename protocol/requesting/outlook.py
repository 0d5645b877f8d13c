"""What this peer knows of the world, as its requests need it: by its directory, other sites, its own store."""

from typing import Protocol

from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.proposal import Proposal
from protocol.requesting.quotes import Quotes
from protocol.requesting.shortlist import Candidate
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId


class OtherSites(Protocol):
    """Whoever knows how to ask other sites, where this peer keeps only summaries of them."""

    def ask_detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Asks them for their roomiest hosts; these sites, if any are named."""


class Outlook:
    """The surroundings of each request of this peer (surroundings.py)."""

    def __init__(
        self, me: str, directory: HostDirectory, other_sites: OtherSites, quotes: Quotes
    ) -> None:
        """`me` is this peer in this life."""
        self.me = me
        self._directory, self._other_sites, self._quotes = directory, other_sites, quotes

    def candidates(self) -> tuple[Candidate, ...]:
        """Hosts that are alive and have advertised."""
        return self._directory.candidates()

    def stewards(self, key: str) -> tuple[PeerId, ...]:
        """By rendezvous among peers that are alive."""
        return self._directory.stewards(key)

    def detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Other sites are asked for their hosts."""
        return self._other_sites.ask_detail(sites, now)

    def blind(self, now: float) -> bool:
        """Just after a start."""
        return self._directory.blind(now)

    def partly(self) -> bool:
        """Where the federation is so large that only its own site is known host by host."""
        return self._directory.narrowed

    def keep(self, proposal: Proposal) -> list[Effect]:
        """With the other quotes of this peer."""
        return self._quotes.keep(proposal)
