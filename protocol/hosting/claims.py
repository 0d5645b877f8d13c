"""The host's side of waiting: room is kept for older orders, so that large ones are not starved by small ones.

A gang of 64 needs 64 places at one moment. Where gangs of 4 come all the time, that moment never comes. The
known cures keep a queue, and hold later jobs back for the one at its head (backfilling: Lifka, "The ANL/IBM SP
scheduling system", 1995). Here there is no queue that hosts could agree on, so each host ranks orders itself.
An order that waits *claims* room for workspaces. Whatever of that room is free, or gets free, is not offered to
later orders.

Rules. Orders are ranked by their owners' shares (policy/shares.py), as they stand at the moment, and then by
age. An order's age counts from its signature, so where shares do not tell orders apart all hosts rank alike,
and two large orders do not hold each other up. Where hosts saw different usage they may, until the claims of
one have had their time. The first order has its claim first, the next one has its claim of what is left. A
claim promises nothing: it is in memory only, is not in the ledger, and is lost by a restart, which the next
renewal finds out. It ends when it is not renewed for CLAIM_S, when a hold of its order is granted here, or when
its order lets go. A renewal is a small message, and as good as another claim. The peer that claims is told for
how much of it there is room, whenever that changes, so it need not ask.

A claim is the peer's that the order is for; of an order for whoever shows it, the peer's that made it. Another
that has the order can neither let it go nor change it. What two peers claim for one order is kept once.

Five rules keep a member from hoarding. A claim needs a signed order, and each owner has one claim, for the
oldest. All claims together keep half of a host, or one workspace. None lasts longer than CLAIM_MOST_S, and then
there is no other for as long. A date in the past counts for CLAIM_AGE_S at most. The peers of one site have a
quarter of all claims. For an order they have one, unless it is of an owner at their site: whoever saw it cannot
take the places of the peers that its owner asked.

Reservations do not see claims: they begin later, and a claim is for now.
"""

from collections import Counter
from collections.abc import Callable

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.contract.authority import Authority, Deployment
from protocol.contract.messages import RoomClaim, RoomKept, RoomRenew
from protocol.contract.outcomes import Answer, Outcome, RoomChanged
from protocol.grid.lease import LeaseTime, asked, window
from protocol.placement.fit import Offer, quantum_of, rules_of, unsuitable
from protocol.policy.shares import FIRST, Standing
from protocol.terms.effects import Deadline, Effect, Note, Send, soonest
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import CLAIM_AGE_S, CLAIM_MOST_S, CLAIM_S, CLAIMS_PER_HOST
from protocol.terms.quantities import counted
from protocol.terms.site_limits import CLAIMS_OF_SITE
from protocol.trust.signing import Untrusted

Age = tuple[float, str]
"""When an order was signed (as far as that is believed), and the order itself. The least is the oldest."""
YOUNGEST: Age = (float("inf"), "")

Rank = tuple[Standing, Age]
"""How an order's owner stands, and the order's age. The least comes first."""
LAST: Rank = ((1 << 63, 0), YOUNGEST)

Key = tuple[str, PeerId]
"""An order, and the peer that claimed room for it, and that is told."""
CLAIMERS = 3
"""Peers that may claim for one order, since it may have been given to more than one."""

_ANYTHING = ("",)
"""Stands for what was told when that was not heard: it equals no answer, so the next tick tells what is so."""


class Claim(msgspec.Struct, frozen=True):
    """The room that is kept for one order."""

    age: Age
    owner: KeyId
    said: RoomClaim
    site: str
    """Where the peer is that claimed it."""
    is_own: bool
    """Whether that is the owner's site."""
    first_s: float
    until_s: float
    sizes: dict[str, Quantum]
    """What each workspace takes, by name."""
    time: LeaseTime
    """The time that its lease asks for."""
    told: tuple[str, ...] = ()
    """The workspaces with room, as the peer was told last."""


class Claims:
    """All claims on this host."""

    def __init__(
        self,
        authority: Authority,
        ledger: Ledger,
        offer: Callable[[], Offer],
        site: Callable[[PeerId], str] = str,
        standing: Callable[[KeyId], Standing] = lambda owner: FIRST,
    ) -> None:
        """`offer` answers what this host is; how much of it is free does not matter. `site` is of a peer; one
        whose site is not known stands for itself. `standing` is of an owner."""
        self._authority, self._ledger, self._offer = authority, ledger, offer
        self._site, self._standing = site, standing
        self._rows: dict[Key, Claim] = {}
        self._spent: dict[str, float] = {}
        """Orders that have had their time, and until when they get no more."""

    def __len__(self) -> int:
        return len(self._rows)

    def ask(self, sender: PeerId, message: RoomClaim, now: float) -> Answer:
        """An order claims room, claims other room than before, or lets go."""
        try:
            deployment = self._authority.deployment(message.order, now, fresh=True)
        except Untrusted as error:
            return [Note("claim.refused", "", str(error))], []
        if not deployment.is_for(sender):
            why = "the order is for another peer to carry out"
            return [Note("claim.refused", deployment.name, why)], []
        key = (deployment.order, sender)
        before = self._rows.pop(key, None)
        self._pass(now)
        claim = self._claim(message, deployment, self._site(sender) or sender, before, now)
        if claim is None:
            return [], [RoomChanged()] if before is not None else []
        self._rows[key] = claim
        if before is not None:
            same = list(before.sizes.values()) == list(claim.sizes.values())
            return [], [] if same else [RoomChanged()]
        what = f"{counted(len(claim.sizes), 'workspace')}, before what was ordered later"
        return [Note("room.claimed", deployment.name, what)], [RoomChanged()]

    def renew(self, sender: PeerId, message: RoomRenew, now: float) -> Answer:
        """Renews a claim for the peer that made it. A peer that has no claim here is told so."""
        key = (message.order, sender)
        before = self._rows.get(key)
        if before is None:
            return [Send(sender, RoomKept(message.order, (), claimed=False))], []
        effects, outcomes = self.ask(sender, before.said, now)
        if (claim := self._rows.get(key)) is not None:
            told = before.told if message.kept == len(before.told) else _ANYTHING
            self._rows[key] = msgspec.structs.replace(claim, told=told)
        return effects, outcomes

    def tell(self, now: float) -> list[Effect]:
        """Tells for how much of each claim there is room, where that changed."""
        effects: list[Effect] = []
        for (order, by), claim in self._rows.items():
            suspends = self._offer().facts.suspends
            time, firm = window(claim.time, now, suspends), claim.time.firm(suspends)
            free = self._ledger.free_for(time, owner=claim.owner, firm=firm)
            free -= self.kept(order, 0.0, free, now)
            room: list[str] = []
            for name, size in claim.sizes.items():
                if size.fits(free):
                    room.append(name)
                    free -= size
            if tuple(room) != claim.told:
                self._rows[order, by] = msgspec.structs.replace(claim, told=tuple(room))
                effects.append(Send(by, RoomKept(order, tuple(room))))
        return effects

    def end(self, order: str) -> None:
        """Ends the claims of an order that needs them no more."""
        for key in self._of(order):
            del self._rows[key]

    def kept_from(self, deployment: Deployment, free: Quantum, now: float) -> Quantum:
        """How much of `free` is kept for orders that come before that one."""
        issued_s = deployment.issued_at_s
        return self.kept(deployment.order, issued_s, free, now, deployment.owner)

    def kept(
        self, order: str, since_s: float, free: Quantum, now: float, owner: str = ""
    ) -> Quantum:
        """The same for an order that was signed at `since_s` (0: not yet), by its owner if that is known."""
        if not self._rows:
            return Quantum()
        ranks = {key: self._rank(claim) for key, claim in self._rows.items()}
        rank = LAST
        if since_s and owner:
            rank = (self._standing(KeyId(owner)), age_of(order, since_s, now))
        rank = min([ranks[key] for key in self._of(order)], default=rank)
        kept, most = Quantum(), _half(self._ledger.capacity)
        counted_in: set[tuple[str, str]] = set()
        for key in sorted(self._rows, key=ranks.__getitem__):
            claim = self._rows[key]
            if ranks[key] >= rank:
                break
            for name, size in claim.sizes.items() if claim.until_s > now else ():
                more = kept + size
                if (key[0], name) in counted_in or not more.fits(free):
                    continue
                if kept == Quantum() or more.fits(most):
                    kept = more
                    counted_in.add((key[0], name))
        return kept

    def tick(self, now: float) -> list[Outcome]:
        """Ends the claims that were not renewed in time."""
        return [RoomChanged()] if self._pass(now) else []

    def next_deadline(self) -> Deadline | None:
        """When the first claim ends, unless it is renewed."""
        if not self._rows:
            return None
        return soonest((claim.until_s for claim in self._rows.values()), "claim")

    def check(self) -> None:
        """Each owner has claims for one order, of a few peers, and there are not too many."""
        if not self._rows:
            return
        orders = {(key[0], claim.owner) for key, claim in self._rows.items()}
        owners = {claim.owner for claim in self._rows.values()}
        assert len(orders) == len(owners), orders
        assert len(self._rows) <= CLAIMS_PER_HOST, len(self._rows)
        assert all(len(self._of(order)) <= CLAIMERS for order, _ in self._rows)
        by_site = Counter(claim.site for claim in self._rows.values())
        assert all(count <= CLAIMS_OF_SITE for count in by_site.values()), by_site

    # -- parts

    def _claim(
        self,
        message: RoomClaim,
        deployment: Deployment,
        site: str,
        before: Claim | None,
        now: float,
    ) -> Claim | None:
        """What is kept for the order from now on; None if nothing is."""
        order, spec = deployment.order, deployment.spec
        rules, offer = rules_of(spec), self._offer()
        wanted = dict.fromkeys(message.workspaces)
        sizes = {
            w.name: size
            for w in deployment.workspaces
            if w.name in wanted and not unsuitable(w, offer, rules)
            if (size := quantum_of(w)).fits(self._ledger.capacity)
        }
        if not sizes or spec.lease.start_s or spec.lease.before_s or order in self._spent:
            return None
        others = [self._rows[key] for key in self._of(order)]
        first_s = min((c.first_s for c in (before, *others) if c is not None), default=now)
        if now >= first_s + CLAIM_MOST_S:
            self._spent[order] = now + CLAIM_MOST_S
            return None
        age = before.age if before is not None else age_of(order, deployment.issued_at_s, now)
        is_own = site == deployment.owner_site
        if not self._is_one_of_few(order, site, is_own):
            return None
        if not self._admit(order, deployment.owner, site, age):
            return None
        return Claim(
            age=age,
            owner=deployment.owner,
            said=message,
            site=site,
            is_own=is_own,
            first_s=first_s,
            until_s=now + CLAIM_S,
            sizes=sizes,
            time=asked(spec),
        )

    def _pass(self, now: float) -> bool:
        count = len(self._rows)
        self._rows = {key: claim for key, claim in self._rows.items() if claim.until_s > now}
        self._spent = {order: until_s for order, until_s in self._spent.items() if until_s > now}
        return len(self._rows) < count

    def _of(self, order: str) -> list[Key]:
        """The claims for one order."""
        return [key for key in self._rows if key[0] == order]

    def _is_one_of_few(self, order: str, site: str, is_own: bool) -> bool:
        """Makes way for one peer more that claims for an order. False if there are enough."""
        others = {key: self._rows[key] for key in self._of(order)}
        if not is_own and any(other.site == site for other in others.values()):
            return False
        if len(others) < CLAIMERS:
            return True
        strangers = [key for key, other in others.items() if not other.is_own]
        if not (is_own and strangers):
            return False
        del self._rows[strangers[-1]]
        return True

    def _rank(self, claim: Claim) -> Rank:
        return self._standing(claim.owner), claim.age

    def _admit(self, order: str, owner: KeyId, site: str, age: Age) -> bool:
        """Makes way for a claim, among its owner's, its site's and all. False if the others come before it."""
        for key, claim in list(self._rows.items()):
            if claim.owner == owner and key[0] != order:
                if claim.age < age:
                    return False
                del self._rows[key]
        rank = self._standing(owner), age
        theirs = [key for key, claim in self._rows.items() if claim.site == site]
        if len(theirs) >= CLAIMS_OF_SITE:
            return self._replaced(theirs, rank)
        return len(self._rows) < CLAIMS_PER_HOST or self._replaced(list(self._rows), rank)

    def _replaced(self, keys: list[Key], rank: Rank) -> bool:
        """Ends the last of those claims, if it comes after that."""
        last = max(keys, key=lambda key: self._rank(self._rows[key]))
        if self._rank(self._rows[last]) < rank:
            return False
        del self._rows[last]
        return True


def age_of(order: str, since_s: float, now: float) -> Age:
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
        capacity.network_bits_s // 2,
        capacity.disk_bytes_s // 2,
        capacity.disk_operations_s // 2,
    )
