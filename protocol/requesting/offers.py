"""What hosts offer to one attempt, as far as it is believed: their quotes, less what was promised or refused.

A quote binds nobody. A host that refused for want of room is believed about how much it has. One that refused
for another reason is not asked again.
"""

from collections.abc import Iterable, Iterator

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.capacity.room import FOREVER, Room
from protocol.contract.messages import Quote
from protocol.grid.lease import asked, window
from protocol.grid.model import GridSpec
from protocol.grid.problem import listed
from protocol.placement.fit import Offer
from protocol.requesting.shortlist import Candidate
from protocol.terms.ids import PeerId
from protocol.terms.limits import STARTS_TRIED
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal


class Offers:
    """By host, in the order in which they came."""

    def __init__(self, spec: GridSpec) -> None:
        self._spec = spec
        self._offers: dict[PeerId, Offer] = {}
        self._rooms: dict[PeerId, Room] = {}
        self._ahead: dict[PeerId, Quantum] = {}
        """What each host holds for others, and keeps for older orders."""

    def __len__(self) -> int:
        return len(self._offers)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._offers

    def __getitem__(self, peer: PeerId) -> Offer:
        return self._offers[peer]

    def get(self, peer: PeerId) -> Offer | None:
        """A host's offer; None if it made none."""
        return self._offers.get(peer)

    def all(self) -> tuple[Offer, ...]:
        """Every host's."""
        return tuple(self._offers.values())

    # -- what hosts say

    def quoted(self, candidate: Candidate, quote: Quote, now: float) -> None:
        """A host gives its quote."""
        peer = candidate.peer
        self._offers[peer] = Offer(
            peer=peer,
            host=candidate.name,
            site=candidate.site,
            facts=quote.facts,
            free=quote.free,
            images=quote.images,
            refused=quote.refused or candidate.refused,
            coordinate=quote.coordinate,
            clashes=quote.clashes,
            hidden=quote.hidden,
            kept=quote.kept,
            guaranteed=quote.guaranteed,
            shut=quote.shut,
        )
        if quote.held + quote.kept != Quantum():
            self._ahead[peer] = quote.held + quote.kept
        try:
            self._rooms[peer] = Room.heard(quote.later, now)
        except ValueError:
            self._rooms[peer] = Room([-FOREVER], [quote.free])

    def taken(self, peer: PeerId, size: Quantum) -> None:
        """So much of a host's room is held for this request."""
        self._replace(peer, free=self._offers[peer].free - size)

    def given_back(self, peer: PeerId, size: Quantum) -> None:
        """So much is not held any more, or counts as free for this request."""
        self._replace(peer, free=self._offers[peer].free + size)

    def refused(self, peer: PeerId, refusal: Refusal) -> None:
        """A host refused to hold."""
        if refusal.constraint in QUANTITIES:
            self._replace(peer, free=_no_more(self._offers[peer].free, refusal))
        else:
            self._offers[peer] = msgspec.structs.replace(self._offers[peer], refused=refusal)

    # -- other times

    def starts(self, now: float) -> list[float]:
        """Starts before the deadline that are worth trying: now, and whenever some host has more room."""
        last_s = self._spec.lease.before_s - self._spec.lease_s
        times = [at_s for at_s in self._changes() if now < at_s <= last_s]
        return [now, *sorted(times)][:STARTS_TRIED]

    def at(self, start_s: float, offers: Iterable[Offer] | None = None) -> tuple[Offer, ...]:
        """These offers, or all, as they are for a lease that begins then."""
        return tuple(
            self._at(offer, start_s) for offer in (self.all() if offers is None else offers)
        )

    def begin_at(self, start_s: float) -> None:
        """From now on these are offers for a lease that begins then."""
        self._offers = {peer: self._at(offer, start_s) for peer, offer in self._offers.items()}

    def later(
        self, offers: tuple[Offer, ...], now: float
    ) -> Iterator[tuple[float, tuple[Offer, ...]]]:
        """Each later start at which some host has more room, in seconds from now, and the offers for it."""
        lease = self._spec.lease
        if lease.before_s:
            return
        for start_s in sorted(at_s for at_s in self._changes() if at_s > max(now, lease.start_s)):
            yield start_s - now, self.at(start_s, offers)

    # -- what is ahead

    def uncontended(self) -> tuple[Offer, ...]:
        """All, as if what hosts hold for others, and keep for older orders, came free; none if there is no
        such thing."""
        if not self._ahead:
            return ()
        return tuple(
            msgspec.structs.replace(offer, free=offer.free + self._ahead.get(peer, Quantum()))
            for peer, offer in self._offers.items()
        )

    @property
    def ahead(self) -> str:
        """What is ahead of this request, for people."""
        hosts = [offer.host for offer in self._offers.values() if offer.kept != Quantum()]
        if not hosts:
            return "held for others that are not decided yet"
        return f"kept for older requests by {listed(hosts, 3)}, or held for others"

    # -- parts

    def _changes(self) -> dict[float, None]:
        return dict.fromkeys(at_s for room in self._rooms.values() for at_s in room.at_s[1:])

    def _at(self, offer: Offer, start_s: float) -> Offer:
        time = window(asked(self._spec, start_s), start_s, offer.facts.suspends)
        free = self._rooms[offer.peer].for_lease(time.start_s, time.end_s, time.kept_until_s)
        return msgspec.structs.replace(offer, free=free)

    def _replace(self, peer: PeerId, free: Quantum) -> None:
        self._offers[peer] = msgspec.structs.replace(self._offers[peer], free=free)


def _no_more(free: Quantum, refusal: Refusal) -> Quantum:
    """The room that was offered, but of what was refused no more than the host says it has."""
    if refusal.constraint is Constraint.DEVICE:
        counts = dict(free.devices)
        counts[refusal.detail] = min(counts.get(refusal.detail, 0), refusal.available)
        left = tuple((name, count) for name, count in sorted(counts.items()) if count)
        return msgspec.structs.replace(free, devices=left)
    room = dict(free.by_constraint())
    room[refusal.constraint] = min(room[refusal.constraint], refusal.available)
    return Quantum(
        room[Constraint.CPUS],
        room[Constraint.MEMORY],
        room[Constraint.DISK],
        free.devices,
        room[Constraint.NETWORK_RATE],
        room[Constraint.DISK_RATE],
        room[Constraint.DISK_OPERATIONS],
    )
