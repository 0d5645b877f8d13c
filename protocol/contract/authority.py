"""Whether an order allows what is asked: checked by every host on its own, whoever carried it.

For now a site's admin may deploy on every host of the federation, and may change what it deployed. A
site's own policy, and grants to virtual organisations, enter here.
"""

from collections.abc import Container

import msgspec

from protocol.grid.check import problems
from protocol.grid.expand import workspaces
from protocol.grid.lease import start_fault
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import (
    GridRecord,
    GridState,
    grid_id,
    hold_terms,
    lease_change,
    order_part,
    register_key,
    spec_of,
)
from protocol.terms.ids import GridId, KeyId
from protocol.terms.limits import HOLD_S, ORDERS_READ
from protocol.trust.order import (
    MAX_VALID_S,
    Action,
    CheckedOrder,
    SignedOrder,
    check_order,
    read_order,
)
from protocol.trust.remembering import Remembering
from protocol.trust.revocation import Certified
from protocol.trust.signing import Reason, Untrusted, Verifier
from protocol.wire.codec import Malformed


class Deployment(msgspec.Struct, frozen=True):
    """A believed order to bring up, or only to hold, read."""

    order: str
    """What the ids of its attempts start with."""
    name: str
    owner: KeyId
    owner_site: str
    spec: GridSpec
    workspaces: tuple[Workspace, ...]
    hold_s: float = HOLD_S
    """How long at most a host holds for it without more."""
    commits: bool = True
    """Whether what is held may become a grid. An order to hold a plan makes none."""
    issued_at_s: float = 0.0
    """When the order was signed; 0 for a draft."""

    @property
    def key(self) -> str:
        """Its name's register."""
        return register_key(self.owner, self.name)


class Authority:
    """What this peer believes, given the federation it belongs to."""

    def __init__(
        self, federation: KeyId, verifier: Verifier, revoked: Container[Certified] = ()
    ) -> None:
        """`revoked` is asked each time: it grows while the peer runs."""
        self._federation, self._revoked = federation, revoked
        self._verifier = Remembering(verifier)
        self._read: dict[str, tuple[GridSpec, tuple[Workspace, ...]]] = {}
        """Grids in orders that make sense, by the order's digest; the newest few."""

    def deployment(self, signed: SignedOrder, now: float, fresh: bool) -> Deployment:
        """Reads an `up` order. Untrusted if it is not believed or its grid makes no sense."""
        found = self.to_hold(signed, now, fresh)
        if not found.commits:
            raise Untrusted(Reason.MALFORMED, "an order to hold where up is needed")
        return found

    def to_hold(self, signed: SignedOrder, now: float, fresh: bool) -> Deployment:
        """The same, also of an order only to hold: it counts in its owner's use as an `up` does. Untrusted."""
        checked = self.order(signed, now, fresh)
        action = checked.order.action
        if action not in (Action.UP, Action.HOLD):
            raise Untrusted(Reason.MALFORMED, f"an order to {action} where up is needed")
        spec, members = self._read.get(checked.id) or self._make_sense(checked)
        if checked.order.valid_s > MAX_VALID_S and not spec.lease.best_effort:
            raise Untrusted(
                Reason.MALFORMED,
                f"an order valid for {checked.order.valid_s:.0f} s; only best effort may wait so long",
            )
        return Deployment(
            order=order_part(grid_id(signed)),
            name=spec.name,
            owner=checked.principal.key,
            owner_site=checked.principal.site,
            spec=spec,
            workspaces=members,
            hold_s=HOLD_S if action is Action.UP else hold_terms(checked.order).hold_s,
            commits=action is Action.UP,
            issued_at_s=checked.order.issued_at_s,
        )

    def _make_sense(self, checked: CheckedOrder) -> tuple[GridSpec, tuple[Workspace, ...]]:
        """What an order asks for, read once: it is asked again for each of its holds and records."""
        try:
            spec = spec_of(checked.order)
        except Malformed as error:
            raise Untrusted(Reason.MALFORMED, f"the grid in the order: {error}") from None
        if spec.name != checked.order.grid:
            raise Untrusted(Reason.MALFORMED, "the order names another grid than it contains")
        if wrong := problems(spec):
            raise Untrusted(Reason.MALFORMED, f"the grid in the order: {wrong[0].message}")
        read = spec, workspaces(spec)
        if len(self._read) >= ORDERS_READ:
            del self._read[next(iter(self._read))]
        self._read[checked.id] = read
        return read

    def draft(self, spec: GridSpec, site: str) -> Deployment:
        """A grid nobody has ordered yet, for a plan. Untrusted if it makes no sense."""
        if wrong := problems(spec):
            raise Untrusted(Reason.MALFORMED, wrong[0].message)
        return Deployment("", spec.name, KeyId(""), site, spec, workspaces(spec))

    def remember(self, signed: SignedOrder) -> dict[str, Workspace]:
        """The workspaces of an order from this peer's own store, believed when it was stored."""
        return {w.name: w for w in workspaces(spec_of(read_order(signed)))}

    def order(self, signed: SignedOrder, now: float, fresh: bool) -> CheckedOrder:
        """Any order. Untrusted."""
        return check_order(
            signed, self._federation, now, self._verifier, fresh=fresh, revoked=self._revoked
        )

    def change(self, signed: SignedOrder, record: GridRecord, now: float) -> CheckedOrder:
        """A fresh order about a grid that exists, by whoever made it. Untrusted."""
        checked = self.order(signed, now, True)
        self._by_owner(checked, record.id, record.name, record.owner)
        return checked

    def vouch(
        self, record: GridRecord, before: GridRecord | None, now: float, lapsed: bool = False
    ) -> Deployment:
        """Whether a record says no more than its owner's orders allow. Untrusted.

        `before` is the newest this peer had: what is gone since must be ordered gone. `lapsed` if its time
        is over by this peer's clock: then it may be down without an order.
        """
        deployment = self.deployment(record.order, now, fresh=False)
        if (deployment.order, deployment.name, deployment.owner) != (
            order_part(record.id),
            record.name,
            record.owner,
        ):
            raise Untrusted(Reason.MALFORMED, "a record that is not about its own order")
        names = [workspace.name for workspace in deployment.workspaces]
        if any(assignment.workspace not in names for assignment in record.assignments):
            raise Untrusted(Reason.MALFORMED, "a record of workspaces nobody ordered")
        if fault := start_fault(deployment.spec, record.start_s):
            raise Untrusted(Reason.MALFORMED, fault)
        ended, extra_s = self._ended(record, now)
        if record.extra_s != extra_s:
            raise Untrusted(Reason.MALFORMED, "a lease that nobody ordered so long, or so short")
        if record.state is GridState.DOWN and "" not in ended and not lapsed:
            raise Untrusted(Reason.MALFORMED, "a record that is down without an order")
        left = [assignment.workspace for assignment in record.assignments]
        if record.state is GridState.UP and before is None:
            self._enough(deployment, [*left, *ended])
        for assignment in before.assignments if before is not None else ():
            if assignment.workspace not in left and assignment.workspace not in ended:
                raise Untrusted(
                    Reason.MALFORMED, f"{assignment.workspace} vanished without an order"
                )
        return deployment

    def _enough(self, deployment: Deployment, there: list[str]) -> None:
        """Of every cluster at least its `min`, counting those that were ended since. Untrusted."""
        for cluster in deployment.spec.clusters:
            mine = [w.name for w in deployment.workspaces if w.cluster == cluster.name]
            if sum(name in there for name in mine) < cluster.least:
                why = f"a record with fewer than {cluster.least} of {cluster.name}"
                raise Untrusted(Reason.MALFORMED, why)

    def _ended(self, record: GridRecord, now: float) -> tuple[list[str], int]:
        """Workspaces ordered gone ("" stands for the whole grid), and by how much the lease was changed."""
        ended: list[str] = []
        extra_s = 0
        for signed in record.changes:
            checked = self.order(signed, now, fresh=False)
            self._by_owner(checked, record.id, record.name, record.owner)
            if checked.order.action is Action.DOWN:
                ended.append("")
            elif checked.order.action is Action.TERMINATE:
                ended.append(checked.order.workspace)
            elif checked.order.action is Action.LEASE:
                try:
                    extra_s += lease_change(signed).by_s
                except Malformed as error:
                    raise Untrusted(Reason.MALFORMED, f"a change of a lease: {error}") from None
        return ended, extra_s

    def _by_owner(self, checked: CheckedOrder, grid: GridId, name: str, owner: KeyId) -> None:
        if checked.principal.key != owner:
            raise Untrusted(
                Reason.WRONG_ROLE,
                f"{name} belongs to another site's admin than {checked.principal.site}'s",
            )
        if checked.order.grid not in (grid, name):
            raise Untrusted(Reason.MALFORMED, f"an order about {checked.order.grid}, not {name}")
