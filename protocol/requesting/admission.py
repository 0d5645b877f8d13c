"""What people ask to be placed here: plans, quotes, plans that are held, and grids to be made."""

from typing import Protocol

import msgspec

from protocol.capacity.advert import ImageLabel
from protocol.contract.authority import Authority, Deployment
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer
from protocol.grid.record import ApplyTerms, change_terms, hold_terms, order_part
from protocol.requesting.applying import Applying, Wish
from protocol.requesting.events import PlanAsked
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.outlook import OwnFacts
from protocol.requesting.placing import Placing
from protocol.requesting.policies import Policy
from protocol.requesting.queue import Queue
from protocol.requesting.quotes import Quotes
from protocol.requesting.quoting import Quoting
from protocol.requesting.redeeming import Redeeming
from protocol.requesting.requests import Requests, answered
from protocol.requesting.steps import Look, Reason
from protocol.requesting.surroundings import Surroundings
from protocol.terms.dice import Dice
from protocol.terms.ids import GridId, KeyId, RequestId
from protocol.terms.limits import PROPOSALS_KEPT, QUEUED_MOST
from protocol.trust.identity import Identity
from protocol.trust.order import (
    Action,
    CheckedOrder,
    SignedOrder,
    claimed,
    order_key,
    read_order,
)
from protocol.trust.signing import Untrusted
from protocol.trust.used import UsedOrders
from protocol.wire.codec import Malformed


class Ranking(Protocol):
    """Who comes first, by shares and what was used of them."""

    def priority(self, owner: KeyId) -> float:
        """An owner's, from 0 to 1: who has the most comes first."""


class OwnHost(OwnFacts, Protocol):
    """This peer as a host: it is asked what it has, since it hears no advert of its own."""

    @property
    def images(self) -> tuple[ImageLabel, ...]:
        """What it has of images now."""

    @property
    def sharing(self) -> Ranking:
        """Who comes first here."""


class Admission:
    """Makes such requests, or says at once why not."""

    def __init__(
        self,
        identity: Identity,
        authority: Authority,
        surroundings: Surroundings,
        dice: Dice,
        requests: Requests,
        directory: HostDirectory,
        queue: Queue,
        quotes: Quotes,
        host: OwnHost,
        used: UsedOrders,
    ) -> None:
        self._site, self._authority, self._surroundings = identity.site, authority, surroundings
        self._dice, self._requests, self._directory = dice, requests, directory
        self._queue, self._quotes, self._host, self._used = queue, quotes, host, used

    def plan(self, event: PlanAsked, now: float) -> Answer:
        """Asks for a round of quotes, and keeps what is found if that is asked for."""
        request, spec = event.request, event.spec
        if request in self._requests:
            return [], []
        kind = "quote" if event.keep else "plan"
        try:
            deployment = self._authority.draft(spec, event.site or self._site)
        except Untrusted as error:
            return self._no(request, kind, spec.name, (str(error),), now)
        if event.change:
            return self._plan_change(event, kind, deployment, now)
        if unknown := self._directory.unknown_image(spec, self._host.images, now):
            return self._no(request, kind, spec.name, unknown, now)
        quoting = Quoting(request, deployment, holds=False) if event.keep else None
        there = self._directory.living(spec.name, site=event.site or self._site)
        if there is None:
            return self._add(request, deployment, None, now, quoting).begin(now)
        owned = msgspec.structs.replace(deployment, owner=there.owner)
        return self._compare(request, owned, None, there, quoting, now)

    def up(self, request: RequestId, signed: SignedOrder, quote: str, now: float) -> Answer:
        """Places a grid. With a `quote` it places exactly what that says. Raises Untrusted."""
        deployment = self._authority.deployment(signed, now, fresh=True)
        name = deployment.name
        there = self._directory.living(name, deployment.owner)
        if there is not None and quote and not self._directory.notices.confirmed(there.grid):
            there = None  # It is looked at before anything is committed.
        if there is not None and self.running(deployment.key) is None:
            return self._again(request, deployment, signed, there, quote, now)
        if deployment.order in self._used:
            placing = self._add(request, deployment, signed, now)
            return placing.begin(now, Look(Reason.CANNOT_BEGIN, _spent(name)))
        if full := self._used.full(deployment.owner, now):
            return self._no(request, "up", name, (f"cannot make {name}: {full}",), now)
        if lines := self._in_the_way(deployment, quote, now):
            return self._no(request, "up", name, lines, now)
        if quote:
            return self._take(request, deployment, signed, RequestId(quote), now)
        if not deployment.spec.lease.best_effort:
            return self._add(request, deployment, signed, now).begin(now, self._first(signed))
        if self._queue.full:
            full = f"{QUEUED_MOST} requests wait at this peer already, as many as it keeps"
            return self._no(request, "up", name, (full, "  would work: another peer"), now)
        return self._queue.add(request, deployment, signed, now), []

    def _again(
        self,
        request: RequestId,
        deployment: Deployment,
        signed: SignedOrder,
        there: Notice,
        quote: str,
        now: float,
    ) -> Answer:
        """A grid of that name is up. An order that is given again has the answer of the first time.

        Another order of that grid has the answer that it is up. One of another grid is told what differs.
        """
        if order_part(there.grid) != deployment.order:
            if quote:
                return self._no(request, "up", deployment.name, _exists(there), now)
            return self._compare(request, deployment, signed, there, None, now)
        placing = self._add(request, deployment, signed, now)
        if (proposal := self._quotes.get(RequestId(quote))) is not None:
            self._quotes.taken(proposal, request)
        if not self._directory.notices.confirmed(there.grid):
            return placing.look(Look(Reason.GIVEN_BEFORE), now)
        return placing.look(Look(Reason.NAME_IS_UP, _exists(there)), now)

    def _compare(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        there: Notice,
        quoting: Quoting | None,
        now: float,
    ) -> Answer:
        """Asks the stewards of the grid that is up whether it is as it is asked for now."""
        ups = order is not None and quoting is None
        kind = quoting.kind if quoting is not None else "up" if ups else "plan"
        hearsay = not self._directory.notices.confirmed(there.grid)
        if there.ends_s and there.ends_s <= now and not hearsay:
            return self._no(request, kind, deployment.name, _over(there), now)
        placing = self._add(request, deployment, order, now, quoting)
        reason = Reason.NAME_IS_UP if ups else Reason.IS_PLANNED
        return placing.look(Look(reason, _exists(there), there, hearsay), now)

    def _plan_change(self, event: PlanAsked, kind: str, draft: Deployment, now: float) -> Answer:
        """Says what a change of a grid would do, and where what it adds would go."""
        there = self._directory.notices.newest(event.change)
        if there is None:
            lines = (
                f"there is no grid {event.change}",
                "  would work: one that `overlayctl ps` lists",
            )
            return self._no(event.request, kind, event.spec.name, lines, now)
        wish = Wish(draft, ApplyTerms(event.spec, 0, event.without), keeps=event.keep)
        return self._applying(event.request, wish, there, now)

    def apply(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        notice: Notice,
        quote: str,
        now: float,
    ) -> Answer:
        """Makes a grid that is up what an order says, or has that held; with a `quote` exactly as quoted."""
        kind = str(checked.order.action)
        try:
            terms = change_terms(checked.order)
            assert terms is not None, "an order to apply, or to hold a change"
            draft = self._authority.draft(terms.spec, notice.owner_site)
        except (Malformed, Untrusted) as error:
            why = f"cannot change {notice.name}: {error}"
            return self._no(request, kind, notice.name, (why,), now)
        deployment = msgspec.structs.replace(
            draft,
            order=order_key(signed),
            owner=notice.owner,
            issued_at_s=checked.order.issued_at_s,
            stewards=notice.stewards,
            via=checked.order.via,
        )
        if checked.order.action is Action.HOLD:
            hold_s = hold_terms(checked.order).hold_s
            deployment = msgspec.structs.replace(deployment, hold_s=hold_s, commits=False)
        wish = Wish(deployment, terms, signed, quoted=self._quotes.get(RequestId(quote)))
        if lines := self._no_change(wish, notice, quote):
            return self._no(request, kind, notice.name, lines, now)
        if wish.quoted is not None:
            self._quotes.taken(wish.quoted, request)
        return self._applying(request, wish, notice, now)

    def _no_change(self, wish: Wish, notice: Notice, quote: str) -> tuple[str, ...]:
        """Why a change is not begun because of quotes and plans at this peer, and what would work; empty if it
        can be tried."""
        name, terms, quoted = notice.name, wish.terms, wish.quoted
        held = self._quotes.holding(wish.deployment.key)
        if held is not None and held.id != quote and held.epoch == terms.epoch:
            works = f"`overlayctl up --quote {held.id}`, or `overlayctl request cancel {held.id}`"
            return f"a change of {name} is held already, {held.id}", f"  would work: {works}"
        if not wish.deployment.commits and self._quotes.full:
            return _as_many_as_kept()
        if not quote:
            return ()
        if quoted is None:
            return (
                f"cannot change {name}: there is no quote {quote} at this peer, or its time is up",
                "  would work: `overlayctl plan --quote` again",
            )
        asked = (notice.grid, terms.spec, terms.epoch, terms.without)
        if (quoted.change, quoted.spec, quoted.epoch, quoted.without) == asked:
            return ()
        if quoted.change == notice.grid and quoted.epoch != terms.epoch:
            why = f"it was quoted for epoch {quoted.epoch} of {name}, which is at {terms.epoch}"
            return f"cannot change {name}: {why}", "  would work: `overlayctl plan --quote` again"
        return (
            f"cannot change {name}: the order is not for the change that {quote} was made for",
            f"  would work: `overlayctl up --quote {quote}`, which orders that change",
        )

    def _applying(self, request: RequestId, wish: Wish, notice: Notice, now: float) -> Answer:
        without = frozenset(wish.terms.without)
        there = tuple(w for w in wish.deployment.workspaces if w.name not in without)
        deployment = msgspec.structs.replace(wish.deployment, workspaces=there)
        applying = Applying(
            request,
            msgspec.structs.replace(wish, deployment=deployment),
            notice,
            self._surroundings,
            self._authority,
            lambda spec, at_s: self._directory.unknown_image(spec, self._host.images, at_s),
            self._dice,
            now,
        )
        self._requests.add(applying)
        return applying.start(now)

    def hold(self, request: RequestId, signed: SignedOrder, now: float) -> Answer:
        """Makes a plan, and has it held. Raises Untrusted."""
        deployment = self._authority.to_hold(signed, now, fresh=True)
        name = deployment.name
        lines = self._in_the_way(deployment, "", now)
        if deployment.order in self._used:
            lines = _spent(name)
        if not lines and self._quotes.full:
            lines = _as_many_as_kept()
        if lines:
            return self._no(request, "hold", name, lines, now)
        quoting = Quoting(request, deployment, holds=True)
        there = self._directory.living(name, deployment.owner)
        if there is not None:
            return self._compare(request, deployment, signed, there, quoting, now)
        return self._add(request, deployment, signed, now, quoting).begin(now)

    def _in_the_way(self, deployment: Deployment, quote: str, now: float) -> tuple[str, ...]:
        """Why nothing of that name can be placed now, and what would work; empty if it can be tried."""
        name = deployment.name
        if unknown := self._directory.unknown_image(deployment.spec, self._host.images, now):
            if not quote:
                return unknown
            moved = f"cannot make {name} as quoted ({quote}): the world moved"
            return (moved, f"  {unknown[0]}", *unknown[1:])
        if self.running(deployment.key) is not None:
            return (f"{name} is being brought up by another request at this peer",)
        plan = self._quotes.holding(deployment.key)
        if plan is not None and plan.id != quote:
            return (
                f"a plan of {name} is held already, {plan.id}",
                f"  would work: `overlayctl up --quote {plan.id}`, or `overlayctl request cancel {plan.id}`",
            )
        return ()

    def _take(
        self,
        request: RequestId,
        deployment: Deployment,
        signed: SignedOrder,
        quote: RequestId,
        now: float,
    ) -> Answer:
        proposal, name = self._quotes.get(quote), deployment.name
        if proposal is None:
            lines = (
                f"cannot make {name}: there is no quote {quote} at this peer, or its time is up",
                "  would work: `overlayctl plan --quote` again",
            )
            if self._first(signed) is None:
                return self._no(request, "up", name, lines, now)
            placing = self._add(request, deployment, signed, now)
            return placing.begin(now, Look(Reason.CANNOT_BEGIN, lines))
        if proposal.spec != deployment.spec:
            lines = (
                f"cannot make {name}: the order is not for the grid that {quote} was made for",
                f"  would work: `overlayctl up --quote {quote}`, which orders that grid",
            )
            return self._no(request, "up", name, lines, now)
        if proposal.held and proposal.key != deployment.key:
            lines = (
                f"cannot make {name}: plan {quote} is held for site {proposal.site}'s admin",
                f"  would work: the same with --identity of site {proposal.site}'s admin",
            )
            return self._no(request, "up", name, lines, now)
        self._quotes.taken(proposal, request)
        placing = self._add(request, deployment, signed, now, Redeeming(deployment, proposal))
        return placing.begin(now, self._first(signed))

    def _add(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        now: float,
        policy: Policy | None = None,
    ) -> Placing:
        surroundings, dice = self._surroundings, self._dice
        placing = Placing(request, deployment, order, surroundings, dice, now, policy)
        self._requests.add(placing)
        return placing

    def running(self, key: str) -> Placing | None:
        """The request that places a grid of that owner and name."""
        for placing in self._requests.placing():
            if placing.order is not None and placing.deployment.key == key and placing.running:
                return placing
        return None

    def running_of(self, checked: CheckedOrder) -> Placing | None:
        """The request that places the grid which an order of the same owner names."""
        for placing in self._requests.placing(order_part(GridId(checked.order.grid))):
            order = placing.order
            if (
                order is not None
                and placing.running
                and checked.owner.may_change(claimed(order).line)
            ):
                return placing
        return None

    def _first(self, signed: SignedOrder) -> Look | None:
        """The look that comes first, if an earlier life of this peer may have had that order; else None."""
        older = read_order(signed).issued_at_s < self._directory.born_s
        return Look(Reason.GIVEN_BEFORE) if older else None

    def _no(
        self, request: RequestId, kind: str, grid: str, lines: tuple[str, ...], now: float
    ) -> Answer:
        self._requests.refused(answered(request, kind, grid, lines, now))
        return [], []


def _spent(name: str) -> tuple[str, ...]:
    return (
        f"cannot make {name}: this order was carried out already, or taken back",
        f"  would work: sign a new order for {name}",
    )


def _as_many_as_kept() -> tuple[str, ...]:
    full = f"{PROPOSALS_KEPT} plans are held for people at this peer, as many as it keeps"
    return full, "  would work: another peer, or `overlayctl request cancel` of one"


def _over(there: Notice) -> tuple[str, ...]:
    name = there.name
    return (
        f"{name} is made already, and its lease is over; what is left of it is kept for a while",
        f"  would work: `overlayctl lease extend {name} 6h`, or `overlayctl down {name}` and this again",
    )


def _exists(there: Notice) -> tuple[str, ...]:
    return (
        f"a grid named {there.name} exists already, id {there.grid}",
        "  would work: take it down with `overlayctl down`, or choose another name",
    )
