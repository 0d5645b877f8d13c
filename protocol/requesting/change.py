"""What a grid that is up is to become, as the attempts to place what is added to it need it (attempt.py).

What stays is seated already, and nobody is asked about it. What is changed where it is has to be promised by
the host that carries it, which needs room for what it grows by. What has a volume comes back where that is.
Only the rest of what is added may go anywhere.
"""

from collections.abc import Callable, Mapping

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk
from protocol.grid.apply import Delta, Manner, delta
from protocol.grid.apply_faults import apply_faults
from protocol.grid.change_words import summary
from protocol.grid.decision import Certificate
from protocol.grid.differences import differences
from protocol.grid.elastic import ROOM_CAME, line_by_room, rescaled
from protocol.grid.expand import cluster_of, workspaces
from protocol.grid.grant import SignedGrant
from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import Added, applied_to
from protocol.grid.record import ApplyTerms, GridRecord, HostRef, Word
from protocol.grid.volumes import pinned, volumes_at
from protocol.placement.fit import quantum_of
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder


class ByRoom(msgspec.Struct, frozen=True):
    """That it is no order's change, but room that came (by_room.py)."""

    more: tuple[str, ...]
    """What may come: as much of it as there is room for."""
    shown: Certificate
    """What the grid's stewards decided of it."""
    ends_s: float
    """When its lease ends, Unix seconds."""
    at_s: float
    """When it was found, Unix seconds."""
    by: PeerId
    """The host of the grid that asks for it."""
    asked: Callable[[GridId, PeerId], bytes]
    """Its word that it asks another one for an attempt."""


class Change:
    """One change of one grid, from the record that is read to the record that is proposed."""

    def __init__(
        self,
        record: GridRecord,
        old: GridSpec,
        terms: ApplyTerms,
        ends_s: float = 0.0,
        by_room: ByRoom | None = None,
    ) -> None:
        """`old` is what the record's standing order asks for. Neither has `check.problems`.

        `ends_s` is when its lease ends, Unix seconds, as far as that is known; 0 if it is not.
        """
        self.by_room = by_room
        self.record, self._old, self._terms = record, old, terms
        self.ends_s = terms.until_s or ends_s
        self.new = terms.spec
        host_of = record.placed
        self.delta: Delta = delta(tuple(host_of), old, self.new, terms.without)
        if by_room is not None:
            self.delta = Delta(added=by_room.more, same=tuple(host_of))
        self.stays = {name: host_of[name] for name in self.delta.same}
        self.changed = {name: host_of[name] for name, _ in self.delta.changed}
        self.gone = {name: host_of[name] for name in self.delta.gone}
        self._volumes = volumes_at(record, old)
        at = pinned(self._volumes, self.new)
        self.fixed = self.changed | {n: at[n] for n in self.delta.added if n in at}
        """What has to be where it is, or where its volume is."""
        self.was = {w.name: w for w in workspaces(old)}
        self.becomes = {w.name: w for w in workspaces(self.new)}
        """What each workspace is, and is to be."""
        self._sizes = {
            name: _grown(quantum_of(self.was[name]), quantum_of(w))
            if name in self.changed
            else quantum_of(w)
            for name, w in self.becomes.items()
        }

    @property
    def without(self) -> tuple[str, ...]:
        """Workspaces of the new specification that are not to be there."""
        return self._terms.without

    @property
    def said(self) -> str:
        """What it changes, in a line: `+2 worker, head-1 memory 4 GiB > 8 GiB`."""
        return summary(self.delta, self._old, self.new)

    def proven(self, ask: HoldAsk) -> HoldAsk:
        """The same ask; where room came, with what its host needs to believe that."""
        if self.by_room is None:
            return ask
        return msgspec.structs.replace(ask, shown=self.by_room.shown, until_s=self.by_room.ends_s)

    def said_of(self, record: GridRecord) -> str:
        """What room added to it, in a line: `+worker-5, +worker-6`."""
        were = {a.workspace for a in self.record.assignments}
        return ", ".join(f"+{a.workspace}" for a in record.assignments if a.workspace not in were)

    def faults(self) -> tuple[str, ...]:
        """Why it cannot be, in lines for people; empty if it can."""
        placed = self.record.placed
        return apply_faults(self._old, self.new, placed, self._volumes, self._terms.without)

    @property
    def asks(self) -> bool:
        """Whether hosts have anything to promise for it."""
        return bool(self.delta.added or self.delta.changed)

    @property
    def nothing(self) -> bool:
        """Whether the grid is as it is to be."""
        alike = not differences(self.new, self._old)
        return alike and not (self.asks or self.delta.gone)

    def size(self, name: str) -> Quantum:
        """What a host needs for it beside what it carries of the grid: of what is changed, what it grows by."""
        return self._sizes[name]

    def called(self, peer: PeerId) -> str:
        """The name of a host of the grid as it is."""
        return next((host.name for host in self.record.hosts if host.peer == peer), peer[:12])

    def restarted(self) -> tuple[str, ...]:
        """The workspaces that are in another start afterwards."""
        return tuple(name for name, manner in self.delta.changed if manner is not Manner.LIVE)

    def next(
        self,
        order: SignedOrder,
        attempt: GridId,
        held: Mapping[str, PeerId],
        hosts: tuple[HostRef, ...],
        grants: tuple[SignedGrant, ...],
    ) -> GridRecord:
        """The record of the next epoch. `held` says where everything is, `hosts` and `grants` who was asked.

        Raises ValueError where a network is full, Malformed or Untrusted if the record cannot be read.
        """
        if self.by_room is not None:
            came = {name: held[name] for name in self.by_room.more if name in held}
            said = line_by_room(tuple(came), (), ROOM_CAME, self.by_room.at_s)
            by, asked = self.by_room.by, self.by_room.asked
            words = tuple(Word(g.host, by, attempt, asked(attempt, g.host)) for g in grants)
            added = Added(attempt, came, hosts, grants, words)
            return rescaled(self.record, self._old, added, (), said)
        placed = {name: held[name] for name in self.delta.added}
        added = Added(attempt, placed, hosts, grants)
        return applied_to(self.record, self._old, order, self._terms, added)


def made(change: Change) -> GridSpec:
    """The grid as it will be, with those clusters only of which anything is made anew."""
    built = (*change.delta.added, *change.restarted())
    names = {cluster_of(name) for name in built}
    clusters = tuple(cluster for cluster in change.new.clusters if cluster.name in names)
    return msgspec.structs.replace(change.new, clusters=clusters)


def _grown(old: Quantum, new: Quantum) -> Quantum:
    """By how much something grows, in each component. What it needs less of gets free later."""
    return new - new.least(old)
