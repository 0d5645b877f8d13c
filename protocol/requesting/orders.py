"""What people ask for. Each of it becomes a request, or is refused at once with a reason."""

import msgspec

from protocol.contract.audited import audited
from protocol.contract.authority import Authority
from protocol.contract.notices import Notice, notice_of
from protocol.contract.outcomes import Answer, Outcome
from protocol.contract.permitting import ENDS
from protocol.grid.problem import listed
from protocol.grid.record import GridRecord, GridState, change_terms
from protocol.requesting.acting import Acting
from protocol.requesting.admission import Admission
from protocol.requesting.applying import Applying
from protocol.requesting.changing import Changing
from protocol.requesting.confirming import Confirming
from protocol.requesting.events import CancelAsked, OrderGiven, PlanAsked
from protocol.requesting.extending import Extending, by_of
from protocol.requesting.finding import Finding
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.placing import Placing
from protocol.requesting.quotes import Quotes
from protocol.requesting.request import RequestState
from protocol.requesting.requests import Requests, answered
from protocol.terms.checking import FOUND_WITHIN_S
from protocol.terms.effects import Audit, Effect, Persist, Untidied
from protocol.terms.ids import GridId, KeyId, PeerId, RequestId
from protocol.terms.limits import BLIND_S
from protocol.trust.order import Action, CheckedOrder, SignedOrder
from protocol.trust.owner import admin, signing_as
from protocol.trust.signing import Untrusted
from protocol.trust.used import UsedOrders
from protocol.wire.codec import Malformed


class Orders:
    """Takes plans, orders and cancellations from people here."""

    def __init__(
        self,
        authority: Authority,
        requests: Requests,
        directory: HostDirectory,
        quotes: Quotes,
        admission: Admission,
        used: UsedOrders,
        confirming: Confirming,
    ) -> None:
        self._confirming = confirming
        self._authority, self._requests, self._directory = authority, requests, directory
        self._quotes, self._admission, self._used = quotes, admission, used

    def handle(self, event: PlanAsked | OrderGiven | CancelAsked, now: float) -> Answer:
        """Somebody here asks. Answers what follows; the request can be asked about from now on."""
        match event:
            case PlanAsked():
                return self._admission.plan(event, now)
            case OrderGiven(request=request, order=order, quote=quote):
                effects, outcomes = self._order(request, order, quote, now)
                return [*effects, self._line(request, order, now)], outcomes
            case CancelAsked(request=request):
                return self._cancel(request, now), []

    def _line(self, request: RequestId, order: SignedOrder, now: float) -> Audit:
        """What this peer made of an order, for its audit log."""
        view, directory = self._requests.view(request), self._directory
        refused = view is not None and view.state is RequestState.FAILED
        why = view.answer[0] if view is not None and refused else ""
        via = directory.me, directory.site(directory.me)
        return audited(self._authority, "order", order, via, now, why)

    def _cancel(self, request: RequestId, now: float) -> list[Effect]:
        """Lets go of all that is still undecided of a request."""
        taker = self._quotes.taker(request)
        for running in (self._requests.running(request), self._requests.running(taker)):
            if isinstance(running, Applying):
                return running.cancel(now)
            if isinstance(running, Placing):
                return self._spend(running.order, running.deployment.owner, now) + running.cancel(
                    now
                )
        return self._quotes.cancel(request)

    def _spend(self, order: SignedOrder | None, owner: KeyId, now: float) -> list[Effect]:
        """An order that was taken back makes nothing any more, whoever gives it again."""
        rows = self._used.use(order, owner, now) if order is not None else ()
        return [Persist(rows, Untidied())] if rows else []

    def _order(self, request: RequestId, signed: SignedOrder, quote: str, now: float) -> Answer:
        if request in self._requests:
            return [], []
        try:
            checked = self._authority.order(signed, now, fresh=True)
            if checked.order.via not in ("", self._directory.me):
                other = self._directory.name(PeerId(checked.order.via))
                lines = (
                    f"this order is for {other} to carry out, not for this peer",
                    f"  would work: give it to {other}, or sign it again here",
                )
                return self._no(request, checked.order.action, "", lines, now)
            if checked.order.action is Action.UP:
                return self._admission.up(request, signed, quote, now)
            if checked.order.action is Action.HOLD and change_terms(checked.order) is None:
                return self._admission.hold(request, signed, now)
        except (Malformed, Untrusted) as error:
            return self._no(request, "order", "", (f"this order is not accepted: {error}",), now)
        placing = self._admission.running_of(checked)
        if placing is not None and checked.order.action is Action.DOWN and placing.record is None:
            return self._stop(request, checked, signed, placing, now)
        return self._change(request, checked, signed, placing, now, quote)

    # -- a grid that is being placed

    def _stop(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        placing: Placing,
        now: float,
    ) -> Answer:
        """`down` of a grid that is not made yet: it never is. If it is before its stewards, they decide.

        If hosts tell of such a grid, the request only follows it, and that grid ends.
        """
        grid = placing.grid
        undecided, order = placing.undecided, placing.order
        assert order is not None
        spent = self._spend(order, placing.deployment.owner, now)
        effects = spent + placing.cancel(now)
        if undecided is not None:
            about = self._foreseen(undecided, now)
            directory = self._directory
            stopping = Changing(
                request, checked, signed, about, directory, now, undecided=undecided.order
            )
            self._requests.add(stopping)
            return spent, stopping.start(now)
        heard = self._directory.notices.meant(checked.order.grid, checked.owner.key)
        if heard is not None and heard.state is GridState.UP:
            more, outcomes = self._change(request, checked, signed, None, now)
            return effects + more, outcomes
        stopped = f"{grid} was still being placed; that request is cancelled"
        view = answered(request, "down", grid, (stopped,), now)
        done = msgspec.structs.replace(view, state=RequestState.DONE, stage="done")
        self._requests.refused(done)
        return effects, []

    # -- a grid that exists

    def _change(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        placing: Placing | None,
        now: float,
        quote: str = "",
    ) -> Answer:
        grids = self._directory.notices.told(checked.order.grid)
        if placing is None and self._may_hear(grids, now):
            within_s = FOUND_WITHIN_S if grids else BLIND_S
            self._requests.add(Finding(request, checked, signed, now, within_s, quote))
            return [], self._confirming.want(grids, now)
        return self._change_now(request, checked, signed, placing, now, quote)

    def found(self, now: float) -> Answer:
        """Lets orders go on of which it is known by now which grid they are about, or that waited enough."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for finding in self._requests.finding():
            grids = self._directory.notices.told(finding.checked.order.grid)
            if self._may_hear(grids, now) and now < finding.until_found_s:
                continue
            it = finding
            more, then = self._change_now(it.id, it.checked, it.signed, None, now, it.quote)
            effects, outcomes = effects + more, outcomes + then
        return effects, outcomes

    def _may_hear(self, grids: list[GridId], now: float) -> bool:
        """Whether more may be known in a moment of what an order is about: `grids`, as far as hosts tell."""
        if not grids:
            return self._directory.beginning(now)
        return any(self._confirming.open(grid, now) for grid in grids)

    def _change_now(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        placing: Placing | None,
        now: float,
        quote: str,
    ) -> Answer:
        order = checked.order
        notice = self._notice(order.grid, checked, placing, now)
        if notice is None or self._is_down(notice):
            name = order.grid if placing is None else placing.grid
            name = name if notice is None else notice.name
            lines = self._no_such_grid(name, checked.owner.key)
            return self._no(request, order.action, name, lines, now)
        names = [name for name, _ in notice.placed]
        if order.workspace and order.workspace not in names:
            missing = f"{notice.name} has no workspace {order.workspace}; it has {', '.join(names)}"
            return self._no(request, order.action, notice.name, (missing,), now)
        if order.action is Action.LEASE:
            return self._lease(request, signed, notice, now)
        if order.action in (Action.APPLY, Action.HOLD):
            return self._admission.apply(request, checked, signed, notice, quote, now)
        if order.action in (Action.DOWN, Action.TERMINATE):
            changing = Changing(request, checked, signed, notice, self._directory, now)
            self._requests.add(changing)
            outcomes = changing.start(now)
            return changing.at_once(now), outcomes
        boots = self._directory.boots(notice.grid)
        acting = Acting(request, checked, signed, notice, boots, self._directory, now)
        self._requests.add(acting)
        return acting.start(now), []

    def _is_down(self, notice: Notice) -> bool:
        """Whether a grid was taken down. Nobody is told so on hearsay."""
        return notice.state is GridState.DOWN and self._directory.notices.confirmed(notice.grid)

    def _lease(self, request: RequestId, signed: SignedOrder, notice: Notice, now: float) -> Answer:
        try:
            extending = Extending(request, signed, by_of(signed), notice, self._directory, now)
        except Malformed as error:
            return self._no(request, "lease", notice.name, (error.detail,), now)
        self._requests.add(extending)
        return extending.start(now)

    def _notice(
        self, said: str, checked: CheckedOrder, placing: Placing | None, now: float
    ) -> Notice | None:
        """What is known of a grid, even in the moment between its commit and its hosts' first word."""
        # A site's next key may end what the one before ordered.
        heir = checked.owner.site if checked.order.action in ENDS else ""
        heard = self._directory.notices.meant(said, checked.owner.key, heir)
        if placing is not None and placing.record is not None:
            record = placing.record
            if heard is None or heard.grid != record.id:
                return self._foreseen(record, now)
        return heard

    def _foreseen(self, record: GridRecord, now: float) -> Notice:
        """What the hosts of a grid that was ordered here will tell of it, as far as its record says.

        A lease that is not reserved begins about now.
        """
        spec = self._authority.ordered(record).spec
        ends_s = (record.start_s or now) + spec.lease_s
        return msgspec.structs.replace(notice_of(record, spec), ends_s=ends_s)

    def _no_such_grid(self, name: str, owner: KeyId) -> tuple[str, ...]:
        mine = self._directory.living(name, owner)
        why = f"there is no grid named {name}"
        help_ = "`overlayctl ps` lists the grids there are"
        if mine is not None:
            why = f"an order names a grid by its id, and {name} is a name"
            help_ = f"the same about {mine.grid}; `overlayctl` looks it up"
        if sites := self._owners(name, owner):
            why = f"{name} belongs to {listed([admin(label) for label in sites])}"
            help_ = f"the same {' or '.join(map(signing_as, sites))}"
        plan = self._quotes.holding(f"{owner}/{name}")
        if plan is not None and mine is None:
            help_ = f"`overlayctl request cancel {plan.id}` lets the plan of it go"
        return why, f"  would work: {help_}"

    def _owners(self, name: str, owner: KeyId) -> list[str]:
        """The sites of others whose grid of that name or id is up."""
        notices = self._directory.notices
        newest = (notices.newest(grid) for grid in notices.grids())
        found = [n for n in newest if n is not None and name in (n.name, n.grid)]
        if known := [n for n in found if notices.confirmed(n.grid)]:
            found = known
        others = (n.owner_site for n in found if n.state is GridState.UP and n.owner != owner)
        return sorted(dict.fromkeys(others))

    def _no(
        self, request: RequestId, kind: str, grid: str, lines: tuple[str, ...], now: float
    ) -> Answer:
        self._requests.refused(answered(request, kind, grid, lines, now))
        return [], []
