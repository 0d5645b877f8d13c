"""The record of a grid after an order was applied to it: a requester drafts it, and judges compare it.

All of it follows from the record before, the order, and what hosts granted. So who proposes it can choose
hosts for what is added, and nothing else.
"""

from collections.abc import Mapping

import msgspec

from protocol.grid.apply import places_after, places_of
from protocol.grid.expand import cluster_of, names
from protocol.grid.grant import SignedGrant
from protocol.grid.history import line_of, lines_since, said_of
from protocol.grid.model import GridSpec
from protocol.grid.record import (
    Applied,
    ApplyTerms,
    Assignment,
    GridRecord,
    HostRef,
    Places,
    Word,
    absent,
    terminated,
    vni_of,
)
from protocol.grid.volumes import deletes, volumes_after, volumes_at
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import PAST_MOST
from protocol.trust.order import Action, SignedOrder, read_order


class Added(msgspec.Struct, frozen=True):
    """What the requester of a change chose, and what hosts said to it."""

    attempt: GridId
    """The attempt at it (`grid_id` in record.py)."""
    placed: Mapping[str, PeerId] = {}
    """Where what is added goes, by workspace."""
    hosts: tuple[HostRef, ...] = ()
    """Hosts that carried nothing of the grid before."""
    grants: tuple[SignedGrant, ...] = ()
    """What every host that was asked granted: all that it carries then."""
    words: tuple[Word, ...] = ()
    """If room made it: that a host of the grid asked for each of them."""


def applied_to(
    before: GridRecord, old: GridSpec, order: SignedOrder, terms: ApplyTerms, added: Added
) -> GridRecord:
    """The next epoch of a grid that is up and as `old` says. `terms` are the body of `order`.

    Raises ValueError where a network is full, and Malformed or Untrusted if an order or a grant in the record
    cannot be read.
    """
    placed = placed_after(before, terms, added.placed)
    volumes = volumes_after(volumes_at(before, old), terms.spec, placed)
    needed = dict.fromkeys((*placed.values(), *(kept.host for kept in volumes)))
    refs = {host.peer: host for host in (*added.hosts, *before.hosts)}
    were = [host.peer for host in before.hosts if host.peer in needed]
    peers = tuple(dict.fromkeys((*were, *needed)))
    grants = {grant.host: grant for grant in (*before.grants, *added.grants)}
    changes = tuple(filter(stays, before.changes))
    past = before.applied.past if before.applied is not None else ()
    past += before.scaled.past if before.scaled is not None else ()
    line = line_of(order, before.epoch + 1, said_of(before, old, terms))
    return msgspec.structs.replace(
        before,
        epoch=before.epoch + 1,
        hosts=tuple(refs[peer] for peer in peers if peer in refs),
        assignments=tuple(Assignment(name, host) for name, host in placed.items()),
        changes=changes,
        vnis=vnis_after(before, terms.spec, added.attempt),
        grants=tuple(grants[peer] for peer in peers if peer in grants),
        became=Applied(
            order=order,
            attempt=added.attempt,
            before=before.standing if before.applied is not None else None,
            places=places_after(places_in(before, old), terms.spec),
            volumes=volumes,
            folded=len(changes),
            past=(*past, *lines_since(before), line)[-PAST_MOST:],
            missing=missing_in(before, old) or msgspec.UNSET,
        ),
        room=msgspec.UNSET,
    )


def vnis_after(before: GridRecord, spec: GridSpec, attempt: GridId) -> tuple[tuple[str, int], ...]:
    """The VXLAN ids of the next epoch: networks that stay keep theirs, new ones have the attempt's."""
    had = dict(before.vnis)
    names = (network.name for network in spec.networks)
    return tuple((name, had.get(name) or vni_of(attempt, name)) for name in names)


def missing_in(record: GridRecord, spec: GridSpec) -> tuple[str, ...]:
    """The workspaces of a grid's standing order, which `spec` is of, that are not there. Of an elastic cluster
    those that were ordered gone, or left out: others only lack room."""
    there, out = record.placed, {*terminated(record), *absent(record.standing)}
    elastic = {cluster.name for cluster in spec.clusters if cluster.elastic}
    return tuple(
        name
        for name in names(spec)
        if name not in there and (name in out or cluster_of(name) not in elastic)
    )


def places_in(record: GridRecord, spec: GridSpec) -> tuple[Places, ...]:
    """Who has which place on which network. `spec` is of the record's standing order."""
    return record.applied.places if record.applied is not None else places_of(spec)


def placed_after(
    before: GridRecord, terms: ApplyTerms, added: Mapping[str, PeerId]
) -> dict[str, PeerId]:
    """Where each workspace is once it is applied, in file order: what stays does not move."""
    were = before.placed
    absent = frozenset(terms.without)
    there = [name for name in names(terms.spec) if name not in absent]
    return {n: were.get(n) or added[n] for n in there if n in were or n in added}


def stays(signed: SignedOrder) -> bool:
    """Whether an order from before stays in the record: the lease follows from it, or it ended volumes."""
    return read_order(signed).action is Action.LEASE or bool(deletes(signed))
