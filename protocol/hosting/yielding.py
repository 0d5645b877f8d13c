"""Elastic grids give room on this host before any best-effort work is suspended for it.

The ledger's plan says which groups (the workspaces of one cluster here) do not fit until when. If members
beyond their grid's `min` could go instead, the newest go: as few as save any group from being suspended. A host
gives up only what it carries itself, which is its own word (grid/elastic.py). Their guests are asked to shut
down early enough to be gone before saving would have to begin. If the stewards do not decide it in time, work
is suspended as if no grid were elastic, and nothing is lost.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from protocol.capacity.ledger import EntryKey, Ledger
from protocol.capacity.room import FOREVER
from protocol.contract.authority import Authority
from protocol.contract.messages import Decided
from protocol.contract.outcomes import HostPurpose, Outcome, Propose, YieldMembers
from protocol.grid.asked import sign_asked
from protocol.grid.decision import Decision
from protocol.grid.elastic import attempt_at, line_by_room, rescaled, spare
from protocol.grid.expand import cluster_of
from protocol.grid.lifecycle import Power
from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import Added
from protocol.grid.record import GridRecord, GridState, Word, order_part
from protocol.grid.steps import Rescale
from protocol.hosting.hold_replies import Granting
from protocol.hosting.lease import Lease, LeaseStage
from protocol.hosting.leases import Leases
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import GridId
from protocol.trust.identity import Identity

AHEAD_S = 20.0
"""So much earlier than its guests may take to shut down: for the stewards, and for a second try."""
_AGAIN_S = 5.0
_TRIED_MOST = 64
"""At most so many members go at once."""


class _Need(msgspec.Struct, frozen=True):
    """What elastic grids are to give up here."""

    at_s: float
    """When, Unix seconds."""
    gone: dict[GridId, list[str]]
    """What goes, by grid."""


class Yielding:
    """What elastic grids give up on one host."""

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        leases: Leases,
        authority: Authority,
        granting: Granting,
        dice: Dice,
    ) -> None:
        self._me, self._name = identity.peer, identity.name
        self._ledger, self._leases = ledger, leases
        self._authority, self._granting = authority, granting
        self._dice = dice
        self._again_s: dict[GridId, float] = {}
        """By grid whose stewards were asked: when they are asked again at the earliest."""

    def tick(self, now: float, *, sure: bool) -> list[Outcome]:
        """Gives up what must go by now. Answers what is asked of stewards. What is ended is gone, so nothing is
        given up unless it is `sure` of the time."""
        need = self._need() if sure else None
        if need is None or now < need.at_s:
            return []
        rows = {row.record.id: row for row in self._leases.rows()}
        asked: list[Outcome] = []
        for grid, names in need.gone.items():
            if now < self._again_s.get(grid, 0.0):
                continue
            self._again_s[grid] = now + _AGAIN_S * self._dice.uniform(0.8, 1.2)
            asked.append(self._proposal(rows[grid], names, now))
        self._again_s = {g: s for g, s in self._again_s.items() if g in rows}
        return asked

    def next_deadline(self) -> Deadline | None:
        """When something is to be given up next; None if nothing is."""
        need = self._need()
        if need is None:
            return None
        again_s = min(self._again_s.get(grid, 0.0) for grid in need.gone)
        return Deadline(max(need.at_s, again_s), "elastic grids give room")

    def told(self, purpose: HostPurpose, decision: Decision | None) -> list[Effect]:
        """The grid's other hosts are told what was decided, if this host asked for it to be smaller."""
        record = decision.register.record if decision is not None else None
        if decision is None or record is None or not isinstance(purpose, YieldMembers):
            return []
        shown = Decided(decision.certificate)
        return [Send(peer, shown) for peer in record.carriers() if peer != self._me]

    # -- parts

    def _need(self) -> _Need | None:
        """What is to go, and when; None if nothing is, or if that would help nobody."""
        if all(until_s == FOREVER for until_s in self._ledger.until_s.values()):
            return None
        spares = self._spares()
        going = self._leaving()
        if not spares:
            return None
        # Those that have to go although those that are going went.
        begins = self._leases.preemption.begins(self._ledger.planned_without(going))
        gone = self._enough(spares, going, len(begins)) if begins else {}
        if not gone:
            return None
        return _Need(min(begins.values()) - self._lead_s(spares), gone)

    def _spares(self) -> list[EntryKey]:
        """The members here that could go, those first that go first: of the newest grids the newest."""
        found: list[EntryKey] = []
        rows = [row for row in self._leases.rows() if self._may(row)]
        for row in sorted(rows, key=lambda r: (-r.made_s, r.record.id)):
            spec, mine = self._leases.ordered(row).spec, row.record.on(self._me)
            there = {w.workspace for w in row.wanted if w.power is not Power.GONE}
            left = Counter(cluster_of(name) for name in spare(row.record, spec))
            # As many as the whole cluster has beyond its min, but of those that are here.
            for name in sorted(mine, key=_newest):
                cluster = cluster_of(name)
                if left[cluster] and name in there:
                    left[cluster] -= 1
                    found.append((row.record.id, name))
        return found[:_TRIED_MOST]

    def _may(self, row: Lease) -> bool:
        """Whether a lease is of a grid that runs, and may give up members."""
        up = row.record.state is GridState.UP and row.halted is None and not row.behind
        runs = self._leases.stage(row) is LeaseStage.CURRENT
        return up and runs and row.yields and row.certificate is not None

    def _leaving(self) -> list[EntryKey]:
        return [
            (row.record.id, w.workspace)
            for row in self._leases.rows()
            for w in row.wanted
            if w.power is Power.GONE
        ]

    def _lead_s(self, spares: Sequence[EntryKey]) -> float:
        """How long before saving would begin they are to be told to go."""
        rows = {row.record.id: row for row in self._leases.rows()}
        stops = (stop_s(self._leases.ordered(rows[GridId(grid)]).spec) for grid, _ in spares)
        return max(stops, default=0) + AHEAD_S

    def _enough(
        self, spares: Sequence[EntryKey], going: Sequence[EntryKey], cut_now: int
    ) -> dict[GridId, list[str]]:
        """The fewest that save as many groups as can be from being suspended; none if none is saved."""
        least, enough = cut_now, 0
        for count in range(1, len(spares) + 1):
            until = self._ledger.planned_without((*going, *spares[:count]))
            cut = sum(at_s != FOREVER for at_s in until.values())
            if cut < least:
                least, enough = cut, count
            if not cut:
                break
        gone: dict[GridId, list[str]] = {}
        for grid, name in spares[:enough]:
            gone.setdefault(GridId(grid), []).append(name)
        return gone

    def _proposal(self, row: Lease, names: list[str], now: float) -> Propose:
        record = row.record
        grid = record.id
        step = Rescale(self._smaller(record, names, now))
        return Propose(
            YieldMembers(grid), order_part(grid), row.stewards, step, grid, evidence=row.certificate
        )

    def _smaller(self, record: GridRecord, names: list[str], now: float) -> GridRecord:
        """The grid without them, by this host's word."""
        attempt = attempt_at(record, f"yield/{self._me}")
        left = tuple(name for name in record.on(self._me) if name not in names)
        vnis = tuple(vni for _, vni in record.vnis)
        word = self._granting.grant(record.id, left, vnis, record.start_s, attempt)
        spec = self._authority.spec(record.standing)
        line = line_by_room((), names, f"others' need on {self._name}", now)
        mine = Word(
            self._me, self._me, attempt, sign_asked(self._granting.signer, attempt, self._me)
        )
        added = Added(attempt, grants=(word,), words=(mine,))
        return rescaled(record, spec, added, names, line)


def stop_s(spec: GridSpec) -> int:
    """How long guests of its elastic clusters may take to shut down, in seconds."""
    return max((c.stop_within_s for c in spec.clusters if c.elastic), default=0)


def _newest(name: str) -> int:
    return -int(name.rpartition("-")[2])
