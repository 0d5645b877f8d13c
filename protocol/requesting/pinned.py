"""Workspaces of a change that can be at one host only: those that are there, and those whose volume is there.

Such a host must have room for them, or for what they grow by. One that lacks it, or does not answer, stops the
change: nothing is moved for it.
"""

import msgspec

from protocol.grid.model import Workspace
from protocol.placement.choose import Choice, Unplaced
from protocol.placement.fit import Offer, lacking
from protocol.requesting.change import Change
from protocol.terms.ids import PeerId
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal


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
            short = lacking(change.size(name), offer.host, offer.free)
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


def stuck_lines(name: str, refusals: dict[str, Refusal]) -> list[str]:
    """Lines for people about workspaces of the grid `name` that cannot be changed where they are."""
    lines = []
    for workspace, refusal in refusals.items():
        why = refusal.detail
        if refusal.constraint in QUANTITIES:
            asked, free = refusal.amount(refusal.asked), refusal.amount(refusal.available)
            why = f"it needs {asked} more {refusal.what}, and {free} are free there"
        lines.append(f"cannot change {workspace} on {refusal.host}: {why}")
    silent = [r.host for r in refusals.values() if r.constraint is Constraint.SILENT]
    first = f"{name}/{next(iter(refusals), '')}"
    works = f"less; or `overlayctl terminate {first}` and `up` again, which makes it elsewhere"
    if silent:
        works = f"the same again when {silent[0]} answers; or without that part of the change"
    return [*lines, f"  would work: {works}"]
