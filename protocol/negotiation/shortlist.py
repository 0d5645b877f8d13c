"""Whom to ask first: somewhat more hosts than a grid needs, by lot, from what adverts say.

Adverts are a second old, and under load that is long: what they show as free may be taken. So they only say
whom to ask; what is chosen rests on quotes. The grid is seated on the adverts as if it were half as large
again, by the same rules and the same lot as a choice (seating.py), and the hosts it would sit on are asked.
When their quotes are not enough the others are asked as well, those with room first: nobody is told "no
room" by adverts alone.

So what a request costs follows from its size and not from the federation's: a gang of 16 asks 20 to 30
hosts, of 64 or of 1,000.
"""

from collections.abc import Sequence

import msgspec

from protocol.capacity.advert import Advert
from protocol.grid.model import GridSpec, Workspace
from protocol.placement.fit import Offer, quantum_of, rules_of
from protocol.placement.seating import Seating, Table
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
    facts = advert.facts
    return Offer(
        peer=peer,
        host=name,
        site=site,
        free=advert.free,
        architecture=facts.architecture,
        underlay=facts.underlay,
        encrypts=facts.encrypts,
        images=tuple(image.digest for image in advert.images),
        runs_by=facts.runs_by,
        labels=facts.labels,
        coordinate=advert.here if known(advert.here) else None,
        suspends=facts.suspends,
    )


def shortlist(
    candidates: tuple[Candidate, ...],
    spec: GridSpec,
    members: tuple[Workspace, ...],
    dice: Dice,
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """Who is asked first, and who if those are not enough. As many as may be first, where adverts cannot
    say who is better: for rules about pairs of hosts, and for later times."""
    unknown = [c for c in candidates if c.told is None]
    roomy, full = _by_room(candidates, members)
    lease = spec.lease
    rules = rules_of(spec, [c.told for c in roomy if c.told is not None])
    by_pairs = rules.pairs and not (rules.strict_spread and rules.spread == "host")
    if len(candidates) <= ASKED_AT_LEAST or by_pairs or lease.start_s or lease.before_s:
        return (*unknown, *_some(roomy, full, dice)), ()
    more = enlarged(members)
    plain = not (rules.prefer or any(w.preferred_labels or w.near_image.name for w in members))
    drawn = roomy
    if plain:
        drawn = _sample(roomy, _DRAWN * max(ASKED_AT_LEAST, len(more)), dice)
    table = Table(more, tuple(c.told for c in drawn if c.told is not None), rules, {})
    seating = Seating(table)
    for kind in table.kinds:
        seating.fill(kind, kind.names, dice)
    first = {drawn[host].peer: drawn[host] for host in dict.fromkeys(seating.seats.values())}
    rest = [c for c in roomy if c.peer not in first]
    return (*unknown, *first.values()), _some(rest, full, dice)


def enlarged(members: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
    """A grid half as large again, and ASKED_AT_LEAST workspaces more, in the clusters' proportions."""
    more = len(members) // 2 + ASKED_AT_LEAST
    extra = (members[index * len(members) // more] for index in range(more))
    named = (msgspec.structs.replace(w, name=f"{w.name}+{i}") for i, w in enumerate(extra))
    return (*members, *named)


def _by_room(
    candidates: tuple[Candidate, ...], members: tuple[Workspace, ...]
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


def _some(
    roomy: Sequence[Candidate], full: Sequence[Candidate], dice: Dice
) -> tuple[Candidate, ...]:
    """At most ASKED_MORE, those with room before those without."""
    found = _sample(roomy, ASKED_MORE, dice)
    return (*found, *_sample(full, ASKED_MORE - len(found), dice))


def _sample(those: Sequence[Candidate], most: int, dice: Dice) -> list[Candidate]:
    return list(those) if len(those) <= most else dice.sample(those, most)
