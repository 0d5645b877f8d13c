"""A proposal: where a grid would go and what its hosts offered, kept so that exactly that can be asked for.

Rules. A proposal binds no host. Whether it still stands is found out by asking when it is taken up (validation
before the write, as in optimistic concurrency control: Kung and Robinson 1981). What counts is whether the
placement can be had: a host with less room, but still enough, has not moved. What cannot be had is said host by
host.
"""

import msgspec

from protocol.contract.messages import HoldRelease
from protocol.grid.model import GridSpec, Workspace
from protocol.placement.fit import Offer, Rules, quantum_of, refusals
from protocol.requesting.request import Moved, Planned
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.quantities import format_cpus, format_duration, write_size
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal

TABLE = "quote"


class Proposal(msgspec.Struct, frozen=True):
    """A quote, as it is on disk."""

    id: RequestId
    spec: GridSpec
    site: str
    """The site for whose admin it was asked."""
    made_s: float
    until_s: float
    placement: tuple[Planned, ...]
    offers: tuple[Offer, ...]
    """The offers of the placement's hosts, with only those images that the grid names."""
    start_s: float = 0.0
    """When its lease would begin; 0 if that is when it is up."""
    held: str = ""
    """The grid id under which its workspaces are held; empty if they are only quoted."""
    key: str = ""
    """The register key (owner and name) of a held plan, as its hosts know it; else empty."""
    change: GridId = GridId("")
    """The grid that is up and would become that; empty for a new one. `placement` is then of what is added."""
    epoch: int = 0
    """The epoch of that grid for which it is good."""
    without: tuple[str, ...] = ()
    """Workspaces of `spec` that would not be there."""
    grown: tuple[Planned, ...] = ()
    """Of a change: what is changed where it is."""

    @property
    def rows(self) -> tuple[Planned, ...]:
        """All that hosts are asked for."""
        return (*self.placement, *self.grown)

    @property
    def placed(self) -> dict[str, PeerId]:
        """The same, workspace name to host."""
        return {row.workspace: row.peer for row in self.rows}


class ProposalNotSaved(msgspec.Struct, frozen=True):
    """The store refused to keep a quote, so there is none."""

    request: RequestId
    why: str = "this peer's store has no room to keep it"


def proposed(offers: tuple[Offer, ...], spec: GridSpec) -> tuple[Offer, ...]:
    """The offers as they are kept."""
    named = [c.image.digest for c in spec.clusters] + [c.near_image.digest for c in spec.clusters]
    return tuple(
        msgspec.structs.replace(offer, images=tuple(i for i in offer.images if i in named))
        for offer in offers
    )


def release(proposal: Proposal) -> list[Effect]:
    """Lets the holds of a plan go."""
    names: dict[PeerId, list[str]] = {}
    for name, peer in proposal.placed.items() if proposal.held else ():
        names.setdefault(peer, []).append(name)
    grid = GridId(proposal.held)
    return [Send(p, HoldRelease(grid, tuple(n)), proposal.id) for p, n in names.items()]


def moved(
    proposal: Proposal,
    workspaces: tuple[Workspace, ...],
    offers: dict[PeerId, Offer],
    rules: Rules,
    gone: dict[PeerId, str],
    beside: tuple[Offer, ...] = (),
) -> tuple[Moved, ...]:
    """What stands against the proposal now: host by host, all that was to go there and the first reason.

    `offers` are what hosts offer now. `gone` says of hosts without an offer why there is none. `beside` are the
    hosts that carry something of the grid already.
    """
    placed, then = proposal.placed, {offer.peer: offer for offer in proposal.offers}
    room = {peer: offer.free for peer, offer in offers.items()}
    company: list[Offer] = list(beside)
    why: dict[PeerId, tuple[Constraint, str]] = {}
    for workspace in workspaces:
        peer = placed.get(workspace.name)
        if peer is None or peer in why:
            continue
        if peer not in offers:
            why[peer] = (Constraint.SILENT, gone.get(peer, "gave no answer in time"))
            continue
        found = refusals(workspace, offers[peer], room[peer], rules, company)
        if found:
            mine = [w for w in workspaces if placed.get(w.name) == peer]
            detail = _words(found[-1], workspace, len(mine), then[peer], offers[peer])
            why[peer] = (found[-1].constraint, detail)
            continue
        room[peer] = room[peer] - quantum_of(workspace)
        company.append(offers[peer])
    return tuple(moved_at(proposal, peer, *reason) for peer, reason in why.items())


def moved_at(proposal: Proposal, peer: PeerId, constraint: Constraint, detail: str) -> Moved:
    """The same for one host, with a reason that is known already."""
    rows = [row for row in proposal.rows if row.peer == peer]
    names = tuple(row.workspace for row in rows)
    return Moved(rows[0].host, rows[0].site, names, constraint, detail)


def refused_by(refusal: Refusal) -> str:
    """The reason of a host that would not hold its part, for people."""
    if refusal.constraint is Constraint.SILENT:
        return "gave no answer in time"
    if refusal.constraint not in QUANTITIES:
        return f"refuses: {refusal.detail}"
    asked, free = refusal.amount(refusal.asked), refusal.amount(refusal.available)
    return f"lacks {refusal.what} now: asked {asked}, free {free}{refusal.others}"


def moved_lines(proposal: Proposal, found: tuple[Moved, ...], now: float) -> list[str]:
    """Lines for people: what was asked, and what stopped it."""
    ago = format_duration(max(0, round(now - proposal.made_s)))
    verb = "change" if proposal.change else "make"
    head = (
        f"cannot {verb} {proposal.spec.name} as quoted {ago} ago ({proposal.id}): the world moved"
    )
    return [head, *(f"  {one} ({_listed(one.workspaces)})" for one in found)]


def placement_words(placement: tuple[Planned, ...]) -> str:
    """A placement for people: `head on c-1, worker-1, worker-2 on c-2`."""
    by_host: dict[str, list[str]] = {}
    for row in placement:
        by_host.setdefault(row.host, []).append(row.workspace)
    return ", ".join(f"{_listed(tuple(names))} on {host}" for host, names in by_host.items())


def _words(refusal: Refusal, workspace: Workspace, many: int, then: Offer, now: Offer) -> str:
    """A refusal for people; if it is about room, with how much of it was asked for."""
    if refusal.constraint not in QUANTITIES:
        return f"has changed: {refusal.detail}"
    shape = quantum_of(workspace)
    before, left = shape.times_in(then.free), shape.times_in(now.free)
    if left >= before:
        return refused_by(refusal)
    name = f"{format_cpus(shape.cpus_milli)}cpu/{write_size(shape.memory_bytes)}"
    fit = "1 fits" if left == 1 else f"{left} fit"
    were = "1 was" if many == 1 else f"{many} were"
    return f"has {before - left} fewer {name} now: {fit}, {were} to go there"


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
