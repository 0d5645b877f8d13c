"""A host that carries part of a grid, or none of it, while its owner changes that grid."""

from collections.abc import Mapping

import msgspec
from deciding import decided
from hosting_world import GRID, ORDER, One
from negotiating import ADMIN, NAMES, NOW, SITES, B, record_of

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, HoldAsk, HoldReply
from protocol.grid.grant import SignedGrant
from protocol.grid.lifecycle import Wanted
from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import Added, applied_to, vnis_after
from protocol.grid.record import (
    ApplyTerms,
    GridRecord,
    HoldTerms,
    HostRef,
    apply_terms,
    grid_id,
    spec_of,
)
from protocol.hosting.lease import Lease
from protocol.sim.people import Admin
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import HOLD_S
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.wire.codec import Malformed, encode

END_S = NOW + 50_000.0


def sized(spec: GridSpec, **more: object) -> GridSpec:
    """That grid, with its cluster otherwise."""
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(spec, clusters=(cluster,))


def to_apply(
    spec: GridSpec,
    epoch: int = 1,
    of: str = GRID,
    admin: Admin = ADMIN,
    without: tuple[str, ...] = (),
    now: float = NOW,
) -> SignedOrder:
    """The owner's order to make the grid so."""
    body = encode(ApplyTerms(spec, epoch, without=without, until_s=END_S))
    return admin.order(Action.APPLY, of, now, body=body)


def _vnis(record: GridRecord, change: SignedOrder, attempt: GridId) -> tuple[tuple[str, int], ...]:
    try:
        return vnis_after(record, spec_of(read_order(change)), attempt)
    except Malformed:  # It asks for nothing that can be read.
        return record.vnis


def to_plan(
    spec: GridSpec, epoch: int = 1, of: str = GRID, admin: Admin = ADMIN, hold_s: float = 60.0
) -> SignedOrder:
    """The owner's order to hold a plan of that change."""
    body = encode(HoldTerms(spec, hold_s, epoch, until_s=END_S))
    return admin.order(Action.HOLD, of, NOW, body=body)


class Changing(One):
    """It is asked to hold for changes of ORDER's grid, in which B has `web-2`."""

    def __init__(self, up: SignedOrder = ORDER) -> None:
        super().__init__()
        self.up_order = up

    def up(self, placed: Mapping[str, PeerId] | None = None) -> GridRecord:
        """It carries `web-1`, or what `placed` says."""
        placed = placed if placed is not None else {"web-1": self.me}
        record = record_of(self.up_order, dict(placed))
        mine = tuple(name for name, host in placed.items() if host == self.me)
        ask = HoldAsk(record.id, self.up_order, mine, record.vnis, HOLD_S)
        self.hears(ask)
        self.hears(Decided(decided(record).certificate))
        assert self.row(record.id).record == record
        return record

    def other(self, quantum: Quantum) -> None:
        """Another grid has so much of the host. It is not carried, so the host is not checked meanwhile."""
        self.host.ledger.enter(("other", "a"), quantum)
        self.host.check = lambda: None  # type: ignore[method-assign]

    def row(self, grid: GridId = GRID) -> Lease:
        row = self.host.leases.row(grid)
        assert row is not None
        return row

    def wanted(self, name: str, grid: GridId = GRID) -> Wanted:
        return next(w for w in self.row(grid).wanted if w.workspace == name)

    def ask(
        self, record: GridRecord, change: SignedOrder, names: tuple[str, ...], attempt: int = 0
    ) -> HoldAsk:
        grid = grid_id(change, attempt, B)
        return HoldAsk(
            grid,
            record.order,
            names,
            _vnis(record, change, grid),
            HOLD_S,
            record.start_s,
            change=change,
            of=record.id,
        )

    def hold(
        self, record: GridRecord, change: SignedOrder, *names: str, now: float = NOW
    ) -> HoldReply:
        """Asked by B to hold; its answer."""
        return self.said(self.hears(self.ask(record, change, names), now))

    @staticmethod
    def said(effects: list[Effect]) -> HoldReply:
        (reply,) = [e.message for e in effects if isinstance(e, Send)]
        assert isinstance(reply, HoldReply)
        return reply

    def applied(
        self,
        record: GridRecord,
        change: SignedOrder,
        placed: Mapping[str, PeerId] | None = None,
        grants: tuple[SignedGrant, ...] = (),
    ) -> GridRecord:
        """The record that follows, if the stewards decide it."""
        added = Added(
            attempt=grid_id(change, 0, B),
            placed=placed or {},
            hosts=tuple(
                HostRef(p, NAMES.get(p, "alpha"), SITES.get(p, "s1"))
                for p in (placed or {}).values()
            ),
            grants=grants,
        )
        old = spec_of(read_order(record.standing))
        return applied_to(record, old, change, apply_terms(read_order(change)), added)

    def decides(self, record: GridRecord, now: float = NOW) -> list[Effect]:
        """It is shown that this is decided."""
        return self.hears(Decided(decided(record).certificate), now)

    def changes(
        self, record: GridRecord, spec: GridSpec, *names: str, without: tuple[str, ...] = ()
    ) -> GridRecord:
        """A whole change: it holds these names, what is new of them goes here, and all is decided."""
        change = to_apply(spec, record.epoch, record.id, without=without)
        reply = self.hold(record, change, *names)
        assert not reply.refused, reply.refused
        assert reply.grant is not None
        there = [a.workspace for a in record.assignments]
        new = {name: self.me for name in names if name not in there}
        after = self.applied(record, change, new, (reply.grant,))
        self.decides(after)
        return after
