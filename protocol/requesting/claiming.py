"""The requester's side of waiting: a request has hosts keep room for it, until it has all that it needs.

Rules. A request claims only after it has been refused for CLAIM_AFTER_S. Until then trying again is enough
for a request that is behind others' holds. It claims what it would take now, where that is. For what finds no
place it claims half as many places again as it needs, on hosts drawn by lot, because nobody knows where room
gets free first. Each try claims anew; what it does not claim again is let go. Between tries a small message
renews the claims, and hosts tell when they have room for them. Once that is enough, the request tries again.
Quotes to it include the room that is kept for it.
"""

from collections.abc import Iterable
from math import inf

from protocol.capacity.quantum import Quantum, total
from protocol.contract.authority import Deployment
from protocol.contract.messages import RoomClaim, RoomKept, RoomRenew
from protocol.grid.model import GridSpec, Workspace
from protocol.placement.fit import Offer, conflict, quantum_of, rules_of, unsuitable
from protocol.placement.packing import Instance, Packing
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import CLAIM_AFTER_S, CLAIM_MOST_S, CLAIM_RENEW_S
from protocol.terms.refusal import QUANTITIES, Constraint
from protocol.trust.order import SignedOrder

Shares = dict[PeerId, tuple[str, ...]]


class Claiming:
    """The room that hosts keep for one request."""

    def __init__(self, request: RequestId, deployment: Deployment, asked_s: float) -> None:
        self._request, self._deployment = request, deployment
        self.from_s = asked_s + CLAIM_AFTER_S
        """When it has waited long enough to claim, Unix seconds."""
        self._where: Shares = {}
        self._kept: Shares = {}
        """The part of the claims for which there is room, as hosts told."""
        self._lost: dict[PeerId, None] = {}
        """Hosts that know of no claim any more; they are told it in full again."""
        self._first_s = 0.0
        self.renew_s = inf
        """When to renew the claims, Unix seconds."""

    @property
    def hosts(self) -> tuple[PeerId, ...]:
        """The hosts on which it claims room."""
        return tuple(self._where)

    @property
    def enough(self) -> bool:
        """Whether the hosts where it claims have room for all that it needs of each cluster."""
        counts = self._counts()
        clusters = self._deployment.spec.clusters
        return bool(counts) and all(counts.get(c.name, 0) >= c.least for c in clusters)

    def room(self) -> dict[PeerId, Quantum]:
        """How much room each host keeps for it."""
        sizes = {w.name: quantum_of(w) for w in self._deployment.workspaces}
        return {peer: total([sizes[n] for n in names]) for peer, names in self._kept.items()}

    def due(self, now: float) -> bool:
        """Whether it has waited long enough to claim, and has time to claim left."""
        if now < self.from_s:
            return False
        if not self._first_s or now >= self._first_s + 2 * CLAIM_MOST_S:
            self._first_s = now
        return now < self._first_s + CLAIM_MOST_S

    def claim(self, order: SignedOrder, wanted: Shares, now: float) -> list[Effect]:
        """Claims `wanted`, and nothing else any more."""
        said: Shares = dict.fromkeys(self._where, ()) | wanted
        self._where, self._kept, self._lost = wanted, {}, {}
        self.renew_s = now + CLAIM_RENEW_S if wanted else inf
        return [Send(peer, RoomClaim(order, names), self._request) for peer, names in said.items()]

    def renew(self, order: SignedOrder, now: float) -> list[Effect]:
        """Renews its claims, or lets go of them when their time is over."""
        if not self.due(now):
            return self.claim(order, {}, now)
        lost, self._lost = self._lost, {}
        self.renew_s = now + CLAIM_RENEW_S
        effects: list[Effect] = []
        for peer, names in self._where.items():
            again: RoomClaim | RoomRenew = RoomClaim(order, names)
            if peer not in lost:
                again = RoomRenew(self._deployment.order, len(self._kept.get(peer, ())))
            effects.append(Send(peer, again, self._request))
        return effects

    def heard(self, sender: PeerId, message: RoomKept) -> None:
        """A host tells what it keeps. One that was not asked to keep anything is not heard."""
        if sender not in self._where:
            return
        mine = self._where[sender]
        self._kept[sender] = tuple(dict.fromkeys(n for n in message.workspaces if n in mine))
        if not message.claimed:
            self._lost[sender] = None

    def end(self, order: SignedOrder | None, carriers: Iterable[PeerId] = ()) -> list[Effect]:
        """Lets go of all claims. The `carriers` of its grid are not told, because they know."""
        if order is None:
            return []
        for peer in carriers:
            self._where.pop(peer, None)
        return self.claim(order, {}, inf)

    def _counts(self) -> dict[str, int]:
        """How many workspaces of each cluster there is room for."""
        cluster_of = {w.name: w.cluster for w in self._deployment.workspaces}
        counts: dict[str, int] = {}
        for names in self._kept.values():
            for name in names:
                counts[cluster_of[name]] = counts.get(cluster_of[name], 0) + 1
        return counts


def wanted(
    spec: GridSpec, members: tuple[Workspace, ...], offers: tuple[Offer, ...], dice: Dice
) -> Shares:
    """Which workspaces to claim room for, and where. None of them may be held."""
    rules = rules_of(spec, offers)
    seating = Packing(Instance(members, offers, rules, {}))
    for kind in seating.table.kinds:
        seating.fill(kind, kind.names, dice)
    found: dict[int, list[str]] = {}
    for name, host in seating.seats.items():
        found.setdefault(host, []).append(name)
    for kind in seating.table.kinds:
        left = [name for name in kind.names if name not in seating.seats]
        places = left + left[: (len(left) + 1) // 2]
        together = [offers[host] for host in found] if rules.pairs else []
        hosts: list[int] = []
        for host in dice.sample(range(len(offers)), len(offers)) if left else ():
            offer = offers[host]
            suits = _waits(offer) and not unsuitable(kind.workspace, offer, rules)
            if suits and not any(conflict(offer, other, rules) for other in together):
                hosts.append(host)
                together += [offer] if rules.pairs else []
        if rules.strict_spread:
            places = places[: len(hosts)]
        for place, name in enumerate(places if hosts else ()):
            found.setdefault(hosts[place % len(hosts)], []).append(name)
    return {offers[host].peer: tuple(names) for host, names in found.items()}


def _waits(offer: Offer) -> bool:
    """Whether a host may come to have what it lacks."""
    no = offer.refused
    return no is None or no.constraint in (Constraint.OLDER, *QUANTITIES)
