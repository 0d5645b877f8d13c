"""What a host knows of others that may pass on its sealed traffic, or reach it without."""

from collections.abc import Callable

from protocol.grid.tunnel import TunnelEnd, reaches, usable
from protocol.membership.liveness import Health
from protocol.membership.membership import Membership
from protocol.terms.ids import PeerId, short_hash
from protocol.terms.limits import MTU_USUAL
from protocol.terms.reach import Reach
from protocol.terms.sealed import TunnelPlace
from protocol.trust.identity import Identity


def elsewhere(end: TunnelEnd | None, own: str) -> TunnelEnd | None:
    """A partner's end, if this host may send there."""
    return end if end is not None and reaches(own, end.underlay) else None


class TunnelAround:
    """An `Around` of tunnel_paths, from what members say of themselves."""

    def __init__(
        self,
        identity: Identity,
        membership: Membership,
        reach: Callable[[], Reach],
        own: Callable[[], str],
        may: Callable[[PeerId], bool],
    ) -> None:
        """`reach` and `own` answer whether others dial this host, and its own underlay address; `may`, whether
        a member is to be spoken to."""
        self._me, self._site = identity.peer, identity.site
        self._known, self._liveness = membership.known, membership.liveness
        self._reach, self._own, self._may = reach, own, may

    def end(self, peer: PeerId) -> TunnelEnd | None:
        """Where that member takes sealed traffic; None if it does not say, or cannot mean it."""
        known = self._known.get(peer)
        return elsewhere(known.tunnel, self._own()) if known is not None else None

    def are_hidden(self, peer: PeerId) -> bool:
        known = self._known.get(peer)
        return (
            self._reach() is not Reach.PUBLIC
            and known is not None
            and known.reach is not Reach.PUBLIC
            and known.site != self._site
        )

    def relays(self, peer: PeerId) -> list[PeerId]:
        """Those at one of the two sites first, since they are no detour; the rest by a hash of the pair."""
        theirs = self._known.get(peer)
        sites = (self._site, theirs.site if theirs is not None else "")
        pair = sorted((self._me, peer))
        found = [
            other
            for other, known in self._known.items()
            if known.reach is Reach.PUBLIC
            and (end := self.end(other)) is not None
            and end.relay_bytes_s
            and end.port
            and other not in (self._me, peer)
            and self._liveness.health(other) is Health.ALIVE
            and self._may(other)
        ]
        return sorted(found, key=lambda r: (self._known[r].site not in sites, short_hash(*pair, r)))

    def place(self, peer: PeerId) -> TunnelPlace | None:
        end = self.end(peer)
        return TunnelPlace(end.underlay, end.port) if end is not None and end.port else None

    def may_be_at(self, place: TunnelPlace) -> bool:
        end = TunnelEnd(place.address, MTU_USUAL, place.port)
        return usable(end) and elsewhere(end, self._own()) is not None

    def life(self, peer: PeerId) -> int:
        known = self._known.get(peer)
        return known.incarnation if known is not None else 0
