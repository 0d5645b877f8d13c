"""What the host's side asks of the rest of this peer (hosting/surroundings.py)."""

from collections.abc import Iterator

from protocol.capacity.advert import Advert
from protocol.capacity.allotments import Parts
from protocol.capacity.quantum import Quantum, total
from protocol.grid.tunnel import ToldEnd
from protocol.membership.clocks import ClockView
from protocol.membership.membership import Membership
from protocol.node.relaying import Relaying
from protocol.peering.certificates import own_revocation
from protocol.peering.overlay import Overlay
from protocol.policy.demand import Demand
from protocol.policy.site_policy import SitePolicy
from protocol.requesting.host_directory import HostDirectory
from protocol.terms.coordinate import Coordinate
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.certificate import read_certificate


class PeerSurroundings:
    """The surroundings of this peer's host, as membership and relaying know them."""

    def __init__(
        self,
        membership: Membership,
        relaying: Relaying,
        overlay: Overlay,
        directory: HostDirectory,
    ) -> None:
        self._membership, self._relaying = membership, relaying
        self._certificates, self._announcer = overlay.certificates, overlay.announcer
        self._policies, self._directory = overlay.policies, directory
        self._site_key = read_certificate(overlay.certificates.identity.chain[-1]).subject

    def hidden(self) -> bool:
        """Whether not every peer can dial this one."""
        return self._relaying.hidden()

    def clock_fault(self) -> str:
        """Why this peer's clock cannot be relied on, for people; empty if it can."""
        return self._membership.clock_fault()

    def barred(self) -> str:
        """Why this host is to take no work at all, for people; empty if it may."""
        revocation = self._certificates.revoked
        return own_revocation(revocation) if revocation is not None else ""

    def site_key(self) -> KeyId:
        """The key of this host's site."""
        return self._site_key

    def policy(self) -> SitePolicy | None:
        """The newest policy of this host's site; None if none was heard of."""
        return self._policies.of(self.site_key())

    def elsewhere(self, key: KeyId) -> Demand:
        """What other hosts of this host's site have by orders of a key, as far as they were heard.

        Other sites' hosts are not believed: they would keep out of this one whom they name.
        """
        quanta, workspaces = list[Quantum](), 0
        for advert in self._nearby():
            for there in (spent for spent in advert.spent if spent.key == key):
                devices = (("device", there.devices),) if there.devices else ()
                amounts = (there.cpus_milli, there.memory_bytes, there.disk_bytes)
                quanta.append(Quantum(*amounts, devices))
                workspaces += there.workspaces
        return Demand(total(quanta), workspaces)

    def beside(self) -> Quantum:
        """What the other hosts of this host's site have in all, as far as they were heard."""
        own, adverts = self._certificates.identity, self._directory.adverts.items()
        return total(
            heard.advert.facts.capacity
            for peer, heard in adverts
            if peer != own.peer and self.site(peer) == own.site
        )

    def least_policy(self) -> int:
        """The least number of a policy that this host may go by, as its certificate says."""
        return read_certificate(self._certificates.identity.chain[0]).policy

    def hosts(self) -> int:
        """How many hosts this host's site has, itself included."""
        return 1 + sum(1 for _ in self._nearby())

    def lacking(self) -> Parts:
        """What other hosts of the site lack of its ceilings (hosting/allotting.py)."""
        return tuple(lack for advert in self._nearby() for lack in advert.lacks)

    def _nearby(self) -> Iterator[Advert]:
        """What the other hosts of this host's site tell."""
        own = self._certificates.identity
        for peer, heard in self._directory.adverts.items():
            if peer != own.peer and self.site(peer) == own.site:
                yield heard.advert

    def leaving(self) -> bool:
        """Whether this host is to be stopped for good, as its person says."""
        return self._announcer.leaving

    def clock(self) -> ClockView:
        """Whether this peer's clock decides what cannot be taken back."""
        return self._membership.clock

    def here(self) -> Coordinate:
        """Where this peer is in the network; NOWHERE if that is not known yet."""
        return self._membership.vivaldi.here

    def name(self, peer: PeerId) -> str:
        """What people call a host; the beginning of its key if it is not known."""
        known = self._membership.known.get(peer)
        return known.name if known is not None else peer[:12]

    def site(self, peer: PeerId) -> str:
        """The site of a peer, also of this one; empty if it is not known."""
        own = self._certificates.identity
        if peer == own.peer:
            return own.site
        known = self._membership.known.get(peer)
        return known.site if known is not None else ""

    def tunnel(self, peer: PeerId) -> ToldEnd | None:
        """Where another host takes the traffic of its networks, as its presence says; None if it does not."""
        known = self._membership.known.get(peer)
        if known is None or known.tunnel is None:
            return None
        return ToldEnd(peer, known.tunnel, known.incarnation)
