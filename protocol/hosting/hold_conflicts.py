"""What else on a host stands in the way of a hold: a name, a VXLAN id, another peer, or too many."""

from collections.abc import Collection, Mapping

from protocol.contract.authority import Authority, Deployment
from protocol.contract.granting import vnis_fault
from protocol.contract.messages import HoldAsk
from protocol.grid.record import order_part
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.taken import Taken
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import HOLDS_PER_HOST
from protocol.terms.refusal import Constraint
from protocol.trust.used import UsedOrders


def asked_fault(
    authority: Authority, requester: PeerId, ask: HoldAsk, deployment: Deployment, me: PeerId
) -> tuple[Constraint, str] | None:
    """Why that peer may not have this host hold anything for an order; None if it may."""
    if not deployment.is_for(requester):
        return Constraint.AUTHORITY, "the order is for another peer to carry out"
    if deployment.via and not authority.was_asked(deployment, ask.grid, me, ask.asked):
        return Constraint.AUTHORITY, "it does not show that this host was asked"
    return None


def vnis_taken(ask: HoldAsk, deployment: Deployment, taken: Taken, mine: Collection[GridId]) -> str:
    """Why the VXLAN ids of an ask cannot be its grid's here; empty if they can. `mine` may use them already."""
    for network, vni in ask.vnis:
        user = taken.vnis.get(vni)
        if user is not None and user not in mine:
            return f"network {network}: id {vni} is used by grid {user}"
    return vnis_fault(ask.vnis, [network.name for network in deployment.spec.networks])


def spent(used: UsedOrders, deployment: Deployment, now: float) -> tuple[Constraint, str] | None:
    """Why nothing is held anew for an order; None if it may be."""
    if deployment.order in used:
        why = f"this order was carried out here already: sign a new one for {deployment.name}"
        return Constraint.AUTHORITY, why
    full = used.full(deployment.owner, now)
    return (Constraint.LIMIT, full) if full else None


def too_many(workspaces: int) -> tuple[Constraint, str] | None:
    """Why a host does not carry so many; None if it may."""
    if workspaces <= HOLDS_PER_HOST:
        return None
    return Constraint.LIMIT, f"a host carries at most {HOLDS_PER_HOST} workspaces"


def conflict(
    rows: Mapping[GridId, HoldRow],
    entries: int,
    requester: PeerId,
    ask: HoldAsk,
    deployment: Deployment,
    taken: Taken,
    plan: HoldRow | None,
) -> tuple[Constraint, str] | None:
    """Why nothing is held; None if it may be.

    `rows` are the holds of this host, `entries` counts all that its ledger has; `plan` is one of them, whose
    place the hold is to take.
    """
    if deployment.order != order_part(ask.grid):
        return Constraint.AUTHORITY, "the order is of another grid"
    mine = (ask.grid, plan.grid if plan is not None else ask.grid)
    user, up = taken.names.get(deployment.key, (ask.grid, False))
    if user not in mine and up:
        return Constraint.NAME, f"a grid named {deployment.name} is here already, id {user}"
    if user not in mine:
        held = rows.get(user)
        how = "held as a plan" if held is not None and held.plan else "held or being cleared"
        return Constraint.CONTENDED, f"{deployment.name} is {how}, id {user}"
    if fault := vnis_taken(ask, deployment, taken, mine):
        return Constraint.NETWORK_ID, fault
    old = rows.get(ask.grid)
    if old is not None and old.requester not in ("", requester):
        return Constraint.AUTHORITY, "another peer asked for it first"
    if old is not None and (old.vnis, old.start_s) != (ask.vnis, ask.start_s):
        return Constraint.NETWORK_ID, "it is held with other VXLAN ids, or another start"
    others = entries - (len(plan.workspaces) if plan is not None else 0)
    return too_many(others + len(ask.workspaces))
