"""Workspaces of a change that can be at one host only: those that are there, and those whose volume is there.

Such a host must have room for them, or for what they grow by. One that lacks it, or does not answer, stops the
change: nothing is moved for it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from protocol.grid.expand import cluster_of, workspaces
from protocol.grid.model import GridSpec, Workspace
from protocol.placement.choose import Choice, Unplaced, certain
from protocol.placement.counter import Fewer, Later
from protocol.placement.fit import Offer, conflict, lacking, rules_of, unconnected
from protocol.requesting.change import Change
from protocol.requesting.refused_change import said_lines
from protocol.terms.ids import PeerId
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal

_STARTS = 16
"""How many moments are tried at most at which something ends somewhere."""


class Pinned:
    """Those of one change that are not held yet, by what their hosts offer."""

    def __init__(self, change: Change, held: dict[str, PeerId], offers: tuple[Offer, ...]) -> None:
        """`held` has what is promised, which the offers' free room does not include any more."""
        by_peer = {offer.peer: offer for offer in offers}
        self.refused: dict[str, Refusal] = {}
        """Why those that do not fit where they are do not."""
        for name, peer in change.fixed.items():
            if name in held:
                continue
            offer = by_peer.get(peer)
            if offer is None:
                silent = Refusal(Constraint.SILENT, change.called(peer), detail="no answer in time")
                self.refused[name] = silent
                continue
            short = lacking(change.size(name), offer, offer.free)
            short += ill_connected(change, name, offer, offers)
            if short or offer.refused is not None:
                self.refused[name] = offer.refused if offer.refused is not None else short[-1]
                continue
            free = offer.free - change.size(name)
            by_peer[peer] = msgspec.structs.replace(offer, free=free)
        self.offers = tuple(by_peer.values())
        """The offers, less what they grow by."""

    def choice(self, members: tuple[Workspace, ...], held: dict[str, PeerId]) -> Choice:
        """The choice where some of them do not fit: nothing is placed."""
        unplaced = tuple(
            Unplaced(w, (self.refused[w.name],)) for w in members if w.name in self.refused
        )
        return Choice(dict(held), unplaced, enough=False)


def ill_connected(
    change: Change, name: str, offer: Offer, offers: tuple[Offer, ...]
) -> list[Refusal]:
    """Why a host cannot have it on the further networks that it is to be on, beside the grid's other hosts."""
    if name not in change.changed:
        return []
    was, becomes = change.was[name], change.becomes[name]
    if set(becomes.networks) <= set(was.networks) and becomes.expose == was.expose:
        return []
    rules = rules_of(change.new, offers)
    found = unconnected(becomes, offer, rules)
    there = {*change.stays.values(), *change.fixed.values()}
    for other in offers:
        constraint = conflict(offer, other, rules) if other.peer in there else None
        if constraint in (Constraint.ENCRYPTION, Constraint.UNDERLAY):
            why = f"its traffic with {other.host} could not be carried as its networks ask for it"
            found.append(Refusal(constraint, offer.host, detail=why))
    return found


def stuck_lines(refusals: Mapping[str, Refusal], would: Sequence[str] = ()) -> list[str]:
    """Lines for people about workspaces that cannot be changed where they are, and what `would` work."""
    lines, works = [], list[str]()
    for workspace, refusal in refusals.items():
        why, *said = said_lines(refusal)
        if refusal.constraint in QUANTITIES:
            asked, free = refusal.amount(refusal.asked), refusal.amount(refusal.available)
            why = f"it needs {asked} more {refusal.what}, and {free} are free there{refusal.others}"
        lines.append(f"cannot change {workspace} on {refusal.host}: {why}")
        works += said
    silent = [r.host for r in refusals.values() if r.constraint is Constraint.SILENT]
    if silent:
        again = f"the same again when {silent[0]} answers; or without that part of the change"
        works = [f"  would work: {again}"]
    elif not works:
        works = [f"  would work: {each}" for each in would]
    less = "  would work: less of it, or the same again when there is more room there"
    return [*lines, *(dict.fromkeys(works) or [less])]


def whole(spec: GridSpec) -> GridSpec:
    """The grid, of which nothing may be left out: a change is made whole or not at all."""
    clusters = tuple(msgspec.structs.replace(c, minimum=None) for c in spec.clusters)
    return msgspec.structs.replace(spec, clusters=clusters)


def later(
    change: Change,
    members: tuple[Workspace, ...],
    offers: Iterable[tuple[float, tuple[Offer, ...]]],
    within_s: float,
) -> tuple[Later, ...]:
    """When all of a change could be made, as its hosts say now: once other leases there have ended.

    `offers` says what they offer in so many seconds, soonest first. It is looked `within_s` ahead: what is free
    when the grid's own lease has ended is of no use to it.
    """
    for in_s, then in islice(offers, _STARTS):
        if in_s >= within_s:
            break
        pinned = Pinned(change, {}, then)
        rules = rules_of(whole(change.new), pinned.offers)
        seated = {**change.fixed, **change.stays}
        if not pinned.refused and certain(members, pinned.offers, rules, seated).enough:
            return (Later(in_s),)
    return ()


def fewer(change: Change, choice: Choice, offers: tuple[Offer, ...]) -> tuple[Fewer, ...]:
    """How many workspaces of its clusters a change could have now, if it is more than there are."""
    seated = {**change.fixed, **change.stays}
    members = tuple(w for w in workspaces(change.new) if w.name in choice.placed)
    rules = rules_of(whole(change.new), offers)
    if len(members) <= len(seated) or certain(members, offers, rules, seated).unplaced:
        return ()
    counts = Counter(w.cluster for w in members)
    asked = Counter(cluster_of(n) for n in (*seated, *change.delta.added))
    names = [c.name for c in change.new.clusters]
    less = tuple((name, counts[name]) for name in names if counts[name] < asked[name])
    return (Fewer(less),) if less else ()
