"""The host's side of waiting: who is older has room kept, so that the large are not starved by the small.

A gang of 64 needs 64 places at one moment; where gangs of 4 come all the time that moment never is. The
known cures keep a queue and hold back the younger for the one at its head (backfilling: Lifka, "The ANL/IBM
SP scheduling system", 1995). There is no queue here that hosts could agree on, so each host keeps its own
order: an order that waits *claims* workspaces' worth of room, and what of it is free, or gets free, is
offered to nobody who is younger.

Rules. Age is when the order was signed, so all hosts rank alike and two large ones do not hold each other up;
the oldest has its claim first, the next of what is left. A claim promises nothing: it is in memory only, is
not in the ledger, and is lost by a restart, which the next repetition mends. It ends after CLAIM_S unless it is
repeated, when a hold of its order is granted here, or when its order lets go.

What keeps a member from hoarding: a claim is of a signed order, of one order of each owner, the oldest; all
claims together keep half of a host, or one workspace; none lasts longer than CLAIM_MOST_S, and then not
again for as long; a date in the past counts for CLAIM_AGE_S at most. Reservations do not see claims: they
begin later, and whoever claims wants to begin now.
"""

from collections.abc import Callable

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.negotiation.authority import Authority
from protocol.negotiation.messages import RoomClaim
from protocol.negotiation.outcomes import Outcome, RoomChanged
from protocol.placement.fit import Offer, quantum_of, rules_of, unsuitable
from protocol.terms.effects import Deadline, Effect, Note, earliest
from protocol.terms.ids import KeyId
from protocol.terms.limits import CLAIM_AGE_S, CLAIM_MOST_S, CLAIM_S, CLAIMS_PER_HOST
from protocol.terms.quantities import counted
from protocol.trust.signing import Untrusted

Rank = tuple[float, str]
"""When it was ordered, as far as that is believed, and the order. The least is the oldest."""
YOUNGEST: Rank = (float("inf"), "")

Answer = tuple[list[Effect], list[Outcome]]


class Claim(msgspec.Struct, frozen=True):
    """What one order has kept for it."""

    rank: Rank
    owner: KeyId
    first_s: float
    until_s: float
    sizes: tuple[Quantum, ...]
    """Of each workspace."""


class Claims:
    """Everything claimed of this host."""

    def __init__(self, authority: Authority, ledger: Ledger, offer: Callable[[], Offer]) -> None:
        """`offer` says what this host is, whatever is free of it."""
        self._authority, self._ledger, self._offer = authority, ledger, offer
        self._rows: dict[str, Claim] = {}
        self._spent: dict[str, float] = {}
        """Orders that have had their time, and until when they have no other."""

    def __len__(self) -> int:
        return len(self._rows)

    def ask(self, message: RoomClaim, now: float) -> Answer:
        """An order claims, claims other than before, or lets go."""
        try:
            deployment = self._authority.deployment(message.order, now, fresh=True)
        except Untrusted as error:
            return [Note("claim.refused", "", str(error))], []
        order, spec = deployment.order, deployment.spec
        before = self._rows.pop(order, None)
        self._pass(now)
        changed: list[Outcome] = [RoomChanged()] if before is not None else []
        rules, offer = rules_of(spec), self._offer()
        wanted = dict.fromkeys(message.workspaces)
        sizes = tuple(
            quantum_of(w)
            for w in deployment.workspaces
            if w.name in wanted and not unsuitable(w, offer, rules)
        )
        sizes = tuple(size for size in sizes if size.fits(self._ledger.capacity))
        if not sizes or spec.lease.start_s or spec.lease.before_s or order in self._spent:
            return [], changed
        first_s = before.first_s if before is not None else now
        if now >= first_s + CLAIM_MOST_S:
            self._spent[order] = now + CLAIM_MOST_S
            return [], changed
        rank = before.rank if before is not None else rank_of(order, deployment.issued_at_s, now)
        if not self._admit(deployment.owner, rank):
            return [], changed
        self._rows[order] = Claim(rank, deployment.owner, first_s, now + CLAIM_S, sizes)
        if before is not None:
            return [], changed
        what = f"{counted(len(sizes), 'workspace')}, before what was ordered later"
        return [Note("room.claimed", deployment.name, what)], [RoomChanged()]

    def end(self, order: str) -> bool:
        """That order needs its claim no more. True if it had one."""
        return self._rows.pop(order, None) is not None

    def kept(self, order: str, since_s: float, free: Quantum, now: float) -> Quantum:
        """What of the free room is kept for orders older than that, which was signed then (0: not yet)."""
        if not self._rows:
            return Quantum()
        mine = self._rows.get(order)
        rank = mine.rank if mine is not None else rank_of(order, since_s, now)
        kept, most = Quantum(), _half(self._ledger.capacity)
        for claim in sorted(self._rows.values(), key=lambda claim: claim.rank):
            if claim.rank >= rank:
                break
            for size in claim.sizes if claim.until_s > now else ():
                more = kept + size
                if more.fits(free) and (kept == Quantum() or more.fits(most)):
                    kept = more
        return kept

    def tick(self, now: float) -> list[Outcome]:
        """Claims that were not repeated are over."""
        return [RoomChanged()] if self._pass(now) else []

    def next_deadline(self) -> Deadline | None:
        """When the first of them is."""
        return earliest(*(Deadline(claim.until_s, "claim") for claim in self._rows.values()))

    def check(self) -> None:
        """One order of each owner, and not too many."""
        owners = [claim.owner for claim in self._rows.values()]
        assert len(owners) == len(dict.fromkeys(owners)) <= CLAIMS_PER_HOST, owners

    # -- parts

    def _pass(self, now: float) -> bool:
        count = len(self._rows)
        self._rows = {order: claim for order, claim in self._rows.items() if claim.until_s > now}
        self._spent = {order: until_s for order, until_s in self._spent.items() if until_s > now}
        return len(self._rows) < count

    def _admit(self, owner: KeyId, rank: Rank) -> bool:
        """Makes way for it among the owner's others, and all; False if those are older."""
        for order, claim in list(self._rows.items()):
            if claim.owner == owner:
                if claim.rank < rank:
                    return False
                del self._rows[order]
        if len(self._rows) >= CLAIMS_PER_HOST:
            youngest = max(self._rows, key=lambda order: self._rows[order].rank)
            if self._rows[youngest].rank < rank:
                return False
            del self._rows[youngest]
        return True


def rank_of(order: str, since_s: float, now: float) -> Rank:
    """How old an order is, as far as it is believed."""
    if not since_s:
        return YOUNGEST
    return (min(max(since_s, now - CLAIM_AGE_S), now), order)


def _half(capacity: Quantum) -> Quantum:
    return Quantum(
        capacity.cpus_milli // 2,
        capacity.memory_bytes // 2,
        capacity.disk_bytes // 2,
        tuple((name, count // 2) for name, count in capacity.devices if count > 1),
    )
