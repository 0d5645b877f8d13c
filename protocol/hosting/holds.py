"""The host's side of a hold: promises for a few seconds, on disk before they are said.

Rules. A hold is granted at once or refused at once, with reasons. It never waits and never displaces another.
Asking twice is the same as asking once. A hold counts as used until it is committed or let go. If its time is
up and neither has happened, the grid's stewards settle it: decided, it becomes a lease; undecided, it is
voted down. So a requester that dies at any step leaves a whole grid or nothing. While the stewards cannot be
reached the hold stays, because the grid might have been decided.

A *plan* is held for as long as was asked. Nobody can commit it, because its order allows only holds; so it ends
by itself. An `up` of the same owner and name may take its place (`instead`), in one write, without a moment in
which others could have the room. What the plan held here ends then, whether the `up` took all of it or not.
"""

from collections.abc import Collection

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum, total
from protocol.capacity.timetable import Window
from protocol.contract.authority import Authority, Deployment
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply
from protocol.contract.outcomes import Answer, Outcome, Propose, RoomChanged, VoidHold
from protocol.grid.decision import Decision
from protocol.grid.exposed import ports_of_workspaces
from protocol.grid.lease import asked, late, start_fault, window
from protocol.grid.model import Workspace
from protocol.grid.record import GridRecord, GridState, Register, order_part, was_decided
from protocol.hosting.claims import Claims
from protocol.hosting.exposing import PortsFor, ports_for
from protocol.hosting.hold_conflicts import asked_fault, conflict, spent
from protocol.hosting.hold_replies import Granting, refuse, yields_held
from protocol.hosting.hold_row import (
    Fate,
    HoldNotSaved,
    HoldRow,
    fate,
    made_until_s,
    of_networks,
    vote_against,
)
from protocol.hosting.taken import Taken
from protocol.placement.fit import Offer, quantum_of, refusals, rules_of
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row, Send, Untidied, soonest
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import HOLD_S, PLAN_HOLD_MOST_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import read_order
from protocol.trust.signing import Untrusted
from protocol.trust.used import UsedOrders
from protocol.wire.codec import decode, encode

TABLE = "hold"
_ASK_AGAIN_S = 2.0
NOT_HELD = "it places workspaces here that are not held"
"""Why a record is refused."""


class Holds:
    """All holds of this host."""

    def __init__(
        self,
        host: str,
        ledger: Ledger,
        authority: Authority,
        claims: Claims,
        rows: dict[str, bytes],
        now: float,
        granting: Granting,
        used: UsedOrders | None = None,
    ) -> None:
        """`used` has the orders that made a grid or held a plan here: nothing is held for them again."""
        self._claims, self._granting = claims, granting
        self._me = PeerId(granting.signer.key)
        self._used = used if used is not None else UsedOrders({}, now)
        self._host, self._ledger, self._authority = host, ledger, authority
        self._rows: dict[GridId, HoldRow] = {}
        self._ask_s: dict[GridId, float] = {}
        for key in sorted(rows):
            row = decode(rows[key], HoldRow)
            # The clock may have been set back meanwhile. No hold outlives its time because of that.
            most_s = PLAN_HOLD_MOST_S if row.plan else HOLD_S
            row = msgspec.structs.replace(row, until_s=min(row.until_s, now + most_s))
            self._rows[row.grid] = row
            self.back(row)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, grid: GridId) -> HoldRow | None:
        """What is held of a grid."""
        return self._rows.get(grid)

    def change_of(self, grid: GridId) -> HoldRow | None:
        """What is held for a change of a grid."""
        return next((row for row in self._rows.values() if row.change and row.of == grid), None)

    def changing(self, grid: GridId) -> bool:
        """Whether a change of a grid may be decided any moment."""
        row = self.change_of(grid)
        return row is not None and not row.plan

    def meant(self, record: GridRecord) -> HoldRow | None:
        """What is held for what a record says: to make its grid, or a change of it that was decided."""
        change = self.change_of(record.id)
        if change is not None and was_decided(record, change.grid):
            return change
        return self._rows.get(record.id)

    def hurry(self, grid: GridId, now: float) -> None:
        """Its owner shows a later epoch of what that is held for, so its stewards are asked now."""
        self._ask_s[grid] = min(self._ask_s.get(grid, now), now)

    def put(self, row: HoldRow) -> Row:
        """Keeps what is held, once it is in the ledger. Answers what is to be written."""
        self._rows[row.grid] = row
        return Row(TABLE, row.grid, encode(row))

    def enter(self, row: HoldRow, name: str, quantum: Quantum) -> None:
        """Enters what one workspace takes."""
        members = self._authority.remembered(row.ordered).members
        how = yields_held(row.grid, members[name]) if row.yields else None
        self._ledger.enter((row.grid, name), quantum, row.window, how, row.owner)

    def rows(self) -> list[HoldRow]:
        """Everything held."""
        return list(self._rows.values())

    def held(self) -> Quantum:
        """Everything that is held, and so will be leased or free in a few seconds."""
        spans = (
            self._ledger.spans((grid, name))
            for grid, row in self._rows.items()
            for name in row.workspaces
            if not row.plan
        )
        return total([first.quantum for first, *_ in spans])

    def ask(
        self,
        requester: PeerId,
        ask: HoldAsk,
        taken: Taken,
        offer: Offer,
        now: float,
        displacing: bool = False,
    ) -> Answer:
        """Grants or refuses. What is held already is only said again.

        `displacing` says that it is a reservation, asked for early enough for what yields here to make room.
        """
        try:
            old = self._rows.get(ask.grid)
            deployment = self._authority.to_hold(ask.order, now, fresh=old is None)
        except Untrusted as error:
            return refuse(self._host, requester, ask, Constraint.AUTHORITY, str(error)), []
        plan = self._plan(ask, deployment)
        entries = len(self._ledger)
        if standing := asked_fault(
            self._authority, requester, ask, deployment, self._me
        ) or conflict(self._rows, entries, requester, ask, deployment, taken, plan):
            return refuse(self._host, requester, ask, *standing), []
        if old is None and (fault := spent(self._used, deployment, now)):
            return refuse(self._host, requester, ask, *fault), []
        spec = deployment.spec
        if untimely := late(spec, now) or start_fault(spec, ask.start_s):
            return refuse(self._host, requester, ask, Constraint.TIME, untimely), []
        apart = taken.apart_from(
            deployment.owner, deployment.owner_site, deployment.name, spec.placement.apart
        )
        offer = msgspec.structs.replace(offer, clashes=apart)
        if (no := offer.refused) is not None:
            return refuse(self._host, requester, ask, no.constraint, no.detail), []
        yields = spec.lease.best_effort and offer.facts.suspends
        time = window(asked(spec, ask.start_s), now, yields)
        if not deployment.commits and not ask.start_s:
            # Its lease may begin as late as the plan ends.
            late_s = deployment.hold_s
            time = Window(time.start_s, time.end_s + late_s, time.kept_until_s + late_s)
        if old is not None:
            yields, time = old.yields, old.window
        if plan is not None:
            self.leave(plan)
        # A plan's room is its own, whatever others claim. A reservation ignores claims, which are for now.
        heeds = plan is None and not ask.start_s
        ports = ports_for(offer, taken, spec, ask.grid, old, plan)
        held, fresh, refused = self._grant(
            ask, deployment, offer, time, yields, displacing, now if heeds else None, ports
        )
        if not fresh:
            if plan is not None:
                self.back(plan)
            return [Send(requester, self._reply(ask, deployment, held, refused))], []
        # What a lease has here already is said again, but it is no hold: its end would end the lease's room.
        names = (*(old.workspaces if old is not None else ()), *fresh)
        until_s = now + min(ask.hold_s, deployment.hold_s)
        if old is not None and old.plan:
            until_s = old.until_s
        row = HoldRow(
            grid=ask.grid,
            key=deployment.key,
            owner=deployment.owner,
            name=deployment.name,
            order=ask.order,
            workspaces=names,
            stewards=deployment.stewards,
            vnis=ask.vnis,
            until_s=until_s,
            start_s=ask.start_s,
            window=time,
            yields=yields,
            owner_site=deployment.owner_site,
            plan=not deployment.commits,
            requester=requester,
            asked=ask.asked,
            exposes=(*(old.exposes if old is not None else ()), *ports.chosen),
        )
        self._rows[ask.grid] = row
        over = self.replaced(plan, now) if plan is not None else []
        instead = plan.grid if plan is not None else ""
        return [
            Persist(
                (Row(TABLE, ask.grid, encode(row)), *over),
                otherwise=HoldNotSaved(ask.grid, tuple(fresh), requester, instead),
            ),
            Send(requester, self._reply(ask, deployment, held, refused)),
            Note("hold.granted", deployment.name, f"{', '.join(held)} for {ask.hold_s:.0f} s"),
        ], [RoomChanged()]

    def not_saved(self, event: HoldNotSaved) -> Answer:
        """Takes a hold that could not be written out of memory again, and refuses it."""
        self._strike(event.grid, event.workspaces)
        refused = tuple(
            (name, Refusal(Constraint.STORE, self._host, detail=event.why))
            for name in event.workspaces
        )
        reply = Send(event.requester, HoldReply(event.grid, (), refused))
        if not event.instead:
            return [reply], [RoomChanged()]
        over = Persist((Row(TABLE, event.instead, None),), Untidied())
        return [reply, over], [RoomChanged()]

    def fault(self, sender: PeerId | None, record: GridRecord, me: PeerId) -> str:
        """Why a record is not taken for what is held here; empty if it is, or if nothing is held.

        Without a sender it is the stewards' word.
        """
        row = self.meant(record)
        if row is None:
            return ""
        if sender is not None and row.requester not in ("", sender):
            return "another peer asked for what is held here; its stewards are asked in time"
        if row.change is None and any(name not in row.workspaces for name in record.on(me)):
            return NOT_HELD
        if not of_networks(record, row) or record.start_s != row.start_s:
            return "it has other VXLAN ids, or another start, than is held here"
        return ""

    def release(self, sender: PeerId, message: HoldRelease) -> Answer:
        """The requester lets go. Nobody else can."""
        row = self._rows.get(message.grid)
        if (
            row is None
            or row.requester not in ("", sender)
            or not any(name in row.workspaces for name in message.workspaces)
        ):
            return [], []
        self._strike(message.grid, message.workspaces)
        left = self._rows.get(message.grid)
        value = encode(left) if left is not None else None
        note = Note("hold.released", row.name, ", ".join(message.workspaces))
        return [Persist((Row(TABLE, message.grid, value),), Untidied()), note], [RoomChanged()]

    def take(self, record: GridRecord, me: PeerId) -> None:
        """The grid is decided: its holds become leases, and those it did not use end. It has no effects."""
        self.give_way(record.id, record.on(me) if record.state is GridState.UP else ())
        for row in self.over(record):
            self.give_way(row.grid, ())

    def over(self, record: GridRecord) -> list[HoldRow]:
        """What was held for changes of a grid that are in its record, or that its record has made void."""
        changes = [row for row in self._rows.values() if row.change and row.of == record.id]
        return [row for row in changes if fate(row, Register(record)) is not Fate.OPEN]

    def give_way(self, grid: GridId, leased: Collection[str]) -> list[Effect]:
        """A lease has the room of these workspaces now, and what else was held of that grid ends."""
        row = self._rows.pop(grid, None)
        self._ask_s.pop(grid, None)
        for name in row.workspaces if row is not None else ():
            if name not in leased:
                self._ledger.strike((grid, name))
        return [Persist((Row(TABLE, grid, None),), Untidied())] if row is not None else []

    def lost(self) -> Answer:
        """This host may have forgotten what became of them: none of them is held any more."""
        rows = self.rows()
        for row in rows:
            self._strike(row.grid, row.workspaces)
        gone = Persist(tuple(Row(TABLE, row.grid, None) for row in rows))
        return ([gone], [RoomChanged()]) if rows else ([], [])

    def settled(
        self, grid: GridId, decision: Decision | None
    ) -> tuple[bool, list[Effect], list[Outcome]]:
        """The stewards' word on a hold whose time is up. True if its grid was decided."""
        row = self._rows.get(grid)
        if row is not None and row.change is not None:
            return self._change_settled(row, decision)
        if row is None or decision is None:
            return False, [], []
        record = decision.register.record
        if record is not None and record.id == grid:
            return True, [], []
        if record is None and not decision.register.is_void(grid):
            self._ask_s[grid] = self._ledger.now_s + _ASK_AGAIN_S
            return False, [], []
        return self._voted_down(row)

    def _change_settled(
        self, row: HoldRow, decision: Decision | None
    ) -> tuple[bool, list[Effect], list[Outcome]]:
        """The same of a change. If nobody knows its grid, it ends when no steward takes its order now."""
        match fate(row, decision.register if decision is not None else Register()):
            case Fate.DECIDED:
                return True, [], []
            case Fate.VOID:
                return self._voted_down(row)
            case Fate.OPEN:
                now = self._ledger.now_s
                unknown = decision is None or decision.register.record is None
                if unknown and now > made_until_s(row):
                    return self._voted_down(row)
                self._ask_s[row.grid] = now + _ASK_AGAIN_S
                return False, [], []

    def _voted_down(self, row: HoldRow) -> tuple[bool, list[Effect], list[Outcome]]:
        self._strike(row.grid, row.workspaces)
        note = Note("hold.expired", row.name, "voted down: nobody committed it in time")
        return False, [Persist((Row(TABLE, row.grid, None),), Untidied()), note], [RoomChanged()]

    def refused(self, grid: GridId) -> Answer:
        """The stewards decided its grid, and this host could not take that: nothing can come of it any more.

        Who asked for it may have let a part of it go, and have shown the stewards the grant of all of it.
        """
        row = self._rows.get(grid)
        if row is None:
            return [], []
        self._strike(grid, row.workspaces)
        why = "its grid was decided, and not as it is held here"
        over = Persist((Row(TABLE, grid, None),), Untidied())
        return [over, Note("hold.expired", row.name, why)], [RoomChanged()]

    def unsettled(self, grid: GridId, now: float) -> None:
        """The stewards did not answer, or not to that, so they are asked again soon."""
        if grid in self._rows:
            self._ask_s[grid] = now + _ASK_AGAIN_S

    def tick(self, now: float, *, sure: bool = True) -> Answer:
        """Asks the stewards about holds whose time is up, and ends such plans if it is `sure` of the time."""
        effects: list[Effect] = []
        proposals: list[Outcome] = []
        for grid, row in list(self._rows.items()):
            if now < self._ask_s.get(grid, row.until_s):
                continue
            alone = row.plan or not read_order(row.order).stewards
            if alone and not sure:
                self._ask_s[grid] = now + _ASK_AGAIN_S
                continue
            if alone:
                # A plan, or an order of an older build, of which no stewards decide.
                self._strike(grid, row.workspaces)
                used = self._used.use(row.ordered, row.owner, now)
                over = Persist((Row(TABLE, grid, None), *used), Untidied())
                what = "a plan" if row.plan else "an order of an older build"
                effects += [over, Note("hold.expired", row.name, f"{what} whose time is up")]
                proposals.append(RoomChanged())
                continue
            self._ask_s[grid] = now + 60.0
            key, stewards, vote = order_part(row.of or grid), row.stewards, vote_against(row)
            cause = row.of or grid
            proposals.append(Propose(VoidHold(grid), key, stewards, vote, cause, order=row.order))
        return effects, proposals

    def next_deadline(self) -> Deadline | None:
        """When the first hold's time is up."""
        if not self._rows:
            return None
        return soonest((self._ask_s.get(g, r.until_s) for g, r in self._rows.items()), "hold")

    def check(self) -> None:
        """Every hold is in the ledger."""
        for grid, row in self._rows.items():
            assert all((grid, name) in self._ledger for name in row.workspaces), row.name

    # -- a plan whose place something takes

    def leave(self, plan: HoldRow) -> None:
        """Takes what a plan holds out of the ledger, for what is to take its place."""
        for name in plan.workspaces:
            self._ledger.strike((plan.grid, name))

    def back(self, row: HoldRow) -> None:
        """Enters what a row holds in the ledger, again or at first."""
        members = self._authority.remembered(row.ordered).members
        takes = dict(row.takes)
        for name in row.workspaces:
            quantum = takes[name] if name in takes else quantum_of(members[name])
            self.enter(row, name, quantum)

    def replaced(self, plan: HoldRow, now: float) -> list[Row]:
        """A plan that was left is over. Answers what is to be written."""
        self._rows.pop(plan.grid, None)
        self._ask_s.pop(plan.grid, None)
        return [Row(TABLE, plan.grid, None), *self._used.use(plan.ordered, plan.owner, now)]

    # -- parts

    def _plan(self, ask: HoldAsk, deployment: Deployment) -> HoldRow | None:
        """The plan whose place the hold takes; None unless it has the same owner and name."""
        row = self._rows.get(GridId(ask.instead)) if deployment.commits else None
        mine = row is not None and row.plan and not row.change and row.key == deployment.key
        return row if mine else None

    def _grant(
        self,
        ask: HoldAsk,
        deployment: Deployment,
        offer: Offer,
        time: Window,
        yields: bool,
        displacing: bool,
        heeds_s: float | None,
        ports: PortsFor,
    ) -> tuple[list[str], list[str], list[tuple[str, Refusal]]]:
        """What is held now, what of that is new, and what is refused.

        `heeds_s` is the time now, if room that is kept for older orders counts, else None.
        """
        wanted: dict[str, Workspace] = {w.name: w for w in deployment.workspaces}
        rules = rules_of(deployment.spec)
        company = [offer] if any((ask.grid, name) in self._ledger for name in wanted) else []
        held: list[str] = []
        fresh: list[str] = []
        refused: list[tuple[str, Refusal]] = []
        for name in dict.fromkeys(ask.workspaces):
            workspace = wanted.get(name)
            if workspace is None:
                why = "the order has no such workspace"
                refused.append((name, Refusal(Constraint.AUTHORITY, self._host, detail=why)))
                continue
            if (ask.grid, name) not in self._ledger:
                owner = deployment.owner
                free = self._ledger.free_for(time, displacing, owner, firm=not yields)
                others = self._ledger.guaranteed(time, displacing, owner, firm=not yields)
                offer = msgspec.structs.replace(offer, guaranteed=others)
                if heeds_s is not None:
                    kept = self._claims.kept_from(deployment, free, heeds_s)
                    offer, free = msgspec.structs.replace(offer, kept=kept), free - kept
                found = refusals(workspace, offer, free, rules, company)
                if found := found or ports.refused(workspace, self._host):
                    refused.append((name, found[-1]))
                    continue
                how = yields_held(ask.grid, workspace) if yields else None
                self._ledger.enter((ask.grid, name), quantum_of(workspace), time, how, owner)
                fresh.append(name)
                company = [offer]
            held.append(name)
        if fresh:
            self._claims.end(deployment.order)
        return held, fresh, refused

    def _reply(
        self,
        ask: HoldAsk,
        deployment: Deployment,
        held: list[str],
        refused: list[tuple[str, Refusal]],
    ) -> HoldReply:
        """The answer to an ask, with this host's grant of all that it holds of what was asked."""
        if not deployment.commits:
            return HoldReply(ask.grid, tuple(held), tuple(refused))
        return self._granting.reply(ask, ask.grid, held, refused)

    def _strike(self, grid: GridId, names: tuple[str, ...]) -> None:
        row = self._rows.get(grid)
        if row is None:
            return
        for name in (name for name in names if name in row.workspaces):
            self._ledger.strike((grid, name))
        left = tuple(name for name in row.workspaces if name not in names)
        if left:
            exposes = ports_of_workspaces(row.exposes, left)
            self._rows[grid] = msgspec.structs.replace(row, workspaces=left, exposes=exposes)
        else:
            del self._rows[grid]
            self._ask_s.pop(grid, None)
