"""Which hosts to ask first: somewhat more than a grid needs, drawn by lot, from what adverts say.

Adverts are a second old. Under load that is long: what they show as free may be taken. So they only say which
hosts to ask; the choice rests on quotes. The grid is seated on the adverts as if it were half as large again,
by the same rules and the same lot as a choice (placement/packing.py), and the hosts it would sit on are
asked. When their quotes are not enough, the other hosts are asked as well, those with room first. Nobody is
told "no room" by adverts alone.

So the cost of a request follows from its size, and not from the federation's: a gang of 16 asks 20 to 30 hosts,
of 64 or of 1,000.
"""

from collections.abc import Container, Mapping, Sequence
from functools import reduce

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
from protocol.terms.refusal import Refusal

_DRAWN = 4
"""Of many hosts, this many times the number needed are drawn before they are ranked: to rank 1,000 takes 15 ms.
"""


class Candidate(msgspec.Struct, frozen=True):
    """A live host that may be asked."""

    peer: PeerId
    name: str
    site: str
    told: Offer | None = None
    """What its advert says of it. If that is None, not known, the host is always asked."""
    refused: Refusal | None = None
    """Why it would refuse whatever it is asked, as its site's policy says."""


def told_by(peer: PeerId, name: str, site: str, advert: Advert) -> Offer:
    """An advert, as an offer."""
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
    """The hosts that are asked first.

    These are as many as may be asked, where adverts cannot say which are better: if the grid has rules about
    pairs of hosts, or begins later.
    """
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
    """The hosts that are asked when those are not enough: at most ASKED_MORE, those with room first."""
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
    """Whether all of a grid may find room in what hosts have told, and in what they keep for it.

    If not, it is in vain to ask them. Each cluster is counted for itself, as if it had the hosts alone.
    """
    rules, nothing = rules_of(spec), Quantum()
    for cluster in spec.clusters:
        mine = [w for w in members if w.cluster == cluster.name]
        one, left = mine[0], cluster.least
        size = reduce(Quantum.least, map(quantum_of, mine))
        for offer in offers:
            free = offer.free + kept.get(offer.peer, nothing)
            if left > 0 and size.fits(free) and not unsuitable(one, offer, rules):
                left -= size.times_in(free)
        if left > 0:
            return False
    return True


def enlarged(members: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
    """A grid half as large again, with ASKED_AT_LEAST workspaces more, in the proportions of its clusters."""
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
    """The hosts that told what they have: those with room for any member, and those without."""
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
