"""Whom to ask first: somewhat more hosts than a grid needs, by lot, from what adverts say.

Adverts are a second old, and under load that is long: what they show as free may be taken. So they only say
whom to ask; what is chosen rests on quotes. The grid is seated on the adverts as if it were half as large
again, by the same rules and the same lot as a choice (seating.py), and the hosts it would sit on are asked.
When their quotes are not enough the others are asked as well, those with room first: nobody is told "no
room" by adverts alone.

So what a request costs follows from its size and not from the federation's: a gang of 16 asks 20 to 30
hosts, of 64 or of 1,000.
"""

from collections.abc import Container, Mapping, Sequence

import msgspec

from protocol.capacity.advert import Advert
from protocol.capacity.quantum import Quantum
from protocol.grid.model import GridSpec, Workspace
from protocol.placement.fit import Offer, Rules, quantum_of, rules_of, unsuitable
from protocol.placement.packing import Instance, Packing
from protocol.terms.coordinate import known
from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId
from protocol.terms.limits import ASKED_AT_LEAST, ASKED_MORE

_DRAWN = 4
"""Of many hosts so many times what is needed are drawn before they are ranked: ranking 1,000 takes 15 ms."""


class Candidate(msgspec.Struct, frozen=True):
    """A live host that may be asked."""

    peer: PeerId
    name: str
    site: str
    told: Offer | None = None
    """What its advert says of it; None if that is not known: then it is always asked."""


def told_by(peer: PeerId, name: str, site: str, advert: Advert) -> Offer:
    """An advert as an offer."""
    return Offer(
        peer=peer,
        host=name,
        site=site,
        facts=advert.facts,
        free=advert.free,
        images=tuple(image.digest for image in advert.images),
        coordinate=advert.here if known(advert.here) else None,
    )


def shortlist(
    candidates: tuple[Candidate, ...],
    spec: GridSpec,
    members: tuple[Workspace, ...],
    dice: Dice,
) -> tuple[Candidate, ...]:
    """Who is asked first. As many as may be, where adverts cannot say who is better: for rules about pairs
    of hosts, and for later times."""
    rules = rules_of(spec, [c.told for c in candidates if c.told is not None])
    by_pairs = rules.pairs and not (rules.strict_spread and rules.spread == "host")
    if len(candidates) <= ASKED_AT_LEAST or by_pairs or spec.lease.start_s or spec.lease.before_s:
        return others(candidates, {}, members, dice)
    unknown = tuple(c for c in candidates if c.told is None)
    more = enlarged(members)
    most = _DRAWN * max(ASKED_AT_LEAST, len(more))
    plain = not (rules.prefer or any(w.preferred_labels or w.near_image.name for w in members))
    if plain and len(candidates) > 2 * most:
        few = _seated(_by_room(dice.sample(candidates, most), members)[0], more, rules, dice)
        if few is not None:
            return (*unknown, *few)
    roomy, _ = _by_room(candidates, members)
    drawn = _sample(roomy, most, dice) if plain else roomy
    return (*unknown, *(_seated(drawn, more, rules, dice, all_of_it=False) or ()))


def others(
    candidates: tuple[Candidate, ...],
    asked: Container[PeerId],
    members: tuple[Workspace, ...],
    dice: Dice,
) -> tuple[Candidate, ...]:
    """Who is asked when those are not enough: at most ASKED_MORE, those with room before those without."""
    rest = tuple(c for c in candidates if c.peer not in asked)
    roomy, full = _by_room(rest, members)
    found = _sample(roomy, ASKED_MORE, dice)
    unknown = tuple(c for c in rest if c.told is None)
    return (*unknown, *found, *_sample(full, ASKED_MORE - len(found), dice))


def possible(
    spec: GridSpec,
    members: tuple[Workspace, ...],
    offers: Sequence[Offer],
    kept: Mapping[PeerId, Quantum],
) -> bool:
    """Whether all of a grid may find room where hosts have told so much, besides what they keep for it. If not,
    it is in vain to ask them. Each cluster is counted for itself, whoever shares a host with whom."""
    rules, nothing = rules_of(spec), Quantum()
    for cluster in spec.clusters:
        one = next(w for w in members if w.cluster == cluster.name)
        size, left = quantum_of(one), cluster.least
        for offer in offers:
            free = offer.free + kept.get(offer.peer, nothing)
            if left > 0 and size.fits(free) and not unsuitable(one, offer, rules):
                left -= size.times_in(free)
        if left > 0:
            return False
    return True


def enlarged(members: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
    """A grid half as large again, and ASKED_AT_LEAST workspaces more, in the clusters' proportions."""
    more = len(members) // 2 + ASKED_AT_LEAST
    extra = (members[index * len(members) // more] for index in range(more))
    named = (msgspec.structs.replace(w, name=f"{w.name}+{i}") for i, w in enumerate(extra))
    return (*members, *named)


def _seated(
    hosts: Sequence[Candidate],
    more: tuple[Workspace, ...],
    rules: Rules,
    dice: Dice,
    all_of_it: bool = True,
) -> list[Candidate] | None:
    """Where an enlarged grid would sit; None if not all of it finds a seat and all is wanted."""
    seating = Packing(Instance(more, tuple(c.told for c in hosts if c.told is not None), rules, {}))
    left = [seating.fill(kind, kind.names, dice) for kind in seating.table.kinds]
    if all_of_it and any(left):
        return None
    return [hosts[host] for host in dict.fromkeys(seating.seats.values())]


def _by_room(
    candidates: Sequence[Candidate], members: tuple[Workspace, ...]
) -> tuple[list[Candidate], list[Candidate]]:
    """Of those that told: hosts with room for any member, and hosts without."""
    sizes = list(dict.fromkeys(quantum_of(w) for w in members))
    roomy: list[Candidate] = []
    full: list[Candidate] = []
    for candidate in candidates:
        told = candidate.told
        if told is not None:
            fits = any(size.fits(told.free) for size in sizes)
            (roomy if fits else full).append(candidate)
    return roomy, full


def _sample(those: Sequence[Candidate], most: int, dice: Dice) -> list[Candidate]:
    return list(those) if len(those) <= most else dice.sample(those, most)
