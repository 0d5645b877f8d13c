"""This host's part of a grid, complete: all that the shell needs to bring it about, and nothing else."""

from math import inf

import msgspec

from protocol.contract.ordered import OrderedGrid
from protocol.contract.told import Notices
from protocol.grid.addresses import Card
from protocol.grid.attached import Attached
from protocol.grid.exposed import ExposedPort
from protocol.grid.lifecycle import Power, Wanted, Word
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import GridRecord
from protocol.grid.stopping import is_cut_off
from protocol.grid.tunnel import TunnelEnd
from protocol.hosting.elsewhere import elsewhere
from protocol.hosting.guest_words import word_of
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.terms.ids import GridId, PeerId


class PartOf(msgspec.Struct, frozen=True):
    """One workspace that this host is to make something of, or to clear away."""

    workspace: Workspace
    wanted: Wanted
    waits_for: tuple[str, ...]
    """Workspaces that must be up before it is started, because they provide what it requires."""
    not_yet: str = ""
    """Why nothing is to be made of it yet, nor unmade; empty if its time has come."""
    word: Word | None = None
    """What its guest said last in this start."""
    stop_within_s: int = 0
    """How long its guest has to shut down, once it is to end. 0: it is not asked."""
    elsewhere: str = ""
    """Why it is not started here yet, if another host may still run it."""
    gives_back: bool = False
    """Whether its machine may have more memory than it is to have, so that what it has is to be told."""


class Part(msgspec.Struct, frozen=True):
    """The record, its specification, and this host's workspaces in starting order."""

    record: GridRecord
    spec: GridSpec
    cards: tuple[Card, ...]
    """Of the whole grid: where each workspace is on each of its networks."""
    mine: tuple[PartOf, ...]
    keeps: tuple[str, ...]
    """The volumes that may not be deleted here, by name, whoever uses them."""
    ends: tuple[tuple[PeerId, TunnelEnd], ...] = ()
    """Where each other host takes the traffic of its networks, as it told last; without those that told
    nothing yet."""
    attached: tuple[Attached, ...] = ()
    """Hosts that are on its networks though they carry nothing of it."""
    exposes: tuple[ExposedPort, ...] = ()
    """The ports of this host that are to lead to its workspaces."""
    out: tuple[PeerId, ...] = ()
    """Other hosts of the record with which nothing is exchanged any more: a certificate was revoked, theirs or
    this host's own."""
    takes: tuple[tuple[PeerId, int], ...] = ()
    """The largest packet of guests that gets to other hosts, where that is less than both said."""


def part_of(leases: Leases, notices: Notices, grid: GridId, now: float = inf) -> Part | None:
    """What this host is to make of a grid now; None if it carries nothing of it (any more).

    Without a time nothing waits for another host.
    """
    row = leases.row(grid)
    if row is None:
        return None
    ordered = leases.ordered(row)
    spec = ordered.spec
    wanted = {w.workspace: w for w in leases.wanted(grid)}
    members = leases.members(row)
    # One that is left out of its cluster is among both.
    names = dict.fromkeys(w.name for w in (*ordered.workspaces, *row.leaving))
    not_yet = leases.not_yet(grid)
    gives_back = dict(row.giving_back)
    away = elsewhere(row, members, notices, now)
    waits = waits_of(row.record, ordered, notices)
    mine = tuple(
        PartOf(
            _as_built(members[name], wanted[name]),
            wanted[name],
            waits.get(members[name].cluster, ()),
            not_yet if wanted[name].power is not Power.GONE else "",
            word_of(row, wanted[name]),
            _stop_within_s(row, members[name], wanted[name]),
            away.get(name, ""),
            name in gives_back,
        )
        for name in names
        if name in wanted
    )
    ends = tuple((told.peer, told.end) for told in row.ends)
    cards = leases.cards(row)
    # A change may have given the address to a workspace. The host is told when it asks again.
    had = {(card.network, card.address) for card in cards}
    attached = tuple(a for a in row.attached if (a.network, a.address) not in had)
    keeps = leases.keeps(row)
    return Part(row.record, spec, cards, mine, keeps, ends, attached, row.exposes)


def _as_built(workspace: Workspace, wanted: Wanted) -> Workspace:
    """A workspace with the image that its root disk is made from, since a rebuild may have named another."""
    if not wanted.image.name:
        return workspace
    return msgspec.structs.replace(workspace, image=wanted.image)


def _stop_within_s(row: Lease, workspace: Workspace, wanted: Wanted) -> int:
    """How long a guest has to shut down. One that is started anew was ended by the order that says so."""
    match wanted.power:
        case Power.GONE | Power.OFF:
            at_once = is_cut_off(row.record, workspace.name, row.halted)
        case Power.RUNNING | Power.PAUSED | Power.SUSPENDED:
            at_once = wanted.at_once
    return 0 if at_once else workspace.stop_within_s


def waits_of(
    record: GridRecord, ordered: OrderedGrid, notices: Notices
) -> dict[str, tuple[str, ...]]:
    """For each cluster that waits for others: the workspaces that it still waits for."""
    if not ordered.waits:
        return {}
    there = {assignment.workspace: None for assignment in record.assignments}
    up: dict[str, None] = {}
    for heard in notices.about(record.id).values():
        up |= {status.workspace: None for status in heard.notice.mine if status.settled}
    return {
        cluster: tuple(name for name in needed if name in there and name not in up)
        for cluster, needed in ordered.waits.items()
    }
