"""Whether this host takes part in what is asked at all: the one place where that is decided.

What its peer or its clock stops is stopped for everybody. The rest is as the newest policy of the host's site
says, and the grants that an order shows (policy/allowing.py). It is looked at before a hold, when that becomes
a lease, and at each later operation, so a newer policy counts from the moment it is heard. What is carried
already goes on to the end of its lease, and may always be ended by whose it is.
"""

from collections.abc import Callable

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import total
from protocol.contract.authority import Authority, Deployment
from protocol.contract.messages import (
    Act,
    ActReply,
    HoldAsk,
    LeaseAsk,
    LeaseReply,
    RoomClaim,
    ToHost,
)
from protocol.contract.permitting import ENDS
from protocol.grid.record import GridRecord, GridState, lease_change
from protocol.grid.stopping import rebuild_terms
from protocol.hosting.across import Across
from protocol.hosting.allotting import Allotting
from protocol.hosting.hold_replies import refuse
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.lease import Lease
from protocol.hosting.spending import Spending
from protocol.hosting.surroundings import HostSurroundings
from protocol.policy.allowing import Forbidden, Used, forbidden, nothing_used
from protocol.policy.demand import NOTHING, Demand, demand_of
from protocol.policy.site_policy import PortSpan
from protocol.terms.effects import Effect, Note, Send
from protocol.terms.ids import Digest, GridId, KeyId, PeerId
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import Action, CheckedOrder, Order, SignedOrder, claimed, read_order
from protocol.trust.owner import VO_MARK, Owner
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed


class Admitting:
    """What one host lets in."""

    def __init__(
        self,
        host: str,
        site: str,
        ledger: Ledger,
        authority: Authority,
        around: HostSurroundings,
        held: Callable[[GridId], HoldRow | None],
        leased: Callable[[GridId], Lease | None],
        spending: Spending,
        allotting: Allotting,
        across: Across,
    ) -> None:
        """`held` and `leased` answer what is here of a grid, `spending` what is used here, and by whom;
        `across` knows what is used elsewhere."""
        self._allotting, self._across = allotting, across
        self._host, self._site, self._ledger, self._authority = host, site, ledger, authority
        self._around, self._held, self._leased, self._spending = around, held, leased, spending

    # -- for everybody

    def barred(self, start_s: float) -> Refusal | None:
        """Why this host takes no work, or none that begins then (0: now); None if it does."""
        if why := self._around.barred():
            return Refusal(Constraint.AUTHORITY, self._host, detail=why)
        clock = self._around.clock()
        fault = f"{clock.doubt}; it takes nothing new until they agree" if clock.apart else ""
        if start_s:
            fault = self._around.clock_fault() or fault
        return Refusal(Constraint.CLOCK, self._host, detail=fault) if fault else None

    # -- by whose it is

    def refusal(self, sender: PeerId, message: ToHost, now: float) -> list[Effect] | None:
        """The answer to what is not allowed; None if it is, or if something else is wrong with it."""
        match message:
            case HoldAsk():
                constraint, why = self._hold(message, now)
                return refuse(self._host, sender, message, constraint, why) if why else None
            case RoomClaim():
                no = self._claimed(message, now)
                return [Note("claim.refused", "", str(no))] if no is not None else None
            case Act(request=request, order=order) if self._leased(message.grid) is not None:
                no = self._asked(order, now)
                acted = ActReply(request, "", str(no))
                return [Send(sender, acted, request)] if no is not None else None
            case LeaseAsk(request=request, grid=grid, order=order):
                no = self._asked(order, now, self._leased(grid))
                longer = LeaseReply(request, str(no))
                return [Send(sender, longer, request)] if no is not None else None
            case _:
                return None

    def quoted(self, owner: str, label: str) -> Refusal | None:
        """Why this host would take nothing of an owner, as who asks for a quote says it is; None if it would.

        How much it has here is looked at with a hold, which may take the place of what is here.
        """
        vo = label.removeprefix(VO_MARK)
        key = KeyId(owner)
        said = Owner(key, vo=vo) if vo != label else Owner(key, site=label)
        no = self._judged(said, NOTHING, nothing_used) if owner else None
        return Refusal(no.constraint, self._host, detail=str(no)) if no is not None else None

    def committed(self, record: GridRecord, row: HoldRow | None, now: float) -> str:
        """Why what is held does not become a lease; empty if it may. The policy may be newer than the hold.

        A change that was decided of what is carried is taken as it is: its hosts are to agree on what that is.
        """
        checked = self._checked(row.ordered, now) if row is not None else None
        if row is None or checked is None or row.change or record.state is not GridState.UP:
            return ""
        members = self._authority.remembered(row.ordered).members
        there = (members[name] for name in row.workspaces if name in members)
        no = self._judged(checked.owner, demand_of(there), nothing_used)
        return str(no) if no is not None else ""

    def operates(self, checked: CheckedOrder) -> str:
        """Why an order about something that is here is not carried out; empty if it may be."""
        if checked.order.action in ENDS:
            return ""
        no = self._judged(checked.owner, NOTHING, nothing_used)
        return str(no) if no is not None else ""

    def lasts(self, row: Lease) -> bool:
        """Whether a lease may last as long as its record says, which its owner may have had decided without a
        promise of this host."""
        try:
            # As it was signed: a grant that has ended since lets its owner have no more than one that has not.
            owner = self._authority.signed(row.record.order).owner
        except Untrusted:
            return False
        return self._judged(owner, Demand(lease_s=self._lasts_s(row)), nothing_used) is None

    def spans(self, ask: HoldAsk) -> tuple[PortSpan, ...]:
        """Ports that may be chosen for whoever asks for a hold; none for any that this host gives."""
        policy = self._around.policy()
        if policy is None:
            return ()
        # Whoever it claims to be of: a hold of an order that is not believed is refused whatever it may choose.
        try:
            owner = claimed(ask.change or ask.order)
        except Untrusted:
            return ()
        if owner.key == self._around.site_key():
            return ()
        terms = policy.terms(owner.key)
        return terms.expose if terms is not None else ()

    # -- parts

    def _judged(self, owner: Owner, demand: Demand, used: Used) -> Forbidden | None:
        around = self._around
        policy, least, site_key = around.policy(), around.least_policy(), around.site_key()
        if (policy.number if policy is not None else 0) < least and owner.key != site_key:
            why = (
                f"this host has yet to hear policy {least} of its site, which its certificate names"
            )
            return Forbidden(why, "the same again once it has; `overlayctl policy publish` there")
        return forbidden(policy, self._site, site_key, owner, demand, used)

    def _checked(self, order: SignedOrder, now: float) -> CheckedOrder | None:
        """An order and whose it is; None if it is not believed, which is said where it is carried out."""
        try:
            return self._authority.order(order, now, fresh=False)
        except Untrusted:
            return None

    def _asked(self, order: SignedOrder, now: float, row: Lease | None = None) -> Forbidden | None:
        """What stops an operation. `row` is the lease that an order to extend one is about."""
        checked = self._checked(order, now)
        if checked is None or checked.order.action in ENDS:
            return None
        try:
            demand = self._of(order, checked.order, row)
        except Malformed:
            return None
        if row is not None and row.cut is not None and demand != NOTHING:
            return Forbidden(row.cut.why, "`up` of its file under a grant that holds")
        if row is not None and row.goes_s and demand != NOTHING:
            why = "at all sites its owner has more than a grant allows, and this came last"
            return Forbidden(why, "the same once as much was taken down elsewhere")
        return self._judged(checked.owner, demand, nothing_used)

    def _claimed(self, claim: RoomClaim, now: float) -> Forbidden | None:
        """What would stop the hold for which room is claimed."""
        try:
            deployment = self._authority.to_hold(claim.order, now, fresh=False)
        except Untrusted:
            return self._asked(claim.order, now)
        wanted = [each for each in deployment.workspaces if each.name in claim.workspaces]
        demand = demand_of(wanted, deployment.spec.lease_s)
        no = self._judged(deployment.asker, demand, self._used)
        return no or self._across.forbidden(
            None, deployment.asker, deployment, claim.workspaces, now
        )

    def _of(self, signed: SignedOrder, order: Order, row: Lease | None) -> Demand:
        """What an operation asks for that a policy says something of. Raises Malformed."""
        if order.action is Action.REBUILD and (image := rebuild_terms(order).image).digest:
            return Demand(images=(Digest(image.digest),))
        by_s = lease_change(signed).by_s if order.action is Action.LEASE else 0
        if row is None or by_s <= 0:
            return NOTHING
        return Demand(lease_s=self._lasts_s(row) + by_s)

    def _lasts_s(self, row: Lease) -> int:
        """How long a lease is by now, as its record says."""
        return int(self._authority.ordered(row.record).spec.lease_s + row.record.extra_s)

    def _hold(self, ask: HoldAsk, now: float) -> tuple[Constraint, str]:
        """What stops a hold. What is held already is only said again, and a newer policy ends no hold."""
        allowed = (Constraint.POLICY, "")
        change = ask.change
        try:
            if change is None or read_order(change).action is Action.UP:
                deployment = self._authority.to_hold(change or ask.order, now, fresh=False)
            else:
                deployment = self._authority.to_change(ask.order, change, ask.of, now, fresh=False)
        except Untrusted:
            return allowed
        names = [name for name in ask.workspaces if (ask.grid, name) not in self._ledger]
        members = {each.name: each for each in deployment.workspaces}
        wanted = [members[name] for name in names if name in members]
        demand = demand_of(wanted, deployment.spec.lease_s)
        if not wanted:
            return allowed
        there, asker = self._there(ask, deployment, names), deployment.asker
        no = self._judged(asker, demand, lambda key: _but(self._used(key), there))
        if no is None and (unsure := self._across.unsure(asker, now)):
            return Constraint.CONTENDED, unsure
        if no is None:
            no = self._across.forbidden(ask, asker, deployment, ask.workspaces, now)
        if no is not None or not self._allotting.counts(asker.key):
            return (no.constraint, str(no)) if no is not None else allowed
        here = _but(self._spending.used(asker.key), there)
        return Constraint.CONTENDED, self._allotting.refusal(asker.key, demand, here, now)

    def _used(self, key: KeyId) -> Demand:
        """At this site: here, and as far as its other hosts were heard."""
        here = self._spending.used(key)
        if self._allotting.counts(key):
            return here
        other = self._around.elsewhere(key)
        return Demand(total((here.quantum, other.quantum)), here.workspaces + other.workspaces)

    def _there(self, ask: HoldAsk, deployment: Deployment, names: list[str]) -> Demand:
        """What of the same workspaces is here already, whose place this is to take: of a grid that is to be
        changed, or of a plan."""
        plan = self._held(GridId(ask.instead))
        mine = plan is not None and plan.owner == deployment.owner
        ids = [ask.of] if ask.change is not None else [GridId(ask.instead)] if mine else []
        return self._spending.of(ids[0], names) if ids else NOTHING


def _but(used: Demand, there: Demand) -> Demand:
    """What is used without what is given back."""
    return msgspec.structs.replace(
        used,
        quantum=used.quantum - there.quantum,
        workspaces=used.workspaces - there.workspaces,
    )
