"""Which of the hosts that fit: among the best, weighted at random.

Requesters that all rank the same way collide: in a simulation of 64 hosts at 80 % load with adverts
one second old, best fit succeeded 43 % of the time, weighted at random 100 % (negotiation.md).

Order: largest workspaces first, as every packing heuristic does. Spreading first takes the sites (or
hosts) that carry fewest members so far, and only then weighs. A host that has the image weighs double.
"""

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.grid.model import Workspace
from protocol.placement.fit import Offer, Rules, quantum_of, refusals
from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId
from protocol.terms.refusal import Constraint, Refusal


class Unplaced(msgspec.Struct, frozen=True):
    """A workspace no host carries, and each host's reasons."""

    workspace: Workspace
    refusals: tuple[Refusal, ...]


class Choice(msgspec.Struct, frozen=True):
    """Where everything goes, and what goes nowhere."""

    placed: dict[str, PeerId]
    """Workspace name to host."""
    unplaced: tuple[Unplaced, ...] = ()


def choose(
    workspaces: tuple[Workspace, ...],
    offers: tuple[Offer, ...],
    rules: Rules,
    kept: dict[str, PeerId],
    dice: Dice,
) -> Choice:
    """Places every workspace that is not in `kept` (held already, and out of the offers' free room).

    With `one_site` it is tried among hosts that encrypt, wherever they are, then at one site after another.
    """
    if not rules.one_site:
        return _choose(workspaces, offers, rules, kept, dice)
    private = tuple(offer for offer in offers if offer.encrypts)
    across = _choose(workspaces, private, rules, kept, dice)
    homes = list(dict.fromkeys(o.site for o in offers if o.peer in kept.values()))
    if not across.unplaced and all(p in [o.peer for o in private] for p in kept.values()):
        return across
    if len(homes) > 1:
        return across
    sites = homes or list(dict.fromkeys(offer.site for offer in offers))
    best: Choice | None = None
    for site in dice.sample(sites, len(sites)):
        here = tuple(offer for offer in offers if offer.site == site)
        choice = _choose(workspaces, here, rules, kept, dice)
        if not choice.unplaced:
            return choice
        if best is None or len(choice.unplaced) < len(best.unplaced):
            best = choice
    if best is None:
        return _choose(workspaces, offers, rules, kept, dice)
    return _say_one_site(best, offers)


def _choose(
    workspaces: tuple[Workspace, ...],
    offers: tuple[Offer, ...],
    rules: Rules,
    kept: dict[str, PeerId],
    dice: Dice,
) -> Choice:
    free = {offer.peer: offer.free for offer in offers}
    site_of = {offer.peer: offer.site for offer in offers}
    members: dict[str, int] = {}
    for peer in kept.values():
        _count(members, peer, site_of, rules)
    placed, unplaced = dict(kept), []
    todo = [workspace for workspace in workspaces if workspace.name not in kept]
    todo.sort(key=lambda w: (-w.memory_bytes, -w.cpus_milli, -w.disk_bytes))
    for workspace in todo:
        fitting: list[Offer] = []
        reasons: list[Refusal] = []
        for offer in offers:
            found = refusals(workspace, offer, free[offer.peer], rules)
            if found:
                reasons.append(found[-1])
            else:
                fitting.append(offer)
        if not fitting:
            unplaced.append(Unplaced(workspace, tuple(reasons)))
            continue
        crowd = {o.peer: members.get(_group(o.peer, site_of, rules), 0) for o in fitting}
        best = [o for o in fitting if crowd[o.peer] == min(crowd.values())]
        offer = _weighted(best, [_weight(workspace, o, free[o.peer]) for o in best], dice)
        placed[workspace.name] = offer.peer
        free[offer.peer] = free[offer.peer] - quantum_of(workspace)
        _count(members, offer.peer, site_of, rules)
    return Choice(placed, tuple(unplaced))


def _group(peer: PeerId, site_of: dict[PeerId, str], rules: Rules) -> str:
    if rules.spread == "site":
        return site_of[peer]
    return peer if rules.spread == "host" else ""


def _count(members: dict[str, int], peer: PeerId, site_of: dict[PeerId, str], rules: Rules) -> None:
    if peer in site_of:
        group = _group(peer, site_of, rules)
        members[group] = members.get(group, 0) + 1


def _weight(workspace: Workspace, offer: Offer, free: Quantum) -> float:
    """More room weighs more, so that load evens out; an image that is there doubles it."""
    after = free.memory_bytes - workspace.memory_bytes
    room = 0.25 + after / max(1, free.memory_bytes)
    cached = workspace.image.digest in offer.images
    return room * (2.0 if cached else 1.0)


def _weighted(offers: list[Offer], weights: list[float], dice: Dice) -> Offer:
    mark = dice.random() * sum(weights)
    for offer, weight in zip(offers, weights, strict=True):
        mark -= weight
        if mark <= 0:
            return offer
    return offers[-1]


def _say_one_site(choice: Choice, offers: tuple[Offer, ...]) -> Choice:
    """Adds why hosts at other sites were not considered."""
    asked = {r.host for u in choice.unplaced for r in u.refusals}
    elsewhere = tuple(
        Refusal(
            Constraint.ENCRYPTION,
            offer.host,
            detail="a network of this grid would cross sites in the clear",
        )
        for offer in offers
        if offer.host not in asked
    )
    unplaced = tuple(Unplaced(u.workspace, elsewhere + u.refusals) for u in choice.unplaced)
    return Choice(choice.placed, unplaced)
