"""This peer as a host: what it offers, what it has promised, what it carries."""

from collections.abc import Callable
from typing import assert_never

from protocol.capacity.advert import UNPROBED, Advert, HostFacts, ImageLabel, shapes_in
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import TABLE as RATES
from protocol.capacity.rates import Rates
from protocol.capacity.room import sayable
from protocol.contract.authority import Authority
from protocol.contract.messages import (
    Act,
    Decided,
    HoldAsk,
    HoldRelease,
    LeaseAsk,
    NameAsk,
    Quote,
    QuoteAsk,
    RoomClaim,
    RoomRenew,
    ToHost,
)
from protocol.contract.notices import Notice
from protocol.contract.outcomes import (
    AllotSite,
    Answer,
    AskFoundling,
    AuditLease,
    HostPurpose,
    RoomChanged,
    VoidHold,
    YieldMembers,
)
from protocol.contract.told import Notices
from protocol.grid.decision import Certificate, Decision
from protocol.grid.exposed import ExposedPort
from protocol.grid.lease import window
from protocol.grid.lifecycle import Status
from protocol.grid.record import GridState
from protocol.grid.tunnel import TunnelEnd
from protocol.hosting import events
from protocol.hosting.acting import unsaved
from protocol.hosting.admitting import Admitting
from protocol.hosting.allotting import TABLE as ALLOTTED
from protocol.hosting.allotting import Allotting
from protocol.hosting.change_holds import ChangeHolds
from protocol.hosting.chronicle import TABLE as STORIES
from protocol.hosting.chronicle import Chronicle
from protocol.hosting.claims import Claims
from protocol.hosting.clock_words import ClockWords
from protocol.hosting.decisions import Decisions
from protocol.hosting.exposing import PortsFor, all_shut
from protocol.hosting.foundlings import Foundlings
from protocol.hosting.giving_back import GivingBack
from protocol.hosting.guest_words import GuestWords
from protocol.hosting.handing_over import joined
from protocol.hosting.hold_replies import Granting
from protocol.hosting.hold_row import HoldNotSaved
from protocol.hosting.holds import NOT_HELD, Holds
from protocol.hosting.holds import TABLE as HELD
from protocol.hosting.in_use import taken_by
from protocol.hosting.lease_book import TABLE as CARRIED
from protocol.hosting.leases import Leases
from protocol.hosting.names import Names
from protocol.hosting.overspent import Overspent
from protocol.hosting.probing import probed_notes, told, tunnel_end
from protocol.hosting.sharing import TABLE as SHARED
from protocol.hosting.sharing import Sharing
from protocol.hosting.spending import Spending
from protocol.hosting.surroundings import HostSurroundings
from protocol.hosting.taken import Taken
from protocol.hosting.taking_up import promised
from protocol.hosting.tunnels import Tunnels
from protocol.hosting.withdrawn import Withdrawn
from protocol.hosting.yielding import Yielding
from protocol.placement.fit import Offer
from protocol.policy.site_policy import PortSpan
from protocol.terms.coordinate import Coordinate, known
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row, Send, Untidied, earliest
from protocol.terms.ids import GridId, KeyId, PeerId, StoreId
from protocol.terms.limits import LATER_STEPS
from protocol.trust.identity import Identity
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted
from protocol.trust.used import TABLE as USED
from protocol.trust.used import UsedOrders
from protocol.wire.codec import decode, encode

HostEvent = events.Report | HoldNotSaved
"""What the shell reports of this host."""


class Host:
    """Holds and carried grids over one ledger."""

    def __init__(
        self,
        identity: Identity,
        facts: HostFacts | None,
        images: tuple[ImageLabel, ...],
        authority: Authority,
        dice: Dice,
        rows: dict[str, dict[str, bytes]],
        now: float,
        surroundings: HostSurroundings,
        store: Callable[[], StoreId] = lambda: StoreId(""),
        notices: Notices | None = None,
    ) -> None:
        """Without `facts` this host offers nothing and makes no advert until it has been probed.

        `notices` has what hosts tell of grids, also this one.
        """
        self.used = used = UsedOrders(rows.get(USED, {}), now)
        self._surroundings = surroundings
        self._identity, self._images, self._authority = identity, images, authority
        self._facts = facts.sayable() if facts is not None else UNPROBED
        self.sharing = Sharing(self._facts.capacity, surroundings, rows.get(SHARED, {}), now)
        self.ledger = self.sharing.ledger
        kept = rows.get(RATES, {}).get("")
        self.rates = decode(kept, Rates) if kept else Rates()
        site, standing = surroundings.site, self.sharing.standing
        self.claims = Claims(authority, self.ledger, self.offer, site, standing)
        granting = Granting(identity.signer, store, lambda: self._by_wireguard)
        at = (self.ledger, authority, self.claims)
        self.holds = Holds(identity.name, *at, rows.get(HELD, {}), now, granting, used)
        sees = (surroundings.clock, lambda: self._images, used, surroundings.tunnel, notices)
        leased = (dice, rows.get(CARRIED, {}), now, lambda: self.rates, *sees, self._choosing)
        at_host = (identity.peer, self.ledger, authority, *leased)
        self.leases = Leases(*at_host, lasts=lambda row: self.admitting.lasts(row))
        self._withdrawn = Withdrawn(authority, self.leases, surroundings, now)
        self._decisions = Decisions(authority, self.leases, surroundings.site)
        self._words = GuestWords(self.leases)
        self._giving_back = GivingBack(self.leases)
        self._names = Names(authority)
        self.foundlings = Foundlings(identity.peer, self.ledger, self.leases, authority, dice)
        held_by = (*at, self.holds, self.leases, self.foundlings)
        self.changes = ChangeHolds(identity.peer, identity.name, *held_by, granting, used)
        self.yielding = Yielding(identity, self.ledger, self.leases, authority, granting, dice)
        self.tunnels = Tunnels(identity.peer, self.leases, lambda: self.tunnel, surroundings)
        self._spending = Spending(authority, self.ledger, self.holds, self.leases, self.foundlings)
        owns = (surroundings, self._spending, now)
        self.allotting = Allotting(identity.peer, rows.get(ALLOTTED, {}), dice, *owns)
        sees_all = (notices or Notices(), self._spending, self.leases, surroundings)
        self.overspent = Overspent(identity.peer, *sees_all)
        here = (
            self.holds.row,
            self.leases.row,
            self._spending,
            self.allotting,
            self.overspent.across,
        )
        at_site = (identity.name, identity.site, self.ledger, authority, surroundings)
        self.admitting = Admitting(*at_site, *here)
        self.chronicle = Chronicle(
            rows.get(STORIES, {}), lambda grid: self.leases.last(grid) is not None
        )
        # What was promised in an earlier life stays promised, though it may not fit (yet).
        self.ledger.resize(self._facts.capacity)
        self._clock_words = ClockWords(identity.name)

    @property
    def facts(self) -> HostFacts:
        """What was probed of this host last."""
        return self._facts

    @property
    def tunnel(self) -> TunnelEnd | None:
        """Where this host takes the traffic of its networks; None while it does not know, or cannot."""
        return tunnel_end(self._facts)

    @property
    def _by_wireguard(self) -> bool:
        """What this host grants of it. Who is not dialled by everybody seals: that goes through relays."""
        return self._facts.wireguard is not None and not self._surroundings.hidden()

    @property
    def images(self) -> tuple[ImageLabel, ...]:
        """The images that this host has."""
        return self._images

    @property
    def known(self) -> bool:
        """Whether the host was probed. Before that it has nothing to say of itself."""
        return self._facts is not UNPROBED

    def here(self) -> Coordinate:
        """Where this host is in the network."""
        return self._surroundings.here()

    def probed(self, facts: HostFacts) -> Answer:
        """The host was probed again."""
        before, end = self._facts, self.tunnel
        self._facts = facts = facts.sayable()
        self.ledger.resize(facts.capacity)
        effects, outcomes = self.tunnels.moved(end)
        notes = probed_notes(before, facts, self._identity.name)
        return notes + effects, [*outcomes, RoomChanged()]

    def images_changed(self, images: tuple[ImageLabel, ...]) -> None:
        """The host has these images now."""
        self._images = images

    def offer(self, start_s: float = 0.0, spans: tuple[PortSpan, ...] = ()) -> Offer:
        """This host's word on what it has now, for a lease that begins at `start_s` (0: now)."""
        here = self.here()
        return Offer(
            peer=self._identity.peer,
            host=self._identity.name,
            site=self._identity.site,
            facts=told(self._facts, leaving=self._surroundings.leaving()),
            free=self.ledger.free,
            images=tuple(image.digest for image in self._images),
            coordinate=here if known(here) else None,
            spans=spans,
            refused=self.admitting.barred(start_s),
        )

    def advert(self, now: float = 0.0) -> Advert:
        """What everybody is told. Without `now` it is as of the last time that this host was given."""
        self.ledger.advance(now)
        free = self.ledger.free
        free -= self.claims.kept("", 0.0, free, self.ledger.now_s)
        later = sayable(self.ledger.room.steps(self.ledger.now_s, LATER_STEPS))
        facts = told(self._facts, leaving=self._surroundings.leaving()).public()
        return Advert(
            facts=facts,
            free=free.sayable(),
            shapes=shapes_in(Quantum() if facts.unfit else free),
            images=self._images,
            workspaces=len(self.ledger),
            later=later,
            rates=self.rates,
            here=self.here(),
            apart_s=self._surroundings.clock().ahead_s,
            spent=self._spending.told(self._surroundings.site_key()),
            lacks=self.allotting.lacking,
        )

    def _displacing(self, start_s: float, now: float) -> bool:
        """Whether a lease that begins at `start_s` leaves time to save what yields here."""
        return start_s >= now + self.leases.preemption.lead_s()

    def message(self, sender: PeerId, message: ToHost, now: float) -> Answer:
        """A requester speaks to this host."""
        self.sharing.advance(now)
        answer = self._message(sender, message, now)
        if isinstance(message, QuoteAsk):
            return answer  # A quote changes nothing, and most of what is asked is quotes.
        return self._told(self._decisions.told(sender, message, answer, now), now)

    def _message(self, sender: PeerId, message: ToHost, now: float) -> Answer:
        if (refused := self.admitting.refusal(sender, message, now)) is not None:
            return refused, []
        match message:
            case QuoteAsk():
                return [Send(sender, self._quote(message, now), message.request)], []
            case HoldAsk(change=SignedOrder() as change):
                offer = self.offer(message.start_s, self.admitting.spans(message))
                return self.changes.ask(sender, message, change, self._taken(), offer, now)
            case HoldAsk():
                offer = self.offer(message.start_s, self.admitting.spans(message))
                displacing = self._displacing(message.start_s, now)
                return self.holds.ask(sender, message, self._taken(), offer, now, displacing)
            case HoldRelease():
                return self.holds.release(sender, message)
            case RoomClaim():
                return self.claims.ask(sender, message, now)
            case RoomRenew():
                return self.claims.renew(sender, message, now)
            case Decided(certificate=certificate):
                return self._shown(sender, certificate, now)
            case NameAsk():
                return self._names.ask(sender, message, now), []
            case LeaseAsk():
                changing = self.holds.changing(message.grid)
                return self.leases.lengthen(sender, message, now, changing=changing)
            case Act():
                return self._act(sender, message, now)
            case _:
                assert_never(message)

    def _act(self, sender: PeerId, message: Act, now: float) -> Answer:
        """An action on workspaces here, which this host may be unable to do at all."""
        changing = self.holds.changing(message.grid)
        refusal = unsaved(message, suspends=self._facts.suspends, changing=changing)
        if refusal is not None:
            return [Send(sender, refusal, message.request)], []
        return self.leases.act(sender, message, now)

    def handle(self, event: HostEvent, now: float) -> Answer:
        """The shell reports."""
        self.sharing.advance(now)
        return self._told(self._handle(event, now), now)

    def _handle(self, event: HostEvent, now: float) -> Answer:
        match event:
            case events.Progressed():
                status = Status(
                    event.workspace,
                    event.phase,
                    event.detail,
                    now,
                    event.boot,
                    event.final,
                    event.within_s,
                )
                return self.leases.progress(event.grid, self._words.with_keys(event.grid, status))
            case events.GuestSaid():
                return self._words.said(event)
            case events.Happened():
                return self.leases.happened(event)
            case events.Cleared(grid=grid):
                return self.leases.cleared(grid)
            case events.Measured(saved=saved, size_bytes=size_bytes, took_s=took_s):
                self.rates = self.rates.after(saved, size_bytes, took_s)
                return [Persist((Row(RATES, "", encode(self.rates)),), Untidied())], [RoomChanged()]
            case events.MemorySeen():
                return self._giving_back.seen(event)
            case events.Kept(grid=grid, subject=subject, care=care, detail=detail):
                return [Note(care, subject, detail, grid)], []
            case events.Found():
                return self.foundlings.found(event, now)
            case HoldNotSaved():
                return self.holds.not_saved(event)

    def settled(self, purpose: HostPurpose, decision: Decision | None, now: float) -> Answer:
        """The stewards' word on a hold whose time is up, or on a grid that this host carries."""
        return self._told(self._settled(purpose, decision, now), now)

    def _settled(self, purpose: HostPurpose, decision: Decision | None, now: float) -> Answer:
        match purpose:
            case VoidHold(grid=grid):
                made, effects, outcomes = self.holds.settled(grid, decision)
                if made and decision is not None:
                    effects, outcomes = self._decided(None, decision, now)
                    record = decision.register.record
                    if record is None or self.foundlings.row(record.id) is None:
                        over, changed = self.holds.refused(grid)
                        return [*effects, *over], [*outcomes, *changed]
                return effects, outcomes
            case AuditLease(grid=grid) | YieldMembers(grid=grid):
                shown = self.yielding.told(purpose, decision)
                try:
                    return joined(self.leases.audited(grid, decision, now), (shown, []))
                except Untrusted as error:
                    return [Note("record.refused", f"audit:{grid}", str(error))], []
            case AllotSite():
                return self.allotting.settled(decision, now)
            case AskFoundling(grid=grid):
                effects, outcomes = self.foundlings.settled(grid, decision, now)
                if (lease := self.leases.row(grid)) is not None:
                    effects += self.holds.give_way(grid, [each.workspace for each in lease.wanted])
                return effects, outcomes
            case _:
                assert_never(purpose)

    def unsettled(self, purpose: HostPurpose, now: float) -> Answer:
        """No majority of stewards answered. A lease is audited again anyway."""
        answer: Answer = [], []
        if isinstance(purpose, VoidHold):
            self.holds.unsettled(purpose.grid, now)
        elif isinstance(purpose, AskFoundling):
            answer = self.foundlings.unsettled(purpose.grid, now)
        elif isinstance(purpose, AllotSite):
            self.allotting.unsettled(now)
        return self._told(answer, now)

    def noticed(self, peer: PeerId, notice: Notice, now: float) -> list[Effect]:
        """A host of a grid tells of it."""
        self.leases.noticed(peer, notice.grid, notice.epoch, now)
        self._names.noticed(notice)
        self.overspent.noticed(notice, now)
        return self.leases.hindered(notice.grid, peer, notice) + self.leases.turn(notice.grid)

    def unheard(self, peer: PeerId, grid: GridId) -> None:
        """What that host told of a grid is not so any more, or there is nobody left to stand for it."""
        self.leases.preemption.unheard(grid, peer)

    def tick(self, now: float) -> Answer:
        """Moves claims, holds and leases on to this time."""
        self.sharing.advance(now)
        sure = not self._surroundings.clock().doubt
        judged = joined(self._withdrawn.tick(now), self.overspent.tick(now))
        effects, outcomes = joined(judged, joined(self.leases.tick(now), self.allotting.tick(now)))
        effects += self.sharing.tick(now)
        over, proposals = self.holds.tick(now, sure=sure)
        asks = self.foundlings.tick(now) + self.yielding.tick(now, sure=sure)
        due = [*outcomes, *proposals, *asks, *self.claims.tick(now)]
        return self._told((effects + over, due), now)

    def clock_changed(self, now: float) -> Answer:
        """Something else is to be thought of this host's clock. What it means for leases follows at once."""
        notes, offers = self._clock_words.changed(self._surroundings.clock())
        self.ledger.advance(now)
        effects, outcomes = self.leases.tick(now)
        outcomes = [*outcomes, RoomChanged()] if offers else outcomes
        return self._told((notes + effects, outcomes), now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        parts = (self.holds, self.leases, self.claims, self.foundlings, self.yielding)
        ends = (self._withdrawn, self.overspent, self.sharing, self.allotting)
        return earliest(*(part.next_deadline() for part in (*parts, *ends)))

    def check(self) -> None:
        """Reserved and used are together at most the total, and everything promised is in the ledger once."""
        parts = (self.ledger, self.holds, self.claims, self.leases, self.foundlings, self.used)
        for part in parts:
            part.check()
        held = sum(len(row.workspaces) for row in self.holds.rows())
        carried, found = sum(len(row.wanted) for row in self.leases.rows()), len(self.foundlings)
        every = len(self.ledger)
        assert held + carried + found == every, (held, carried, found, every)

    # -- parts

    def _told(self, answer: Answer, now: float) -> Answer:
        """The same answer, with what it means for the peers that claim room here."""
        effects, outcomes = answer
        effects = effects + self.claims.tell(now) if len(self.claims) else effects
        return effects, outcomes + self.overspent.across.pop_unknown()

    def _choosing(self, grid: GridId, had: tuple[ExposedPort, ...]) -> PortsFor:
        """The choice of ports for a grid that is carried here."""
        return PortsFor(self._facts.ports, self._taken().ports, (grid,), had)

    def _taken(self) -> Taken:
        return taken_by(self.holds, self.leases, self.foundlings, self._authority)

    def _quote(self, ask: QuoteAsk, now: float) -> Quote:
        offer = self.offer(ask.time.start_s)
        suspends, displacing = self._facts.suspends, self._displacing(ask.time.start_s, now)
        time, firm = window(ask.time, now, suspends), ask.time.firm(suspends)
        owner = KeyId(ask.owner)
        free = self.ledger.free_for(time, displacing, owner, firm)
        kept, taken = Quantum(), self._taken()
        if not ask.time.start_s:
            kept = self.claims.kept(ask.order, ask.since_s, free, now, ask.owner)
        return Quote(
            request=ask.request,
            host=offer.host,
            site=offer.site,
            facts=offer.facts.public().without_reasons(),
            free=(free - kept).sayable(ask.ports),
            images=offer.images,
            later=sayable(self.ledger.room.steps(now, LATER_STEPS)),
            refused=offer.refused or self.admitting.quoted(ask.owner, ask.site),
            coordinate=offer.coordinate,
            clashes=taken.apart_from(owner, ask.site, ask.grid, ask.apart),
            hidden=self._surroundings.hidden(),
            held=self.holds.held().sayable(ask.ports),
            kept=kept.sayable(ask.ports),
            guaranteed=self.ledger.guaranteed(time, displacing, KeyId(ask.owner), firm),
            shut=all_shut(
                self._facts.ports, ask.ports, taken.ports_of_others(owner, ask.site, ask.grid)
            ),
        )

    def _shown(self, sender: PeerId, certificate: Certificate, now: float) -> Answer:
        try:
            return self._decided(sender, self._authority.decision(certificate), now)
        except Untrusted as error:
            return [Note("record.refused", certificate.register, str(error))], []

    def _decided(self, sender: PeerId | None, decision: Decision, now: float) -> Answer:
        """A record was decided. Without a sender nobody gets an acknowledgement."""
        record = decision.register.record
        if record is None:
            return [], []
        if self.foundlings.row(record.id) is not None:
            # What is here of it is unknown. It is the stewards' word that counts, and they are asked now.
            self.foundlings.hurry(record.id, now)
            return [], []
        row = self.holds.meant(record)
        if fault := (
            self.holds.fault(sender, record, self._identity.peer)
            or self.admitting.committed(record, row, now)
        ):
            return [Note("record.refused", record.name, fault)], []
        try:
            over = tuple(Row(HELD, hold.grid, None) for hold in self.holds.over(record))
            known, effects, outcomes = self.leases.decided(decision, promised(row, over), now)
        except Untrusted as error:
            return [Note("record.refused", record.name, str(error))], []
        if not known:
            return [Note("record.refused", record.name, NOT_HELD)], []
        self.holds.take(record, self._identity.peer)
        if (row is not None or over) and self.leases.row(record.id) is None:
            down = record.state is GridState.DOWN
            spent = self.used.use(record.order, record.owner, now) if down else ()
            ended = (Row(HELD, record.id, None), *over, *spent)
            effects = [*effects, Persist(ended, Untidied())]
        if sender is not None:
            effects = [*effects, *self.leases.acknowledge(sender, record)]
        return effects, outcomes
