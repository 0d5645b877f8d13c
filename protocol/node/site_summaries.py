"""Above LEVELS_ABOVE peers, detail stays within a site, and a summary of each site goes to all.

Every peer counts for itself: its own site's live peers, and what the last summaries say of others. Above the
limit it narrows what it keeps and knows (broadcast.py, membership.py). Well below the limit it widens again,
and goes on telling of its site as long as others are still narrow.

The members of a site make its summary in turn, and the turn is by chance: each period each of them publishes
one with such odds that about SUMMARIES_EACH do. So nobody holds the office, and nobody's death leaves it
vacant.

A summary names a few members. So a peer finds its own site in a large overlay, and knows which peers to ask for
detail of another site.
"""

from collections.abc import Mapping

import msgspec

from protocol.broadcast.broadcast import Broadcast
from protocol.capacity.advert import shapes_in
from protocol.capacity.quantum import Quantum, total
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact
from protocol.requesting.host_directory import HeardAdvert
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    DETAIL_HOSTS,
    SUMMARIES_EACH,
    SUMMARY_ALIVE_MOST,
    SUMMARY_CONTACTS,
    SUMMARY_EVERY_S,
    SUMMARY_TTL_S,
)
from protocol.terms.ranges import AMOUNT_MOST, Amount, Count, Moment, Name
from protocol.trust.identity import Identity
from protocol.trust.record import Record
from protocol.wire.codec import decode, encode

KIND = "site"
_NARROWER = 0.8
"""The part of the limit below which everybody knows everybody again."""
_SEEN = 0.3
"""The part of the limit of which certificates were seen at least before summaries have others' records dropped.
A newcomer to a large overlay sees as many of its own site and its neighbours' sites."""


class Summary(msgspec.Struct, frozen=True):
    """The body of a record of kind `site`: one site, as one of its members sees it."""

    site: Name
    alive: Count
    free: Quantum
    capacity: Quantum
    shapes: tuple[tuple[Name, Amount], ...]
    """How many of each standard shape fit, over all hosts of the site."""
    workspaces: Amount
    contacts: tuple[Contact, ...]
    made_s: Moment
    wide: bool
    """Whether its writer knows other sites by their summaries only, and so needs theirs."""


class HeardSummary(msgspec.Struct, frozen=True):
    """A summary, and when it came by this peer's clock."""

    summary: Summary
    received_s: float

    @property
    def since_s(self) -> float:
        """When it was made, and at the latest when it came: its writer's clock may be ahead."""
        return min(self.summary.made_s, self.received_s)


class SiteSummaries:
    """How much of the federation this peer knows."""

    def __init__(
        self,
        identity: Identity,
        membership: Membership,
        broadcast: Broadcast,
        adverts: Mapping[PeerId, HeardAdvert],
        dice: Dice,
        above: int,
        now: float,
    ) -> None:
        """`adverts` has the newest advert of each host, as the host directory keeps them."""
        self._identity, self._membership, self._broadcast = identity, membership, broadcast
        self._adverts, self._dice, self._above = adverts, dice, above
        self.sites: dict[str, HeardSummary] = {}
        self._counts: dict[str, int] = {}
        """Live peers of each other site, as known before narrowing."""
        self._tick_s = now + SUMMARY_EVERY_S * dice.uniform(0.1, 1.0)

    @property
    def wide(self) -> bool:
        """Whether other sites are known by their summaries only."""
        return self._broadcast.narrowed

    def peers(self) -> int:
        """How many peers there are, as far as is known."""
        alive = len(self._membership.sites_alive()) + 1
        if not self.wide:
            return max(alive, self._summed(self._members()) if self.sites else 0)
        return self._summed(self._members())

    def heard(self, record: Record, now: float) -> None:
        """Takes in a site's summary, unless it is older than the one that is known. Raises Malformed."""
        summary = decode(record.body, Summary)
        if summary.site != self._membership_site(PeerId(record.owner)):
            return
        if summary.alive > SUMMARY_ALIVE_MOST:
            summary = msgspec.structs.replace(summary, alive=SUMMARY_ALIVE_MOST)
        known = self.sites.get(summary.site)
        if known is not None and known.since_s >= min(summary.made_s, now):
            return
        self.sites[summary.site] = HeardSummary(summary, now)
        passive = self._membership.view.passive
        if summary.site == self._identity.site and not passive.full:
            for contact in summary.contacts[:SUMMARY_CONTACTS]:
                if not self._membership.view.is_neighbour(contact.peer):
                    passive.add(contact)

    def tick(self, now: float) -> bool:
        """Narrows, widens, publishes, once a period. True if it knows only its own site from now on."""
        if now < self._tick_s:
            return False
        self._tick_s = now + SUMMARY_EVERY_S * self._dice.uniform(0.9, 1.1)
        old = [s for s, heard in self.sites.items() if heard.received_s + SUMMARY_TTL_S <= now]
        for site in old:
            del self.sites[site]
        narrowed = self._decide(now)
        needed = self.wide or any(heard.summary.wide for heard in self.sites.values())
        if needed and self._dice.random() < SUMMARIES_EACH / self._members():
            self._publish(now)
        return narrowed

    # -- detail on request

    def ask_detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """Asks a contact of each other site for its hosts; only these `sites`, if any are named.

        No effects while everybody knows everybody.
        """
        if not self.wide:
            return []
        effects: list[Effect] = []
        for site, heard in self.sites.items():
            contacts = [c for c in heard.summary.contacts if c.site == site]
            if site != self._identity.site and contacts and (not sites or site in sites):
                contact = self._dice.choice(contacts)
                if not self._membership.address(contact.peer):
                    self._membership.view.passive.add(contact)
                effects += self._broadcast.ask_detail(contact.peer, site, now)
        return effects

    def roomiest(self) -> list[PeerId]:
        """Hosts of this site that are worth asking for a quote.

        Most are the roomiest. Some are drawn, so that requesters from elsewhere do not all meet at the same
        few.
        """
        near = self._membership.sites_alive()
        mine = [p for p in self._adverts if near.get(p) == self._identity.site]
        mine.sort(key=lambda p: -self._adverts[p].advert.free.memory_bytes)
        best, rest = mine[: DETAIL_HOSTS // 2], mine[DETAIL_HOSTS // 2 :]
        drawn = DETAIL_HOSTS - 1 - len(best)
        some = rest if len(rest) <= drawn else self._dice.sample(rest, drawn)
        return [self._identity.peer, *best, *some]

    def next_deadline(self) -> Deadline:
        """When to tick."""
        return Deadline(self._tick_s, "site summaries")

    # -- parts

    def _decide(self, now: float) -> bool:
        peers, seen = self.peers(), len(self._membership.known) + 1
        # A summary is one member's word. It counts beside certificates that were seen, and not without them.
        if not self.wide and peers > self._above and seen > self._above * _SEEN:
            for site in self._membership.sites_alive().values():
                self._counts[site] = self._counts.get(site, 0) + 1
            self._membership.narrow(True, now)
            self._broadcast.narrow(self._identity.site)
            return True
        if self.wide and peers < self._above * _NARROWER:
            self._counts.clear()
            self._membership.narrow(False, now)
            self._broadcast.narrow("")
        return False

    def _members(self) -> int:
        """Live peers of this peer's own site, itself among them."""
        site = self._identity.site
        return 1 + sum(other == site for other in self._membership.sites_alive().values())

    def _summed(self, members: int) -> int:
        counts = dict(self._counts)
        counts |= {site: heard.summary.alive for site, heard in self.sites.items()}
        counts.pop(self._identity.site, None)
        return members + sum(counts.values())

    def _membership_site(self, peer: PeerId) -> str:
        known = self._membership.known.get(peer)
        return known.site if known is not None else ""

    def _publish(self, now: float) -> None:
        me, alive = self._identity, self._membership.sites_alive()
        near = [peer for peer, site in alive.items() if site == me.site]
        adverts = [self._adverts[peer].advert for peer in near if peer in self._adverts]
        some = (
            near if len(near) < SUMMARY_CONTACTS else self._dice.sample(near, SUMMARY_CONTACTS - 1)
        )
        known = [self._membership.known[peer] for peer in some]
        contacts = [Contact(k.peer, k.site, k.address) for k in known]
        shapes: dict[str, int] = {name: 0 for name, _ in shapes_in(Quantum())}
        for advert in adverts:
            for name, count in advert.shapes:
                shapes[name] = shapes.get(name, 0) + count
        summary = Summary(
            site=me.site,
            alive=1 + len(near),
            free=total(advert.free for advert in adverts),
            capacity=total(advert.facts.capacity for advert in adverts),
            shapes=tuple((name, min(count, AMOUNT_MOST)) for name, count in shapes.items()),
            workspaces=min(sum(advert.workspaces for advert in adverts), AMOUNT_MOST),
            contacts=(self._membership.contact, *contacts),
            made_s=now,
            wide=self.wide,
        )
        self.sites[me.site] = HeardSummary(summary, now)
        self._broadcast.publish(KIND, "", encode(summary), SUMMARY_TTL_S, now)
