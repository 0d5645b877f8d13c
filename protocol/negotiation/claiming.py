"""The requester's side of waiting: it has hosts keep room for it, until it has all it needs.

Rules. Only who has been refused for CLAIM_AFTER_S claims: till then who is behind others' holds is served by
trying again. It claims what it would take now where that is, and for what finds no place half as many places
again as it needs, on hosts by lot: where room gets free first nobody knows. Each try says anew what is
claimed; what is not said again is let go. What hosts keep, their next quotes to it have in them.
"""

from collections.abc import Iterable

from protocol.grid.model import GridSpec, Workspace
from protocol.negotiation.messages import RoomClaim
from protocol.placement.fit import Offer, conflict, rules_of, unsuitable
from protocol.placement.seating import Seating, Table
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import CLAIM_AFTER_S, CLAIM_MOST_S
from protocol.terms.refusal import QUANTITIES, Constraint
from protocol.trust.order import SignedOrder

Wanted = dict[PeerId, tuple[str, ...]]


class Claiming:
    """What one request has hosts keep for it."""

    def __init__(self, request: RequestId, asked_s: float) -> None:
        self._request, self._asked_s = request, asked_s
        self._where: Wanted = {}
        self._first_s = 0.0

    @property
    def hosts(self) -> tuple[PeerId, ...]:
        """Where it claims."""
        return tuple(self._where)

    def due(self, now: float) -> bool:
        """Whether it has waited long enough to claim, and has not had its time."""
        if now < self._asked_s + CLAIM_AFTER_S:
            return False
        if not self._first_s or now >= self._first_s + 2 * CLAIM_MOST_S:
            self._first_s = now
        return now < self._first_s + CLAIM_MOST_S

    def claim(self, order: SignedOrder, wanted: Wanted) -> list[Effect]:
        """Claims that, and nothing else any more."""
        said: Wanted = dict.fromkeys(self._where, ()) | wanted
        self._where = wanted
        return [Send(peer, RoomClaim(order, names), self._request) for peer, names in said.items()]

    def end(self, order: SignedOrder | None, carriers: Iterable[PeerId] = ()) -> list[Effect]:
        """Lets go of it all; hosts that carry it know."""
        if order is None:
            return []
        for peer in carriers:
            self._where.pop(peer, None)
        return self.claim(order, {})


def wanted(
    spec: GridSpec, members: tuple[Workspace, ...], offers: tuple[Offer, ...], dice: Dice
) -> Wanted:
    """Which workspaces to claim room for, and where. Nothing of them may be held."""
    rules = rules_of(spec, offers)
    seating = Seating(Table(members, offers, rules, {}))
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
    """Whether what a host lacks may come."""
    no = offer.refused
    return no is None or no.constraint in (Constraint.OLDER, *QUANTITIES)
