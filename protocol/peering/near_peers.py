"""What relay/ must know of connections and presences, read from membership, and how others are told to reach
this peer."""

from protocol.membership.liveness import Health
from protocol.membership.membership import Membership
from protocol.relay.choice import dialable
from protocol.relay.outcomes import Locator
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId
from protocol.terms.reach import VIA_MOST, Reach

Whereabouts = tuple[Reach, tuple[PeerId, ...]]
"""How a peer is reached, and through which peers."""


class NearPeers:
    """The peers around this one, as the relay sees them (`Around` in relay/)."""

    def __init__(self, membership: Membership) -> None:
        self._membership, self._links = membership, membership.links

    def direct(self) -> list[PeerId]:
        """Peers with a connection of their own that have introduced themselves."""
        return self._links.directs()

    def is_direct(self, peer: PeerId) -> bool:
        """Whether that peer has one."""
        return self._links.direct(peer)

    def is_dialled(self, peer: PeerId) -> bool:
        """Whether the transport is trying to dial it."""
        return self._links.dialled(peer)

    def told(self, peer: PeerId) -> Locator | None:
        """Where a live peer says it is, if that is one host; None if it is not known to live."""
        known = self._membership.known.get(peer)
        health = self._membership.liveness.health(peer)
        if known is None or health not in (Health.ALIVE, Health.SUSPECT):
            return None
        suspect = health is Health.SUSPECT
        means_one = self._membership.dialling.means_one_host(known.address)
        address = known.address if means_one else ""
        return Locator(known.site, address, known.reach, known.via, suspect)

    def call(self, peer: PeerId, now: float) -> list[Effect]:
        """Makes a connection for a moment."""
        address = self._membership.address(peer)
        return self._links.reach(peer, address, now, direct=True) if address else []

    def whereabouts(self, reach: Reach) -> Whereabouts:
        """What the presence says of a peer that is reached so: if not by all, then through which peers."""
        if reach is Reach.PUBLIC:
            return reach, ()
        near = [p for p in self._membership.view.neighbours if self._links.direct(p)]
        near += [p for p in self._links.directs() if p not in near]
        outside = [p for p in near if dialable(self.told(p), "")]
        return reach, tuple((outside or near)[:VIA_MOST])
