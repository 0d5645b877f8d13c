"""This peer as the one somebody asked: its requests, fed with what hosts, stewards and clocks say.

It is the counterpart of hosting/host.py. What people ask comes in through orders.py, and what is heard of hosts
and grids is kept in host_directory.py. Here it is passed to the requests that it concerns.
"""

from typing import assert_never

import msgspec

from protocol.capacity.advert import Advert
from protocol.contract.authority import Authority
from protocol.contract.messages import (
    ActReply,
    DecidedAck,
    HoldReply,
    LeaseReply,
    NameReply,
    Quote,
    RoomKept,
    ToRequester,
)
from protocol.contract.notices import Notice
from protocol.contract.outcomes import (
    Answer,
    ChangeGrid,
    CommitGrid,
    ConfirmGrid,
    Outcome,
    RequesterPurpose,
)
from protocol.contract.told import known_of
from protocol.grid.decision import Decision, proof_of
from protocol.grid.record import GridState, is_about, order_part
from protocol.requesting.acting import Acting
from protocol.requesting.admission import Admission, OwnHost
from protocol.requesting.applying import Applying
from protocol.requesting.attached import TABLE as ATTACHED
from protocol.requesting.attached import Attaching
from protocol.requesting.changing import Changing
from protocol.requesting.confirming import Confirming
from protocol.requesting.decided import DecidedRecords
from protocol.requesting.earlier import TABLE as ASKED
from protocol.requesting.events import CancelAsked, GridsAsked, OrderGiven, PlanAsked
from protocol.requesting.extending import Extending
from protocol.requesting.growing import Growing
from protocol.requesting.growth import Carries, Growth, Nothing
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.orders import Orders
from protocol.requesting.outlook import OtherSites, Outlook
from protocol.requesting.placing import Placing
from protocol.requesting.proposal import TABLE as QUOTED
from protocol.requesting.proposal import ProposalNotSaved
from protocol.requesting.queue import Queue
from protocol.requesting.queueing import TABLE as QUEUED
from protocol.requesting.queueing import QueueNotSaved
from protocol.requesting.quotes import Quotes
from protocol.requesting.requests import Requests
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Persist, Untidied, earliest
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.identity import Identity
from protocol.trust.signing import Untrusted
from protocol.trust.used import TABLE as USED
from protocol.trust.used import UsedOrders

RequesterEvent = (
    PlanAsked | OrderGiven | CancelAsked | GridsAsked | QueueNotSaved | ProposalNotSaved
)
"""What can happen to a requester: people ask, or the store refuses to keep what they asked."""


class Requester:
    """Follows requests to their answers."""

    def __init__(
        self,
        identity: Identity,
        authority: Authority,
        directory: HostDirectory,
        other_sites: OtherSites,
        host: OwnHost,
        dice: Dice,
        incarnation: int,
        rows: dict[str, dict[str, bytes]],
        used: UsedOrders | None = None,
        carries: Carries | None = None,
    ) -> None:
        """`other_sites` asks for hosts where they are not all known. `rows` is the whole store, by table.

        `used` has the orders that are used up, for the whole peer; without it they are read here.
        """
        self._used = used = used or UsedOrders(rows.get(USED, {}), directory.born_s)
        self.directory, self.requests = directory, Requests()
        self._authority = authority
        self.decided = DecidedRecords()
        self.quotes = Quotes(self.requests)
        life = f"{identity.peer}/{incarnation}"
        self.attaching = Attaching(rows.get(ATTACHED, {}))
        quotes, files, signer = self.quotes, self.attaching, identity.signer
        surroundings = Outlook(life, directory, other_sites, quotes, host, files, signer)
        self._growth = Growth(
            carries or Nothing(),
            authority,
            directory,
            surroundings,
            self.requests,
            dice,
            directory.born_s,
        )
        self.queue = Queue(self.requests, authority, surroundings, dice, host.sharing.priority)
        admission = Admission(
            identity,
            authority,
            surroundings,
            dice,
            self.requests,
            directory,
            self.queue,
            self.quotes,
            host,
            used,
        )
        self.confirming = confirming = Confirming(directory.notices, directory)
        self._orders = Orders(
            authority, self.requests, directory, self.quotes, admission, used, confirming
        )
        self._queued, self._quoted = rows.get(QUEUED, {}), rows.get(QUOTED, {})
        self.requests.earlier.resume(rows.get(ASKED, {}))

    def begin(self, now: float) -> list[Effect]:
        """Begins a life: what waited goes on waiting, what was quoted still stands. Called once, first."""
        self.attaching.begin(now)
        effects = self.queue.resume(self._queued, now) + self.quotes.resume(self._quoted, now)
        self._queued, self._quoted = {}, {}
        return effects

    def handle(self, event: RequesterEvent, now: float) -> Answer:
        """Somebody here asks, or what they asked cannot be kept."""
        match event:
            case PlanAsked() | OrderGiven() | CancelAsked():
                return self._orders.handle(event, now)
            case GridsAsked(about=about):
                grids = self.directory.asked(about)
                for grid in grids if about else ():
                    record, newest = self.decided.get(grid), self.directory.notices.newest(grid)
                    if record is None or (newest is not None and record.epoch < newest.epoch):
                        self.directory.notices.doubt(grid)
                return [], self.confirming.want(grids, now)
            case QueueNotSaved():
                return self.queue.not_saved(event, now)
            case ProposalNotSaved():
                return self.quotes.not_saved(event, now)
            case _:
                assert_never(event)

    def check(self, grids: tuple[GridId, ...], now: float) -> Answer:
        """The host here has to know what was decided of these."""
        return [], self.confirming.want(grids, now)

    # -- what requests are told

    def message(self, sender: PeerId, message: ToRequester, now: float) -> Answer:
        """A host answers. The request that asked is told, or the requests of that grid, or of that order."""
        match message:
            case Quote(request=request):
                running = self.requests.running(request)
                if isinstance(running, Placing | Applying | Growing):
                    return running.quote(sender, message, now)
            case HoldReply(grid=grid):
                holding = self.requests.holding(grid)
                if holding is not None:
                    return holding.hold_reply(sender, self._granted(message), now)
            case DecidedAck(grid=grid):
                for running in self.requests.about(grid):
                    if isinstance(running, Placing | Extending | Applying | Growing):
                        running.acknowledged(sender, message, now)
                    elif isinstance(running, Changing):
                        running.acknowledged(sender, message)
            case NameReply(order=order):
                for placing in self.requests.placing(order):
                    effects, outcomes = placing.name_reply(sender, message, now)
                    return effects, outcomes
            case RoomKept(order=order):
                for placing in self.requests.placing(order):
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
                elif isinstance(running, Changing):
                    running.replied(sender, message, now)
            case _:
                assert_never(message)
        return [], []

    def _granted(self, reply: HoldReply) -> HoldReply:
        """The same, without a grant that its host did not sign."""
        if reply.grant is None:
            return reply
        try:
            self._authority.grant(reply.grant)
        except Untrusted:
            return msgspec.structs.replace(reply, grant=None)
        return reply

    def settled(self, purpose: RequesterPurpose, decision: Decision | None, now: float) -> Answer:
        """The stewards' word on a commit or a change of a request here, or on what is told of a grid."""
        self._know(decision)
        match purpose:
            case ConfirmGrid():
                outcomes = self.confirming.settled(purpose, decision, now)
                return self._found(outcomes, now)
            case CommitGrid(grid=grid):
                placing = self.requests.placing_of(grid)
                if placing is None:
                    return [], []
                effects, outcomes = placing.settled(decision, now)
                self._remind(placing, now)
                return self._made(placing, now) + effects, outcomes
            case ChangeGrid(request=request):
                running = self.requests.running(request)
                if isinstance(running, Extending):
                    return running.settled(decision, now), []
                if isinstance(running, Growing):
                    return running.settled(decision, now)
                if isinstance(running, Applying):
                    effects, outcomes = running.settled(decision, now)
                    self._remind(running, now)
                    return effects, outcomes
                if isinstance(running, Changing):
                    effects = running.settled(decision, now)
                    self._remind(running, now)
                    return effects, []
                return [], []
            case _:
                assert_never(purpose)

    def unsettled(self, purpose: RequesterPurpose, why: str, now: float) -> Answer:
        """No majority of stewards answered, so nobody knows yet."""
        match purpose:
            case ConfirmGrid():
                return self._found(self.confirming.unsettled(purpose, now), now)
            case CommitGrid(grid=grid):
                placing = self.requests.placing_of(grid)
                return placing.unsettled(why, now) if placing is not None else ([], [])
            case ChangeGrid(request=request):
                running = self.requests.running(request)
                if isinstance(running, Applying | Growing):
                    return running.unsettled(why, now)
                if isinstance(running, Changing):
                    return running.unsettled(why, now), []
                if isinstance(running, Extending):
                    running.unsettled(why, now)
                return [], []
            case _:
                assert_never(purpose)

    def unended(self) -> list[RequestId]:
        """The requests that have no last answer yet, and the quotes that can be taken up."""
        return [*self.requests.unended(), *(quote.id for quote in self.quotes.all())]

    def is_made(self, grid: GridId) -> bool:
        """Whether a grid that was asked for here is decided, as its request or a host of it tells."""
        placing = self.requests.placing_of(grid)
        made = placing is not None and placing.record is not None
        return made or self.directory.notices.newest(grid) is not None

    def _goes_on(self, grid: GridId) -> bool:
        """Whether a grid that was asked for in this life is made, or is still being decided."""
        placing = self.requests.placing_of(grid)
        undecided = placing is not None and placing.undecided is not None
        return undecided or self.is_made(grid)

    # -- what is heard

    def advertised(self, peer: PeerId, advert: Advert, now: float) -> bool:
        """A host tells what it has. If it is more than before, requests that wait may try: True if any does."""
        more = self.directory.advertised(peer, advert, now)
        return more and self.queue.room_changed(now, here=False)

    def noticed(self, peer: PeerId, notice: Notice, now: float) -> Answer:
        """A host tells of a grid."""
        self.requests.noticed(peer, notice, now)
        if self.attaching.noticed(peer, notice.grid, notice.state):
            if self.directory.notices.is_over(notice.grid):
                # This host carried it, and has the decision already: there is nothing left to ask.
                self.attaching.over(notice.grid)
                return [], []
            return [], self.confirming.want([notice.grid], now)
        if any(is_about(notice.grid, f.checked.order.grid) for f in self.requests.finding()):
            return self._found(self.confirming.want([notice.grid], now), now)
        return [], self.confirming.noticed(notice.grid, now)

    # -- time

    def tick(self, now: float) -> Answer:
        """Lets requests go on whose time has come."""
        self.attaching.tick(self.directory.notices, now)
        effects, outcomes = self.requests.tick(now)
        grown, proposed = self._growth.tick(now)
        more, found = self._found([], now)
        effects += grown + self.quotes.tick(now) + more
        return effects, [*outcomes, *proposed, *found]

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return earliest(
            self.requests.next_deadline(),
            self.quotes.next_deadline(),
            self._growth.next_deadline(),
        )

    def notes(self) -> list[Effect]:
        """Notes for the answers that were not told yet, and writes for requests that wait no more."""
        self.attaching.ended(self._goes_on)
        tidy = self.queue.tidy() + self.quotes.tidy() + self.attaching.tidy()
        return self.requests.notes() + tidy

    # -- parts

    def _know(self, decision: Decision | None) -> None:
        """Takes in what was decided of a grid, so that no notice says otherwise from now on."""
        record = decision.register.record if decision is not None else None
        if decision is not None and record is not None:
            spec, digest = self._authority.spec(record.standing), decision.digest
            known = known_of(record, spec, bytes.fromhex(digest), proof_of(decision))
            self.directory.notices.know(known)
            self.decided.shown(record)
            self.quotes.decided(record)
            if record.state is GridState.DOWN:
                self.attaching.over(record.id)

    def _found(self, outcomes: list[Outcome], now: float) -> Answer:
        """Lets orders go on that waited to know which grid they are about."""
        effects, more = self._orders.found(now)
        return effects, outcomes + more

    def _made(self, placing: Placing, now: float) -> list[Effect]:
        """Once a grid is made, its order is used up: given again, it makes no other one."""
        order, record = placing.order, placing.record
        if order is None or record is None or order_part(record.id) in self._used:
            return []
        rows = self._used.use(record.order, record.owner, now)
        return [Persist(rows, Untidied())]

    def _remind(self, request: Placing | Changing | Acting | Applying, now: float) -> None:
        """Tells a request what hosts told before it was there to listen."""
        for peer, heard in list(self.directory.notices.about(request.grid_id).items()):
            if not request.running:
                break
            request.noticed(peer, heard.notice, now)
