"""This peer as the one somebody asked: requests, and what it has heard of hosts and grids."""

from collections.abc import Callable

import msgspec

from protocol.capacity.advert import KIND as ADVERT
from protocol.capacity.advert import Advert
from protocol.contract.authority import Authority
from protocol.contract.messages import (
    ActReply,
    DecidedAck,
    HoldReply,
    LeaseReply,
    NegotiationMessage,
    Quote,
    RoomKept,
)
from protocol.contract.notices import NOTICE, Notice
from protocol.contract.outcomes import Outcome
from protocol.grid.record import GridRecord, GridState
from protocol.hosting.host import Host
from protocol.hosting.part import part_of
from protocol.membership.membership import Membership
from protocol.register.proposer import Settled, Unsettled
from protocol.requesting.acting import Acting
from protocol.requesting.admission import Admission
from protocol.requesting.changing import Changing
from protocol.requesting.events import CancelAsked, OrderGiven, PlanAsked
from protocol.requesting.extending import Extending, by_of
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.placing import Placing
from protocol.requesting.queue import Queue
from protocol.requesting.quotes import Quotes
from protocol.requesting.request import RequestState
from protocol.requesting.requests import Requests, answered
from protocol.requesting.surroundings import Surroundings
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Realise, earliest
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.identity import Identity
from protocol.trust.order import Action, CheckedOrder, SignedOrder
from protocol.trust.record import Record
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed, decode

Answer = tuple[list[Effect], list[Outcome]]


class Desk:
    """Takes requests and orders from people here, and follows them to their answers."""

    def __init__(
        self,
        identity: Identity,
        authority: Authority,
        membership: Membership,
        host: Host,
        dice: Dice,
        incarnation: int,
        detail: Callable[[tuple[str, ...], float], list[Effect]],
        expects: bool,
        now: float,
    ) -> None:
        """`detail` asks other sites for their hosts, when they are not all known; `expects` says whether there
        are others that this peer knows how to reach."""
        self._identity, self._authority = identity, authority
        self._host, self._dice = host, dice
        self.requests = Requests()
        self.directory = HostDirectory(identity, membership, expects, now)
        self._waits: dict[GridId, tuple[tuple[str, ...], ...]] = {}
        life = f"{identity.peer}/{incarnation}"
        heard, proposals = self.directory, Quotes(self.requests)
        surroundings = Surroundings(
            life,
            heard.candidates,
            heard.stewards,
            detail,
            heard.blind,
            proposals.keep,
            lambda: heard.narrowed,
        )
        self.queue = Queue(self.requests, authority, surroundings, dice)
        self.quotes = proposals
        self.admission = Admission(
            identity,
            authority,
            surroundings,
            dice,
            self.requests,
            self.directory,
            self.queue,
            self.quotes,
            lambda: host.images,
        )

    # -- people

    def handle(self, event: PlanAsked | OrderGiven | CancelAsked, now: float) -> Answer:
        """Somebody here asks."""
        match event:
            case PlanAsked():
                return self.admission.plan(event, now)
            case OrderGiven(request=request, order=order, quote=quote):
                return self._order(request, order, quote, now)
            case CancelAsked(request=request):
                running = self.requests.running(request)
                taker = self.requests.running(self.quotes.taker(request))
                for placing in (running, taker):
                    if isinstance(placing, Placing):
                        return placing.cancel(now), []
                return self.quotes.cancel(request), []

    def _order(self, request: RequestId, signed: SignedOrder, quote: str, now: float) -> Answer:
        if request in self.requests:
            return [], []
        try:
            checked = self._authority.order(signed, now, fresh=True)
            if checked.order.action is Action.UP:
                return self.admission.up(request, signed, quote, now)
            if checked.order.action is Action.HOLD:
                return self.admission.hold(request, signed, now)
        except Untrusted as error:
            return self._no(request, "order", "", (f"this order is not accepted: {error}",), now)
        return self._change(request, checked, signed, now)

    def notes(self) -> list[Effect]:
        """Each answer is told once; what waits no more leaves the queue."""
        tidy = self.queue.tidy() + self.quotes.tidy()
        return self.requests.notes() + tidy

    def _change(
        self, request: RequestId, checked: CheckedOrder, signed: SignedOrder, now: float
    ) -> Answer:
        order, owner = checked.order, checked.principal.key
        placing = self.admission.running(f"{owner}/{order.grid}")
        undecided = placing.undecided if placing is not None else None
        if undecided is not None and placing is not None and order.action is Action.DOWN:
            placing.cancel(now)
            about = _first_notice(undecided)
            stopping = Changing(
                request, checked, signed, about, self.directory.alive, now, undecided=True
            )
            self.requests.add(stopping)
            return [], stopping.start(now)
        if placing is not None and placing.record is None and order.action is Action.DOWN:
            effects = placing.cancel(now)
            stopped = f"{order.grid} was still being placed; that request is cancelled"
            view = answered(request, "down", order.grid, (stopped,), now)
            done = msgspec.structs.replace(view, state=RequestState.DONE, stage="done")
            self.requests.refused(done)
            return effects, []
        notice = self._notice(order.grid, checked, placing)
        if notice is None or notice.state is GridState.DOWN:
            known = self.directory.notices.named(order.grid)
            why = f"there is no grid named {order.grid}"
            help_ = "`overlayctl ps` lists the grids there are"
            if known is not None and known.owner != owner and known.state is GridState.UP:
                why = f"{order.grid} belongs to site {known.owner_site}'s admin"
                help_ = f"the same with --identity of site {known.owner_site}'s admin"
            plan = self.quotes.holding(f"{owner}/{order.grid}")
            if plan is not None and known is None:
                help_ = f"`overlayctl request cancel {plan.id}` lets the plan of it go"
            lines = (why, f"  would work: {help_}")
            return self._no(request, order.action, order.grid, lines, now)
        names = [name for name, _ in notice.placed]
        if order.workspace and order.workspace not in names:
            missing = f"{order.grid} has no workspace {order.workspace}; it has {', '.join(names)}"
            return self._no(request, order.action, order.grid, (missing,), now)
        if order.action is Action.LEASE:
            return self._lease(request, signed, notice, now)
        if order.action in (Action.DOWN, Action.TERMINATE):
            changing = Changing(request, checked, signed, notice, self.directory.alive, now)
            self.requests.add(changing)
            return [], changing.start(now)
        acting = Acting(request, checked, signed, notice, self.directory.boots(notice.grid), now)
        self.requests.add(acting)
        return acting.start(now), []

    def _lease(self, request: RequestId, signed: SignedOrder, notice: Notice, now: float) -> Answer:
        try:
            extending = Extending(request, signed, by_of(signed), notice, now)
        except Malformed as error:
            return self._no(request, "lease", notice.name, (str(error),), now)
        self.requests.add(extending)
        return extending.start(now)

    # -- messages and news

    def message(self, sender: PeerId, message: NegotiationMessage, now: float) -> Answer:
        """A host answers."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        match message:
            case Quote(request=request):
                running = self.requests.running(request)
                if isinstance(running, Placing):
                    return running.quote(sender, message, now)
            case HoldReply():
                for placing in self.requests.placing():
                    more, due = placing.hold_reply(sender, message, now)
                    effects += more
                    outcomes += due
            case DecidedAck():
                for placing in self.requests.placing():
                    placing.acknowledged(sender, message, now)
                for changing in self.requests.changing():
                    changing.acknowledged(sender, message)
                for extending in self.requests.extending():
                    extending.acknowledged(sender, message, now)
            case RoomKept():
                for placing in self.requests.placing():
                    placing.kept(sender, message, now)
            case LeaseReply(request=request):
                running = self.requests.running(request)
                if isinstance(running, Extending):
                    return [], running.replied(sender, message, now)
            case ActReply(request=request):
                running = self.requests.running(request)
                if isinstance(running, Acting):
                    running.replied(sender, message, now)
                    self._remind(running, now)
            case _:
                pass
        return effects, outcomes

    def settled(self, outcome: object, now: float) -> Answer:
        """The stewards' word on a commit or a change of a request here."""
        assert isinstance(outcome, Settled | Unsettled)
        head, _, tail = outcome.id.partition(":")
        if head == "commit":
            for placing in self.requests.placing():
                if placing.grid_id == tail:
                    if isinstance(outcome, Unsettled):
                        return placing.unsettled(outcome.why, now)
                    effects, outcomes = placing.settled(outcome.value, now)
                    self._remind(placing, now)
                    return effects, outcomes
        running = self.requests.running(tail) if head == "change" else None
        if isinstance(running, Changing | Extending):
            if isinstance(outcome, Unsettled):
                running.unsettled(outcome.why, now)
                return [], []
            effects = running.settled(outcome.value, now)
            if isinstance(running, Changing):
                self._remind(running, now)
            return effects, []
        return [], []

    def news(self, record: Record, now: float) -> Answer:
        """An advert or a notice from the directory. Malformed if its body is not one."""
        peer = PeerId(record.owner)
        if record.kind == ADVERT and record.body:
            if self.directory.advertised(peer, decode(record.body, Advert), now):
                self.queue.room_changed(now, here=False)
        elif record.kind == NOTICE and not record.body:
            self._unheard(peer, GridId(record.name))
        elif record.kind == NOTICE:
            notice = decode(record.body, Notice)
            self.directory.notices.put(peer, notice, now)
            self._host.leases.noticed(notice.grid, notice.epoch, now)
            effects = self._host.leases.hindered(notice.grid, peer, notice)
            self._tell(peer, notice, now)
            return effects + self._wake(notice), []
        return [], []

    def ended(self, record: Record) -> None:
        """A record outlived its time: nobody stands for what it said any more."""
        peer = PeerId(record.owner)
        if record.kind == ADVERT:
            self.directory.adverts.pop(peer, None)
        elif record.kind == NOTICE:
            self._unheard(peer, GridId(record.name))

    def _unheard(self, peer: PeerId, grid: GridId) -> None:
        self.directory.notices.drop(peer, grid)
        self._host.leases.preemption.unheard(grid, peer)

    def own_news(self, notices: list[Notice], now: float) -> Answer:
        """What this peer itself just told."""
        effects: list[Effect] = []
        for notice in notices:
            self._tell(self._identity.peer, notice, now)
            effects += self._wake(notice)
        return effects, []

    def tick(self, now: float) -> Answer:
        """Requests that must go on."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for placing in self.requests.placing():
            more, due = placing.tick(now)
            effects += more
            outcomes += due
        for changing in self.requests.changing():
            effects += changing.tick(now)
        for extending in self.requests.extending():
            more, due = extending.tick(now)
            effects += more
            outcomes += due
        for acting in self.requests.acting():
            acting.tick(now)
        return effects + self.quotes.tick(now), outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return earliest(self.requests.next_deadline(), self.quotes.next_deadline())

    # -- parts

    def _tell(self, peer: PeerId, notice: Notice, now: float) -> None:
        for placing in self.requests.placing():
            placing.noticed(notice, now)
        for changing in self.requests.changing():
            changing.noticed(peer, notice, now)
        for acting in self.requests.acting():
            acting.noticed(peer, notice, now)

    def _remind(self, request: Placing | Changing | Acting, now: float) -> None:
        """What was told before the request was ready to listen."""
        for peer, heard in list(self.directory.notices.about(request.grid_id).items()):
            if not request.running:
                break
            if isinstance(request, Placing):
                request.noticed(heard.notice, now)
            else:
                request.noticed(peer, heard.notice, now)

    def _wake(self, notice: Notice) -> list[Effect]:
        """Workspaces here may have waited for what was just told."""
        part = part_of(self._host.leases, self.directory.notices, notice.grid)
        if part is None:
            self._waits.pop(notice.grid, None)
            return []
        waits = tuple(p.waits_for for p in part.mine)
        if self._waits.get(notice.grid) == waits:
            return []
        self._waits[notice.grid] = waits
        return [Realise(notice.grid, notice.grid)]

    def _notice(self, name: str, checked: CheckedOrder, placing: Placing | None) -> Notice | None:
        """What is known of a grid, also in the moment between its commit and its hosts' first word."""
        heard = self.directory.notices.named(name, checked.principal.key)
        if placing is not None and placing.record is not None:
            record = placing.record
            if heard is None or heard.grid != record.id:
                return _first_notice(record)
        return heard

    def _no(
        self, request: RequestId, kind: str, grid: str, lines: tuple[str, ...], now: float
    ) -> Answer:
        self.requests.refused(answered(request, kind, grid, lines, now))
        return [], []


def _first_notice(record: GridRecord) -> Notice:
    return Notice(
        grid=record.id,
        name=record.name,
        owner=record.owner,
        owner_site=record.owner_site,
        epoch=record.epoch,
        state=record.state,
        stewards=record.stewards,
        placed=tuple((a.workspace, a.host) for a in record.assignments),
        addresses=(),
        mine=(),
        made_s=0.0,
        lease_s=0,
    )
