"""Reads an order to bring up a grid, to hold or to change it, into a deployment, if the order is believed."""

from collections.abc import Callable, Container

import msgspec

from protocol.capacity.allotments import Allotments
from protocol.contract.granted import require_granted
from protocol.contract.ordered import OrderedGrid, OrderedGrids, RecordCards, ordered
from protocol.contract.permitting import require_younger
from protocol.grid.apply_faults import fixed_faults
from protocol.grid.check import problems
from protocol.grid.expand import workspaces
from protocol.grid.grant import CheckedGrant, SignedGrant, check_grant
from protocol.grid.model import GridSpec, Workspace
from protocol.grid.record import (
    ApplyTerms,
    GridRecord,
    apply_terms,
    change_terms,
    is_about,
    name_key,
    order_part,
    spec_of,
)
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.terms.limits import HOLD_S
from protocol.trust.certificate import Chain, Principal, Role, check_chain, read_certificate
from protocol.trust.grants import read_grant, revoked_grant
from protocol.trust.order import (
    MAX_VALID_S,
    Action,
    CheckedOrder,
    SignedOrder,
    check_order,
    order_key,
    read_order,
)
from protocol.trust.owner import NOBODY, Owner
from protocol.trust.remembering import Remembering
from protocol.trust.revocation import Certified
from protocol.trust.signing import Reason, Untrusted, Verifier
from protocol.wire.codec import Malformed


class Deployment(msgspec.Struct, frozen=True):
    """What a believed order asks for: to bring up a grid, or only to hold it."""

    order: str
    """What the ids of its attempts begin with; empty for a draft."""
    name: str
    owner: KeyId
    owner_site: str
    spec: GridSpec
    workspaces: tuple[Workspace, ...]
    hold_s: float = HOLD_S
    """How long a host holds for it at most, in seconds, if nothing follows."""
    commits: bool = True
    """Whether what is held may become a grid. What an order to hold a plan holds never does."""
    issued_at_s: float = 0.0
    """When the order was signed, Unix seconds; 0 for a draft."""
    stewards: tuple[PeerId, ...] = ()
    """Who keeps the register of the order, as its signer chose."""
    via: str = ""
    """The one peer that may ask hosts, guards and stewards for it; empty if whoever shows it may."""
    asker: Owner = NOBODY
    """Who gave the order, and by which grants; nobody if nobody has yet, or room itself asks."""

    def is_for(self, peer: PeerId) -> bool:
        """Whether that peer may ask for it."""
        return self.via in ("", peer)

    @property
    def key(self) -> str:
        """What its name is known by."""
        return name_key(self.owner, self.name)


Governs = Callable[[Owner, Allotments], Allotments]
"""The allotments of a site as its newest policy has its ceilings, without hosts that were removed."""


def ungoverned(site: Owner, value: Allotments) -> Allotments:
    """The same, where no policy is known."""
    return value


class Reading:
    """What those orders say that this peer believes, given the federation it belongs to."""

    def __init__(
        self,
        federation: KeyId,
        verifier: Verifier,
        revoked: Container[Certified],
        admitted: Container[KeyId] = (),
        governs: Governs = ungoverned,
    ) -> None:
        self._federation, self._revoked, self._admitted = federation, revoked, admitted
        self.governs = governs
        self.verifier = Remembering(verifier)
        self._grids = OrderedGrids()
        self.cards = RecordCards()

    def order(self, signed: SignedOrder, now: float, fresh: bool) -> CheckedOrder:
        """Any order, believed. Raises Untrusted."""
        checked = check_order(
            signed, self._federation, now, self.verifier, fresh=fresh, revoked=self._revoked
        )
        if fresh and (barred := self.barred(checked.owner)):
            raise Untrusted(Reason.NOT_GRANTED, barred)
        return checked

    def barred(self, owner: Owner) -> str:
        """Why nothing new is kept or begun for an owner: it is a VO, whose key anybody can make, and no site
        lends to it. Empty if one does."""
        if not owner.vo or owner.key in self._admitted:
            return ""
        return f"no site's policy names VO {owner.vo}, key {owner.key[:16]}; a site's admin can"

    def signed(self, signed: SignedOrder) -> CheckedOrder:
        """An order that its signer could give when it was signed, whatever has become of the signer since.

        Every peer judges that alike, at any time. It allows nothing. Raises Untrusted.
        """
        issued_at_s = read_order(signed).issued_at_s
        return check_order(signed, self._federation, issued_at_s, self.verifier, fresh=False)

    def revoked(self, signed: SignedOrder) -> str:
        """Which grant that an order shows was revoked since, for people; empty if none, or it shows none."""
        grants = [read_grant(link) for link in signed.grants]
        return next((said for grant in grants if (said := revoked_grant(grant, self._revoked))), "")

    def grant(self, signed: SignedGrant) -> CheckedGrant:
        """What a host granted. Raises Untrusted."""
        return check_grant(signed, self.verifier)

    def host(self, chain: Chain) -> Principal:
        """The host that a chain is of, whatever has become of it since. Every peer judges that alike, at any
        time. Raises Untrusted."""
        from_s = max((read_certificate(link).not_before_s for link in chain[:2]), default=0.0)
        principal = check_chain(chain, self._federation, from_s, self.verifier)
        if principal.role is not Role.HOST:
            raise Untrusted(Reason.WRONG_ROLE, f"{principal.name} is no host")
        return principal

    def to_hold(self, signed: SignedOrder, now: float, fresh: bool) -> Deployment:
        """An order to bring up a grid, or only to hold it.

        Raises Untrusted if the order is not believed or its grid makes no sense.
        """
        checked = self.order(signed, now, fresh)
        action = checked.order.action
        if action not in (Action.UP, Action.HOLD):
            raise Untrusted(Reason.MALFORMED, f"an order to {action} where up is needed")
        grid = self._sensible(signed, checked)
        if grid.applies is not None:
            raise Untrusted(
                Reason.MALFORMED, "an order to hold a change where a new grid's is needed"
            )
        if fresh and action is Action.UP and not checked.order.stewards:
            raise Untrusted(
                Reason.MALFORMED, "the order names no stewards; sign it with an overlayctl of today"
            )
        if checked.order.valid_s > MAX_VALID_S and not grid.spec.lease.best_effort:
            raise Untrusted(
                Reason.MALFORMED,
                f"an order valid for {checked.order.valid_s:.0f} s; only best effort may wait so long",
            )
        return Deployment(
            order=order_key(signed),
            name=grid.spec.name,
            owner=checked.owner.key,
            owner_site=checked.owner.label,
            spec=grid.spec,
            workspaces=grid.workspaces,
            hold_s=grid.hold_s,
            commits=action is Action.UP,
            issued_at_s=checked.order.issued_at_s,
            stewards=checked.order.stewards,
            via=checked.order.via,
            asker=checked.owner,
        )

    def deployment(self, signed: SignedOrder, now: float, fresh: bool) -> Deployment:
        """The same, but only for an order to bring up a grid. Raises Untrusted."""
        found = self.to_hold(signed, now, fresh)
        if not found.commits:
            raise Untrusted(Reason.MALFORMED, "an order to hold where up is needed")
        return found

    def applied(
        self, signed: SignedOrder, now: float, fresh: bool
    ) -> tuple[CheckedOrder, OrderedGrid]:
        """An order to apply, and what it is to make of a grid.

        Raises Untrusted if it is not believed or makes no sense. Whether its signer may change that grid, and
        into that, is not looked at.
        """
        checked = self.order(signed, now, fresh)
        if checked.order.action is not Action.APPLY:
            what = f"an order to {checked.order.action} where apply is needed"
            raise Untrusted(Reason.MALFORMED, what)
        return checked, self._sensible(signed, checked)

    def changing(
        self, signed: SignedOrder, now: float, fresh: bool
    ) -> tuple[CheckedOrder, OrderedGrid]:
        """The same, but an order that only holds a change is read too. Raises Untrusted."""
        checked = self.order(signed, now, fresh)
        grid = self._sensible(signed, checked)
        if grid.applies is None:
            what = f"an order to {checked.order.action} where apply is needed"
            raise Untrusted(Reason.MALFORMED, what)
        return checked, grid

    def to_change(
        self, made: SignedOrder, change: SignedOrder, of: GridId, now: float, fresh: bool
    ) -> Deployment:
        """What an order to apply, or to hold a change, asks for of that grid, which the order `made` has made.

        Its owner signed both. Its attempts are known by the order to change it. Raises Untrusted; also if no
        grid of that order could become so.
        """
        up = self.signed(made)
        checked, grid = self.changing(change, now, fresh)
        if not checked.owner.may_change(up.owner.line) or up.order.action is not Action.UP:
            raise Untrusted(Reason.WRONG_ROLE, "the grid is another owner's")
        if order_part(of) != order_key(made) or not is_about(of, checked.order.grid):
            raise Untrusted(Reason.MALFORMED, f"an order about {checked.order.grid}, not {of}")
        # Stewards take neither such a change nor a vote against it, so it would be held for ever.
        require_younger(checked.order, up.order)
        if faults := fixed_faults(self.spec(made), grid.spec):
            raise Untrusted(Reason.MALFORMED, faults[0])
        return Deployment(
            order=order_key(change),
            name=grid.spec.name,
            owner=up.owner.key,
            owner_site=up.owner.label,
            spec=grid.spec,
            workspaces=_there(grid),
            hold_s=grid.hold_s,
            commits=checked.order.action is Action.APPLY,
            issued_at_s=checked.order.issued_at_s,
            stewards=up.order.stewards,
            via=checked.order.via,
            asker=checked.owner,
        )

    def to_grow(self, record: GridRecord, by: PeerId, now: float) -> Deployment:
        """What the standing order of a decided record allows of its grid, for the host `by` of it.

        Raises Untrusted if its signer could not order it now.
        """
        if record.applied is None:
            grid = self._sensible(record.order, self.order(record.order, now, fresh=False))
        else:
            grid = self.applied(record.standing, now, fresh=False)[1]
        return Deployment(
            order=order_key(record.standing),
            name=grid.spec.name,
            owner=record.owner,
            owner_site=record.owner_site,
            spec=grid.spec,
            workspaces=_there(grid),
            issued_at_s=now,
            stewards=read_order(record.order).stewards,
            via=by,
        )

    def stored(self, record: GridRecord) -> Deployment:
        """What a record in this peer's own store is to be. It was believed when it was stored.

        It made sense then, though an older build may have allowed more.
        """
        return self.of_record(record, self.remembered(record.standing))

    def of_record(self, record: GridRecord, grid: OrderedGrid) -> Deployment:
        """A record whose standing order has that grid. Who keeps it, and since when, its first order says."""
        made = read_order(record.order)
        return Deployment(
            order=order_key(record.order),
            name=grid.spec.name,
            owner=record.owner,
            owner_site=record.owner_site,
            spec=grid.spec,
            workspaces=_there(grid),
            issued_at_s=made.issued_at_s,
            stewards=made.stewards,
        )

    def remembered(self, signed: SignedOrder) -> OrderedGrid:
        """The grid in an order from this peer's own store, which was believed when it was stored."""
        grid = self._grids.get(signed.payload)
        if grid is None:
            order = read_order(signed)
            grid = ordered(order, spec_of(order), sensible=False)
            self._grids.put(signed.payload, grid)
        return grid

    def applied_terms(self, signed: SignedOrder) -> ApplyTerms:
        """What an order to apply says, whether or not it makes sense. Raises Untrusted."""
        grid = self._grids.get(signed.payload)
        if grid is not None and grid.applies is not None:
            return grid.applies
        try:
            return apply_terms(read_order(signed))
        except Malformed as error:
            raise Untrusted(Reason.MALFORMED, f"the grid in the order: {error}") from None

    def spec(self, signed: SignedOrder) -> GridSpec:
        """What an order to bring up, to hold or to apply asks for, whether or not it makes sense.

        Raises Untrusted.
        """
        if (grid := self._grids.get(signed.payload)) is not None:
            return grid.spec
        try:
            return spec_of(read_order(signed))
        except Malformed as error:
            raise Untrusted(Reason.MALFORMED, f"the grid in the order: {error}") from None

    def _sensible(self, signed: SignedOrder, checked: CheckedOrder) -> OrderedGrid:
        """The grid in an order that is believed. Raises Untrusted if it makes no sense; that is not kept."""
        grid = self._grids.get(signed.payload)
        if grid is not None and grid.sensible:
            require_granted(checked.owner, grid.spec)
            return grid
        try:
            spec, terms = spec_of(checked.order), change_terms(checked.order)
        except Malformed as error:
            raise Untrusted(Reason.MALFORMED, f"the grid in the order: {error}") from None
        if terms is None and spec.name != checked.order.grid:
            raise Untrusted(Reason.MALFORMED, "the order names another grid than it contains")
        if wrong := problems(spec):
            raise Untrusted(Reason.MALFORMED, f"the grid in the order: {wrong[0].message}")
        require_granted(checked.owner, spec)
        grid = ordered(checked.order, spec, sensible=True)
        self._grids.put(signed.payload, grid)
        return grid


def _there(grid: OrderedGrid) -> tuple[Workspace, ...]:
    """The workspaces that are to be there."""
    if not grid.without:
        return grid.workspaces
    absent = frozenset(grid.without)
    return tuple(w for w in grid.workspaces if w.name not in absent)


def draft(spec: GridSpec, site: str) -> Deployment:
    """A grid that nobody has ordered yet, for a plan. Raises Untrusted if it makes no sense."""
    if wrong := problems(spec):
        raise Untrusted(Reason.MALFORMED, wrong[0].message)
    return Deployment("", spec.name, KeyId(""), site, spec, workspaces(spec))
