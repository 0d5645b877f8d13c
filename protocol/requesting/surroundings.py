"""What a placing request needs to know of the world. It asks when it needs it."""

from typing import Protocol

from protocol.contract.notices import Notice
from protocol.placement.suspects import Known
from protocol.requesting.attached import Attached
from protocol.requesting.lending import Policies
from protocol.requesting.proposal import Proposal
from protocol.requesting.shortlist import Candidate
from protocol.requesting.silence import Hearing
from protocol.terms.effects import Effect
from protocol.terms.ids import GridId, KeyId, PeerId

Kept = Proposal | Attached
"""What a request keeps on disk: a quote, or a plan that is held, or who may have the files of its grid."""


class Surroundings(Hearing, Protocol):
    """The peer that a request is made at, as the request sees it."""

    @property
    def me(self) -> str:
        """This peer in this life, as part of an attempt's id.

        A life that was killed may have had a grid decided that this one does not know of. What this one lets go
        must not be that grid's.
        """

    def candidates(self) -> tuple[Candidate, ...]:
        """Hosts that can be asked for a quote."""

    def policies(self) -> Policies:
        """The newest policies of sites that were heard of, with the sites' keys."""

    def guards(self, key: str) -> tuple[PeerId, ...]:
        """The peers that are told who asks for that name."""

    def named(self, name: str, owner: KeyId) -> Notice | None:
        """What hosts tell of a grid of that name and owner that is up; None if none is."""

    def confirmed(self, grid: GridId) -> bool:
        """Whether it is known that such a grid was decided, or only told."""

    def detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Asks other sites for their hosts, if not all are known; only these `sites`, if any are named."""

    def blind(self, now: float) -> bool:
        """Whether this peer has yet to hear of the hosts there are."""

    def partly(self) -> bool:
        """Whether this peer hears of some hosts only when it asks other sites."""

    def known(self, owner_site: str, now: float) -> Known | None:
        """All names of hosts and what they have, and of that site's grids; None if not all are known here."""

    def keep(self, kept: Kept) -> list[Effect]:
        """Keeps that on disk."""

    def asked(self, attempt: GridId, host: PeerId) -> bytes:
        """This peer's word that it asks that host to hold that attempt."""


class Nameless:
    """The part of it that is about names and policies, where no name is ever asked for twice, and no site has a
    policy."""

    def policies(self) -> Policies:
        """None."""
        return ()

    def guards(self, key: str) -> tuple[PeerId, ...]:
        """Nobody."""
        return ()

    def named(self, name: str, owner: KeyId) -> Notice | None:
        """Nothing."""
        return None

    def confirmed(self, grid: GridId) -> bool:
        """Nothing is."""
        return False

    def asked(self, attempt: GridId, host: PeerId) -> bytes:
        """Nothing: no order names who carries it out."""
        return b""
