"""What this peer has heard of hosts and grids, as requests made here need it."""

from collections import Counter
from collections.abc import Callable

import msgspec

from protocol.capacity.advert import Advert, HostFacts, ImageLabel
from protocol.contract.notices import Notice
from protocol.contract.told import Notices
from protocol.grid.model import GridSpec
from protocol.grid.record import GridState
from protocol.membership.membership import Membership
from protocol.placement.suspects import Known
from protocol.requesting.lending import Policies
from protocol.requesting.shortlist import Candidate, told_by
from protocol.requesting.silence import Silence
from protocol.terms.ids import Digest, GridId, KeyId, PeerId, short_hash
from protocol.terms.limits import BLIND_S, STEWARDS
from protocol.trust.identity import Identity
from protocol.trust.owner import is_called


class HeardAdvert(msgspec.Struct, frozen=True):
    """A host's advert, and when it came by this peer's clock."""

    advert: Advert
    received_s: float


class HostDirectory:
    """The adverts and notices of hosts, and which peers are alive."""

    def __init__(
        self,
        identity: Identity,
        membership: Membership,
        notices: Notices,
        expects: bool,
        now: float,
        policies: Callable[[], Policies] = tuple,
    ) -> None:
        """`expects` says that this peer knows how to reach others, so that it should hear of hosts. `policies`
        answers the newest of each site."""
        self.policies = policies
        self._identity, self._membership, self.notices = identity, membership, notices
        self.born_s, self._blind_s = now, now + BLIND_S if expects else now
        self.adverts: dict[PeerId, HeardAdvert] = {}
        self._told: dict[PeerId, Candidate] = {}
        """Adverts as requests read them; each is made when it is first needed."""
        self.narrowed = False
        """Whether this peer hears of other sites' hosts only when it asks for them."""

    @property
    def me(self) -> PeerId:
        """This peer."""
        return self._identity.peer

    def advertised(self, peer: PeerId, advert: Advert, now: float) -> bool:
        """Takes a host's advert. True if it has more room than before."""
        before = self.adverts.get(peer)
        self.adverts[peer] = HeardAdvert(advert, now)
        self._told.pop(peer, None)
        return before is None or not advert.free.fits(before.advert.free)

    def narrow(self, site: str) -> None:
        """From now on other sites' hosts are heard of only when asked. What was heard of them grows old."""
        self.narrowed = True
        known = self._membership.known
        for peer in [p for p in self.adverts if p not in known or known[p].site != site]:
            del self.adverts[peer]

    def blind(self, now: float) -> bool:
        """Whether this peer was started a moment ago, and has not heard yet of the hosts there are."""
        if now >= self._blind_s:
            return False
        others = self._membership.sites_alive()
        silent = any(peer not in self.adverts for peer in others) and not self.narrowed
        return not others or silent

    def beginning(self, now: float) -> bool:
        """Whether this peer was started a moment ago, and may not have heard yet of the grids there are."""
        return now < self._blind_s

    def alive(self, peer: PeerId) -> bool:
        """Whether a peer is this one, or is believed alive."""
        return peer == self._identity.peer or peer in self._membership.sites_alive()

    def name(self, peer: PeerId) -> str:
        """What people call a host; the beginning of its key if it is not known."""
        if peer == self._identity.peer:
            return self._identity.name
        known = self._membership.known.get(peer)
        return known.name if known is not None else peer[:12]

    def site(self, peer: PeerId) -> str:
        """The site of a host; empty if it is not known."""
        if peer == self._identity.peer:
            return self._identity.site
        known = self._membership.known.get(peer)
        return known.site if known is not None else ""

    def asked(self, about: str) -> list[GridId]:
        """The grids that somebody asks about who asks so, those of this peer's site first."""
        newest = {grid: self.notices.newest(grid) for grid in self.notices.told(about)}
        mine = [
            g for g, n in newest.items() if n is not None and n.owner_site == self._identity.site
        ]
        return list(dict.fromkeys([*mine, *newest]))

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        """Whether a host is not heard.

        None if it is, also while it is only suspected, and if it cannot be said: this peer has just started, or
        hears of other sites' hosts only when it asks.
        """
        if self.alive(peer):
            return None
        liveness = self._membership.liveness
        health = liveness.health(peer)
        if health is None and (self.narrowed or self.blind(now)):
            return None
        return Silence(health, liveness.silent_since_s(peer))

    def candidates(self) -> tuple[Candidate, ...]:
        """This host and every live one that has advertised."""
        me = self._identity
        found = [Candidate(me.peer, me.name, me.site)]
        for peer in self._membership.sites_alive():
            known = self._membership.known[peer]
            if peer in self.adverts:
                found.append(self._candidate(peer, known.name, known.site))
        return tuple(found)

    def _candidate(self, peer: PeerId, name: str, site: str) -> Candidate:
        told = self._told.get(peer)
        if told is None or (told.name, told.site) != (name, site):
            offer = told_by(peer, name, site, self.adverts[peer].advert)
            told = self._told[peer] = Candidate(peer, name, site, offer)
        return told

    def guards(self, key: str) -> tuple[PeerId, ...]:
        """The peers that are told who asks for a name: drawn by rendezvous hashing, the same for everybody who
        believes the same peers alive."""
        everybody = (self._identity.peer, *self._membership.sites_alive())
        return tuple(sorted(everybody, key=lambda peer: short_hash(key, peer))[:STEWARDS])

    def living(self, name: str, owner: KeyId | None = None, site: str = "") -> Notice | None:
        """What there is to say of a grid of that name, and owner or owner's site, that is up; None if none is.

        One that is known goes before what is only told.
        """
        found = [
            there
            for grid in self.notices.grids()
            if (there := self.notices.newest(grid)) is not None
            and (there.name, there.state) == (name, GridState.UP)
            and owner in (None, there.owner)
            and is_called(there.owner_site, site)
        ]
        known = self.notices.confirmed
        return max(found, key=lambda n: (known(n.grid), n.made_s, n.epoch), default=None)

    def names(self, own: HostFacts, owner_site: str, now: float) -> Known | None:
        """All names that hosts have, also those that are not heard any more, and those of that site's grids.

        `own` are the facts of this host. None where not all hosts are known.
        """
        if self.narrowed or self.blind(now):
            return None
        known, me = self._membership.known, self._identity
        facts = [own, *(heard.advert.facts for heard in self.adverts.values())]
        told = [n for grid in self.notices.grids() if (n := self.notices.newest(grid)) is not None]
        return Known(
            hosts=(me.name, *(peer.name for peer in known.values())),
            sites=dict(Counter((me.site, *(peer.site for peer in known.values())))),
            labels=dict(Counter(label for each in facts for label in each.labels)),
            devices=dict(Counter(n for each in facts for n, _ in each.capacity.devices)),
            grids=tuple(dict.fromkeys(n.name for n in told if n.owner_site == owner_site)),
        )

    def boots(self, grid: GridId) -> dict[str, int]:
        """Which start each workspace of a grid is in, by name, as its hosts told last."""
        return {
            status.workspace: status.boot
            for heard in self.notices.about(grid).values()
            for status in heard.notice.mine
        }

    def unknown_image(
        self, spec: GridSpec, here: tuple[ImageLabel, ...], now: float
    ) -> tuple[str, ...]:
        """Lines for people about an image that no host has; empty if there is none.

        Where not all hosts are known, that cannot be said, and it is empty too.
        """
        if self.narrowed or self.blind(now):
            return ()
        there = [i for heard in self.adverts.values() for i in heard.advert.images]
        known = dict.fromkeys((i.name, i.digest) for i in (*here, *there))
        digests = [digest for _, digest in known]
        for cluster in spec.clusters:
            if Digest(cluster.image.digest) not in digests:
                names = ", ".join(dict.fromkeys(name for name, _ in known)) or "none yet"
                return (
                    f"image {cluster.image.name} of cluster {cluster.name} is on no host",
                    f"  would work: one of those there are ({names}), or `overlayctl image add`",
                )
        return ()
