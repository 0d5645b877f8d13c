"""What this peer knows of the world, as its requests need it: from its directory, other sites and its store."""

from typing import Protocol

from protocol.capacity.advert import HostFacts
from protocol.contract.notices import Notice
from protocol.grid.asked import sign_asked
from protocol.placement.suspects import Known
from protocol.requesting.attached import Attached, Attaching
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.lending import Policies
from protocol.requesting.quotes import Quotes
from protocol.requesting.shortlist import Candidate
from protocol.requesting.silence import Silence
from protocol.requesting.surroundings import Kept
from protocol.terms.effects import Effect
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.signing import Signer


class OtherSites(Protocol):
    """The part of the node that asks other sites, where this peer keeps only summaries of them."""

    def ask_detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Asks other sites for their roomiest hosts; only these `sites`, if any are named."""


class OwnFacts(Protocol):
    """This peer as a host, which hears no advert of its own."""

    @property
    def facts(self) -> HostFacts:
        """What it was found to be."""


class Outlook:
    """The surroundings of each request of this peer (surroundings.py)."""

    def __init__(
        self,
        me: str,
        directory: HostDirectory,
        other_sites: OtherSites,
        quotes: Quotes,
        host: OwnFacts,
        attaching: Attaching,
        signer: Signer,
    ) -> None:
        """`me` is this peer in this life."""
        self._attaching, self._signer = attaching, signer
        self.me = me
        self._directory, self._other_sites, self._quotes = directory, other_sites, quotes
        self._host = host

    def name(self, peer: PeerId) -> str:
        """What people call a host."""
        return self._directory.name(peer)

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        """Whether a host is not heard."""
        return self._directory.silence(peer, now)

    def candidates(self) -> tuple[Candidate, ...]:
        """Hosts that are alive and have advertised."""
        return self._directory.candidates()

    def policies(self) -> Policies:
        """What sites lend to whom, as far as this peer has heard."""
        return self._directory.policies()

    def guards(self, key: str) -> tuple[PeerId, ...]:
        """The guards of a name, as the directory finds them."""
        return self._directory.guards(key)

    def named(self, name: str, owner: KeyId) -> Notice | None:
        """What the directory has heard of a grid of that name that is up."""
        return self._directory.living(name, owner)

    def confirmed(self, grid: GridId) -> bool:
        """Whether the directory knows that it was decided."""
        return self._directory.notices.confirmed(grid)

    def detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Asks other sites for their hosts; only these `sites`, if any are named."""
        return self._other_sites.ask_detail(sites, now)

    def blind(self, now: float) -> bool:
        """Whether this peer was just started and has yet to hear of hosts."""
        return self._directory.blind(now)

    def partly(self) -> bool:
        """Whether the federation is so large that only this peer's own site is known host by host."""
        return self._directory.narrowed

    def known(self, owner_site: str, now: float) -> Known | None:
        """The names there are, by the directory."""
        return self._directory.names(self._host.facts, owner_site, now)

    def keep(self, kept: Kept) -> list[Effect]:
        """Keeps it with the other quotes of this peer, or with the files that it was given."""
        if isinstance(kept, Attached):
            return self._attaching.keep(kept)
        return self._quotes.keep(kept)

    def asked(self, attempt: GridId, host: PeerId) -> bytes:
        """Signed by this peer."""
        return sign_asked(self._signer, attempt, host)
