"""The host's side of a hold for a change: what is added to a grid that exists, and what grows of it.

Rules. As with every hold (holds.py): granted or refused at once, on disk before it is said, asked twice is
asked once, and settled by the grid's stewards when its time is up. It is held under the id of the attempt,
beside the lease: of what is new here all that it takes, of what grows what it grows by. What shrinks or goes
gives its room when that is decided, not before. The grant says all that this host would carry then.

One change of a grid is held at a time. What is held as a *plan* of a change ends by itself, as with new grids:
its order holds and no more. While it is held nothing else of the grid waits for it, and a host that hears of a
next epoch of the grid ends it. An order to apply of the same owner may take its place (`instead`), at once.

A host that carries the grid knows its record and judges by that. One that does not believes what the grid's
owner signed: the order that made the grid, and the order to change it. Its stewards say, when the time is up,
whether there is such a grid at all.
"""

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.contract.authority import Authority, Deployment
from protocol.contract.messages import HoldAsk, HoldReply
from protocol.contract.outcomes import Answer, RoomChanged
from protocol.grid.apply_faults import apply_faults
from protocol.grid.decision import Certificate
from protocol.grid.elastic import is_attempt_at, missing
from protocol.grid.exposed import ports_of_workspaces
from protocol.grid.lease import asked, kept_s, start_fault, window
from protocol.grid.limits import LEASE_S_MAX
from protocol.grid.model import Workspace
from protocol.grid.next_epoch import vnis_after
from protocol.grid.record import ApplyTerms, GridState, change_terms, order_part
from protocol.grid.volumes import volumes_at
from protocol.hosting.change_needs import ChangeNeeds
from protocol.hosting.claims import Claims
from protocol.hosting.exposing import ports_for
from protocol.hosting.foundlings import Foundlings
from protocol.hosting.hold_conflicts import asked_fault, spent, too_many, vnis_taken
from protocol.hosting.hold_replies import Granting, refuse
from protocol.hosting.hold_row import HoldNotSaved, HoldRow
from protocol.hosting.holds import Holds
from protocol.hosting.lease import Lease, allowed
from protocol.hosting.leases import Leases
from protocol.hosting.taken import Taken
from protocol.hosting.yielding import AHEAD_S, stop_s
from protocol.placement.fit import Offer, lacking, quantum_of, refusals, rules_of, unconnected
from protocol.terms.effects import Note, Persist, Send
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import CLEAR_S, SLACK_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import SignedOrder, read_order
from protocol.trust.signing import Reason, Untrusted
from protocol.trust.used import UsedOrders

_FOREVER = 1e12
_ONCE = ("expose", "disk_bytes_s", "disk_operations_s")
"""What not every host can do, however much room it has."""
Refused = tuple[Constraint, str]
"""Why nothing of what is asked is held."""


class _Asked(msgspec.Struct, frozen=True):
    """A change that is believed, and what this host has of its grid."""

    ask: HoldAsk
    change: SignedOrder
    deployment: Deployment
    terms: ApplyTerms
    row: Lease | None
    members: dict[str, Workspace]
    """What the change is to make of each workspace, by name."""
    needs: ChangeNeeds


class ChangeHolds:
    """Holds of one host for changes of grids."""

    def __init__(
        self,
        me: PeerId,
        host: str,
        ledger: Ledger,
        authority: Authority,
        claims: Claims,
        holds: Holds,
        leases: Leases,
        foundlings: Foundlings,
        granting: Granting,
        used: UsedOrders,
    ) -> None:
        """`holds` keeps them, with all others."""
        self._me, self._host, self._ledger, self._authority = me, host, ledger, authority
        self._claims, self._holds, self._leases = claims, holds, leases
        self._granting, self._used = granting, used
        self._foundlings = foundlings

    def ask(
        self,
        requester: PeerId,
        ask: HoldAsk,
        change: SignedOrder,
        taken: Taken,
        offer: Offer,
        now: float,
    ) -> Answer:
        """Grants or refuses. What is held already is only said again."""
        old = self._holds.row(ask.grid)
        try:
            believed = self._believed(requester, ask, change, now, fresh=old is None)
        except Untrusted as error:
            return refuse(self._host, requester, ask, Constraint.AUTHORITY, str(error)), []
        for fault in (
            self._identity_fault(requester, believed, old),
            self._standing_fault(believed, now) if old is None else None,
            self._names_fault(believed),
            self._clash(believed, taken),
        ):
            if fault is not None:
                return refuse(self._host, requester, ask, *fault), []
        if offer.refused is not None:
            no = offer.refused
            return refuse(self._host, requester, ask, no.constraint, no.detail), []
        spec = believed.deployment.spec
        of = believed.deployment
        apart = taken.apart_from(of.owner, of.owner_site, of.name, spec.placement.apart)
        return self._held(
            requester, believed, old, msgspec.structs.replace(offer, clashes=apart), taken, now
        )

    # -- what is believed

    def _believed(
        self, requester: PeerId, ask: HoldAsk, change: SignedOrder, now: float, *, fresh: bool
    ) -> _Asked:
        """Raises Untrusted."""
        if ask.shown is not None:
            return self._growing(requester, ask, change, ask.shown, now)
        deployment = self._authority.to_change(ask.order, change, ask.of, now, fresh)
        terms = change_terms(read_order(change))
        assert terms is not None, "an order to change was read"
        members = {w.name: w for w in deployment.workspaces}
        row = self._leases.row(ask.of)
        spec = deployment.spec
        needs = ChangeNeeds(self._me, self._leases, self._ledger, row, members, spec)
        return _Asked(ask, change, deployment, terms, row, members, needs)

    def _growing(
        self, requester: PeerId, ask: HoldAsk, change: SignedOrder, shown: Certificate, now: float
    ) -> _Asked:
        """Room came for more of an elastic grid: its stewards' word says what it is. Raises Untrusted."""
        record = self._authority.decision(shown).register.record
        if record is None or record.state is not GridState.UP or record.id != ask.of:
            raise Untrusted(Reason.MALFORMED, "what is shown decides nothing of that grid")
        if (record.order, record.standing, record.start_s) != (ask.order, change, ask.start_s):
            raise Untrusted(Reason.MALFORMED, "the grid stands by another order")
        if requester not in record.carriers():
            raise Untrusted(Reason.WRONG_ROLE, "only a host of a grid asks for more room for it")
        if not is_attempt_at(ask.grid, change, record.epoch):
            raise Untrusted(Reason.MALFORMED, "the attempt is at another epoch")
        deployment = self._authority.to_grow(record, requester, now)
        more = missing(record, deployment.spec)
        there = record.placed
        if any(n not in more and there.get(n) != self._me for n in ask.workspaces):
            raise Untrusted(Reason.MALFORMED, "it may not grow by all that is asked for")
        named = {*there, *ask.workspaces}
        without = tuple(w.name for w in deployment.workspaces if w.name not in named)
        begins_s = max(now, record.start_s)
        most_s = begins_s + deployment.spec.lease_s + record.extra_s
        terms = ApplyTerms(
            deployment.spec, record.epoch, without, min(ask.until_s or most_s, most_s)
        )
        members = {w.name: w for w in deployment.workspaces if w.name in named}
        row = self._leases.row(ask.of)
        needs = ChangeNeeds(self._me, self._leases, self._ledger, row, members, deployment.spec)
        return _Asked(ask, change, deployment, terms, row, members, needs)

    def _identity_fault(
        self, requester: PeerId, asked_for: _Asked, old: HoldRow | None
    ) -> Refused | None:
        """Whether it is this attempt of that requester, at a change that was not carried out yet."""
        ask, deployment = asked_for.ask, asked_for.deployment
        if deployment.order != order_part(ask.grid):
            return Constraint.AUTHORITY, "the order is of another change"
        if fault := asked_fault(self._authority, requester, ask, deployment, self._me):
            return fault
        if old is not None and old.requester not in ("", requester):
            return Constraint.AUTHORITY, "another peer asked for it first"
        if old is not None and (old.of, old.vnis, old.start_s) != (ask.of, ask.vnis, ask.start_s):
            why = "it is held for another grid, with other VXLAN ids, or another start"
            return Constraint.NETWORK_ID, why
        grows = ask.shown is not None
        if (
            old is None
            and not grows
            and (fault := spent(self._used, deployment, self._ledger.now_s))
        ):
            return fault
        other = self._holds.change_of(ask.of)
        if other is not None and other.grid not in (ask.grid, self._plan_of(asked_for)):
            if other.of_epoch < asked_for.terms.epoch:
                self._holds.hurry(other.grid, self._ledger.now_s)
            how = "held as a plan" if other.plan else "held"
            return Constraint.CONTENDED, f"another change of {other.name} is {how}, id {other.grid}"
        if self._foundlings.row(ask.of) is not None:
            self._foundlings.hurry(ask.of, self._ledger.now_s)
            why = f"what is here of {deployment.name} is unknown; its stewards are asked"
            return Constraint.CONTENDED, why
        if self._holds.row(ask.of) is not None:
            return Constraint.CONTENDED, f"whether {deployment.name} was made is not settled here"
        return None

    def _standing_fault(self, asked_for: _Asked, now: float) -> Refused | None:
        """Whether the grid, as far as this host knows it, may become that."""
        row, terms, deployment = asked_for.row, asked_for.terms, asked_for.deployment
        spec, start_s = deployment.spec, asked_for.ask.start_s
        if row is None:
            if fault := start_fault(spec, start_s):
                return Constraint.TIME, fault
            if self._ends_s(asked_for, now) <= now:
                return Constraint.TIME, "its lease is over"
            return None
        record = row.record
        if record.order != asked_for.ask.order or record.start_s != start_s:
            return Constraint.AUTHORITY, "the grid was made by another order, or begins otherwise"
        if record.state is GridState.DOWN or row.halted is not None:
            return Constraint.AUTHORITY, f"{record.name} is being taken down"
        if terms.epoch < record.epoch:
            why = f"{record.name} is at epoch {record.epoch}, the order was for {terms.epoch}"
            return Constraint.AUTHORITY, f"{why}\n  would work: the same command again"
        if terms.epoch > record.epoch:
            self._leases.outdated(record.id, now)
            why = f"this host knows epoch {record.epoch} of {record.name}, and asks its stewards"
            return Constraint.CONTENDED, why
        if not_now := allowed(row, self._leases.stage(row), "the same", now):
            return Constraint.TIME, not_now
        before = self._leases.ordered(row).spec
        placed = record.placed
        faults = apply_faults(before, spec, placed, volumes_at(record, before), terms.without)
        return (Constraint.AUTHORITY, faults[0]) if faults else None

    def _names_fault(self, asked_for: _Asked) -> Refused | None:
        """Whether what is asked for is all that this host would carry, and anything of it is new or changed."""
        ask, row = asked_for.ask, asked_for.row
        if len(set(ask.workspaces)) != len(ask.workspaces):
            return Constraint.AUTHORITY, "a workspace is asked for twice"
        if unknown := [name for name in ask.workspaces if name not in asked_for.members]:
            return Constraint.AUTHORITY, f"the order has no {unknown[0]}"
        if row is None:
            return None
        there = row.record.placed
        for name in asked_for.members:
            here, asks = there.get(name) == self._me, name in ask.workspaces
            if here and not asks:
                return Constraint.AUTHORITY, f"{name} stays here, and is not asked for"
            if asks and name in there and not here:
                return Constraint.AUTHORITY, f"{name} stays on another host"
        if not asked_for.needs.any(ask.workspaces):
            return Constraint.AUTHORITY, "nothing is added to what this host carries, or changed"
        return None

    def _clash(self, asked_for: _Asked, taken: Taken) -> Refused | None:
        """Whether names and VXLAN ids are this grid's, and this host carries no more than one may."""
        ask, deployment, row = asked_for.ask, asked_for.deployment, asked_for.row
        mine = (ask.grid, ask.of, self._plan_of(asked_for))
        user, up = taken.names.get(deployment.key, (ask.of, False))
        if user not in mine:
            constraint = Constraint.NAME if up else Constraint.CONTENDED
            return constraint, f"another grid named {deployment.name} is here, id {user}"
        if fault := vnis_taken(ask, deployment, taken, mine):
            return Constraint.NETWORK_ID, fault
        if row is not None and vnis_after(row.record, deployment.spec, ask.grid) != ask.vnis:
            return Constraint.NETWORK_ID, "its networks have other VXLAN ids"
        return None

    # -- what is held

    def _held(
        self,
        requester: PeerId,
        asked_for: _Asked,
        old: HoldRow | None,
        offer: Offer,
        taken: Taken,
        now: float,
    ) -> Answer:
        ask, deployment = asked_for.ask, asked_for.deployment
        plan = self._holds.row(self._plan_of(asked_for))
        if plan is not None:
            self._holds.leave(plan)
        new = old or self._row(requester, asked_for, offer, now)
        held: list[str] = []
        takes = {name: needs for name, needs in new.takes if name in new.workspaces}
        fresh: list[str] = []
        refused: list[tuple[str, Refusal]] = []
        company = [offer] if asked_for.row is not None else []
        ports = ports_for(offer, taken, deployment.spec, ask.of, plan, asked_for.row)
        for name in ask.workspaces:
            needs = asked_for.needs.of(name) if name not in takes else None
            if needs is not None:
                own = plan is not None and name in plan.workspaces
                if why := self._refusal(
                    asked_for, name, needs, offer, company, new, None if own else now
                ):
                    refused.append((name, why))
                    continue
                if shut := ports.refused(asked_for.members[name], self._host):
                    refused.append((name, shut[0]))
                    continue
                takes[name] = needs
                fresh.append(name)
                company = [offer]
                self._holds.enter(new, name, needs)
            held.append(name)
        if not fresh:
            if plan is not None:
                self._holds.back(plan)
            return [Send(requester, self._reply(asked_for, held if takes else [], refused))], []
        self._claims.end(deployment.order)
        row = msgspec.structs.replace(
            new,
            workspaces=tuple(takes),
            takes=tuple(takes.items()),
            exposes=(*ports_of_workspaces(new.exposes, takes), *ports.chosen),
        )
        what = f"{', '.join(fresh)} for {ask.hold_s:.0f} s, to change {ask.of}"
        over = self._holds.replaced(plan, now) if plan is not None else []
        instead = plan.grid if plan is not None else ""
        return [
            Persist(
                (self._holds.put(row), *over),
                otherwise=HoldNotSaved(ask.grid, tuple(fresh), requester, instead),
            ),
            Send(requester, self._reply(asked_for, held, refused)),
            Note("hold.granted", deployment.name, what),
        ], [RoomChanged()]

    def _row(self, requester: PeerId, asked_for: _Asked, offer: Offer, now: float) -> HoldRow:
        """A hold of which nothing is held yet."""
        ask, deployment, lease = asked_for.ask, asked_for.deployment, asked_for.row
        spec = deployment.spec
        ends_s = self._ends_s(asked_for, now)
        if lease is not None:
            yields, stewards = lease.yields, lease.stewards
            time = Window(now, lease.window.end_s, lease.window.kept_until_s)
        else:
            yields = spec.lease.best_effort and offer.facts.suspends
            stewards = deployment.stewards
            late_s = 0.0 if deployment.commits or asked_for.terms.until_s else deployment.hold_s
            end_s = (
                ends_s + late_s + SLACK_S + CLEAR_S
            )  # It may be taken up as late as a plan ends.
            time = Window(max(now, ask.start_s), end_s, end_s + kept_s(spec.lease))
        if yields:
            # Its cpus and memory are promised for as long as starting it is worth; its disk stays.
            end_s = window(asked(spec), now, suspends=True).end_s
            if ask.shown is not None:
                # What would have to yield again at once does not come.
                end_s += self._leases.preemption.lead_s() + stop_s(spec) + AHEAD_S
            time = Window(time.start_s, end_s, _FOREVER)
        return HoldRow(
            grid=ask.grid,
            key=deployment.key,
            owner=deployment.owner,
            name=deployment.name,
            order=ask.order,
            workspaces=(),
            stewards=stewards,
            vnis=ask.vnis,
            until_s=now + min(ask.hold_s, deployment.hold_s),
            start_s=ask.start_s,
            window=time,
            yields=yields,
            owner_site=deployment.owner_site,
            plan=not deployment.commits,
            requester=requester,
            change=asked_for.change,
            of=ask.of,
            asked=ask.asked,
            ends_s=ends_s if lease is None else 0.0,
            grows=ask.shown is not None,
        )

    def _ends_s(self, asked_for: _Asked, now: float) -> float:
        """When the lease of a grid ends of which nothing is here, Unix seconds. Its owner says it."""
        begins_s = max(now, asked_for.ask.start_s)
        ends_s = asked_for.terms.until_s or begins_s + asked_for.deployment.spec.lease_s
        return min(ends_s, begins_s + LEASE_S_MAX)

    def _refusal(
        self,
        asked_for: _Asked,
        name: str,
        needs: Quantum,
        offer: Offer,
        company: list[Offer],
        row: HoldRow,
        heeds_s: float | None,
    ) -> Refusal | None:
        """Why a workspace is not held; None if it can be.

        `heeds_s` is the time now, if room that is kept for older orders counts; None for what a plan had.
        """
        deployment = asked_for.deployment
        if fault := too_many(len(self._ledger) + 1):
            return Refusal(fault[0], self._host, detail=fault[1])
        owner, firm = deployment.owner, not row.yields
        free = self._ledger.free_for(row.window, owner=owner, firm=firm)
        others = self._ledger.guaranteed(row.window, owner=owner, firm=firm)
        offer = msgspec.structs.replace(offer, guaranteed=others)
        kept = Quantum()
        if heeds_s is not None:
            kept = self._claims.kept_from(deployment, free, heeds_s)
        free, offer = free - kept, msgspec.structs.replace(offer, kept=kept)
        if asked_for.needs.is_new(name):
            # What its volumes have already is not asked for again.
            left = quantum_of(asked_for.members[name]) - needs
            rules = rules_of(deployment.spec)
            found = refusals(asked_for.members[name], offer, free + left, rules, company)
        else:
            found = [
                *self._ill_connected(asked_for, name, offer),
                *lacking(needs, offer, free),
            ]
        return found[-1] if found else None

    def _ill_connected(self, asked_for: _Asked, name: str, offer: Offer) -> list[Refusal]:
        """Why this host cannot have it on further networks, or hold it to further rates."""
        becomes, row = asked_for.members[name], asked_for.row
        before = self._leases.members(row).get(name) if row is not None else None
        same = before is not None and all(getattr(before, f) == getattr(becomes, f) for f in _ONCE)
        if before is None or (same and set(becomes.networks) <= set(before.networks)):
            return []
        return unconnected(becomes, offer, rules_of(asked_for.deployment.spec))

    def _plan_of(self, asked_for: _Asked) -> GridId:
        """The id of the plan whose place the holds take; empty unless it is of the same grid and owner."""
        ask, deployment = asked_for.ask, asked_for.deployment
        row = self._holds.row(GridId(ask.instead)) if deployment.commits else None
        mine = row is not None and row.plan and row.change is not None and row.of == ask.of
        return (
            row.grid if row is not None and mine and row.owner == deployment.owner else GridId("")
        )

    def _reply(
        self, asked_for: _Asked, held: list[str], refused: list[tuple[str, Refusal]]
    ) -> HoldReply:
        """The answer, with this host's grant of all that it would carry; a plan is granted to nobody."""
        ask = asked_for.ask
        if not asked_for.deployment.commits:
            return HoldReply(ask.grid, tuple(held), tuple(refused))
        return self._granting.reply(ask, ask.of, held, refused)
