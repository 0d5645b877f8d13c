"""Elastic clusters: as large as there is room for, between `min` and `count` of their grid's standing order.

No order is needed for that, because the standing one allows it. A member comes where a host granted it, and
goes by the word of the host that carries it: each such step brings a new grant of every host of which it
changes anything (grant.py), and the word of one of the grid's hosts that it asked for that, so nobody joins a
grid that none of its hosts called. The number of its attempt is the epoch before, so a grant is good for one
epoch alone. What was terminated, or left out, does not come back by room. A host that gives up its last
member stays in the record, with a grant of nothing, until the next order: so everybody sees that this was its
own word.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import msgspec

from protocol.grid.expand import names, names_of
from protocol.grid.history import lines_since
from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import Added
from protocol.grid.record import (
    Assignment,
    GridRecord,
    Past,
    Scaled,
    Word,
    absent,
    attempt_of,
    grid_id,
    order_part,
    terminated,
)
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import ATTEMPT_MOST, PAST_CHARACTERS, PAST_MOST
from protocol.terms.ranges import shown
from protocol.trust.order import SignedOrder, order_key

ELASTIC = "elastic"
"""The action of such a change, in a grid's history."""
ROOM_CAME = "room that came"
"""Who made a grid larger."""


def missing(record: GridRecord, spec: GridSpec) -> tuple[str, ...]:
    """The members that would be there if there were room, in file order. `spec` is of the standing order."""
    there = {a.workspace for a in record.assignments}
    out = {*terminated(record), *absent(record.standing)}
    elastic = {name for cluster in spec.clusters if cluster.elastic for name in names_of(cluster)}
    return tuple(n for n in names(spec) if n in elastic and n not in there and n not in out)


def spare(record: GridRecord, spec: GridSpec) -> tuple[str, ...]:
    """The members that may go when others need room: of each elastic cluster those beyond its `min`, the
    newest first."""
    there = {a.workspace for a in record.assignments}
    out = []
    for cluster in spec.clusters:
        here = [name for name in names_of(cluster) if name in there]
        if cluster.elastic:
            out += [*reversed(here)][: max(0, len(here) - cluster.least)]
    return tuple(out)


def attempt_at(record: GridRecord, requester: str) -> GridId:
    """The id of an attempt to change a record's grid in its next epoch."""
    return grid_id(record.standing, min(record.epoch, ATTEMPT_MOST), requester)


def is_attempt_at(attempt: GridId, standing: SignedOrder, epoch: int) -> bool:
    """Whether an id is that of an attempt to change a grid that is at that epoch, by room."""
    return order_part(attempt) == order_key(standing) and attempt_of(attempt) == epoch


def rescaled(
    before: GridRecord, spec: GridSpec, added: Added, gone: Collection[str], said: Past
) -> GridRecord:
    """The next epoch of an elastic grid: with those that are added, without those that are `gone`.

    `spec` is of the standing order, `said` the line for its history, of whatever epoch. Raises Malformed or
    Untrusted if an order in the record cannot be read.
    """
    were = {name: host for name, host in before.placed.items() if name not in gone}
    placed: Mapping[str, PeerId] = {**were, **added.placed}
    known = {host.peer for host in before.hosts}
    hosts = (*before.hosts, *(host for host in added.hosts if host.peer not in known))
    grants = {grant.host: grant for grant in (*before.grants, *added.grants)}
    past, words = (
        (before.scaled.past, before.scaled.words) if before.scaled is not None else ((), ())
    )
    line = msgspec.structs.replace(said, epoch=before.epoch + 1)
    return msgspec.structs.replace(
        before,
        epoch=before.epoch + 1,
        hosts=hosts,
        assignments=tuple(Assignment(n, placed[n]) for n in names(spec) if n in placed),
        grants=tuple(grants[host.peer] for host in hosts if host.peer in grants),
        room=Scaled(
            epoch=before.epoch + 1,
            attempt=added.attempt,
            steps=before.steps_by_room + 1,
            words=_words(words, added.words),
            told=len(before.changes),
            past=(*past, *lines_since(before), line)[-PAST_MOST:],
        ),
    )


def first_call(words: Iterable[Word], host: PeerId) -> Word | None:
    """The word by which another host called that one; None if none did."""
    return next((word for word in words if word.host == host != word.by), None)


def _words(before: tuple[Word, ...], new: tuple[Word, ...]) -> tuple[Word, ...]:
    """Of each host its first call and its newest word."""
    again = {word.host for word in new}
    kept = (w for w in before if w.host not in again or w == first_call(before, w.host))
    return (*kept, *new)


def line_by_room(added: Collection[str], gone: Collection[str], by: str, at_s: float) -> Past:
    """The line of such a change in a grid's history."""
    said = [f"+{n}" for n in added] + [f"-{n}" for n in gone]
    return Past(0, ELASTIC, at_s, by, shown(", ".join(said), PAST_CHARACTERS))


class Line(Protocol):
    """A line of a grid's history, as the record or a face has it."""

    @property
    def epoch(self) -> int:
        """What the grid became by it."""

    @property
    def action(self) -> str:
        """What was ordered, or ELASTIC."""


def by_room_alone(past: Iterable[Line], epoch: int) -> bool:
    """Whether all that was changed since that epoch came by room, and by no order."""
    since = [line for line in past if line.epoch > epoch]
    return bool(since) and all(line.action == ELASTIC for line in since)
