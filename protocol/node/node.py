"""The peer: one machine made of the rooms to the right of it, and the wiring between them.

`handle(event, now)` is the only way to change it. It has two halves, wired here. One is the overlay: who is
there and what everybody knows (peering/overlay.py). The other is the work: a host's promises, a requester's
requests, and registers. Both sides hear a notice; a register's outcome goes to the side whose purpose it was.
"""

from typing import assert_never

from protocol.broadcast.broadcast import DetailAsked, Expired, Learnt, Stray
from protocol.broadcast.messages import BroadcastMessage
from protocol.capacity.advert import KIND as ADVERT
from protocol.capacity.advert import Advert, HostFacts, ImageLabel
from protocol.contract.authority import Authority
from protocol.contract.messages import HoldAsk, ToHost
from protocol.contract.notices import NOTICE, Notice, read_notice
from protocol.contract.outcomes import Answer, CheckGrids, NoticeDue, Propose, RoomChanged
from protocol.contract.told import Notices
from protocol.hosting.host import Host, HostEvent
from protocol.hosting.publishing import Publishing
from protocol.hosting.starting import Starting
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Hello, MembershipMessage, Pong, Unwelcome
from protocol.node.attachments import GridsFiles
from protocol.node.deadlines import Deadlines
from protocol.node.elastic import ElasticGrids
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Garbled,
    ImagesChanged,
    Knocked,
    Leaving,
    NewsGiven,
    PartnersEvent,
    Probed,
    Readdressed,
    RecordGiven,
    Renewed,
    Say,
    Slept,
    Started,
    Stopping,
    Ticked,
    Undialled,
)
from protocol.node.forgetting import forgot
from protocol.node.governing import Governing
from protocol.node.host_losses import HostLosses
from protocol.node.host_surroundings import PeerSurroundings
from protocol.node.messages import FAMILIES, Agreeing, BulkMessage, Message, RegisterMessage
from protocol.node.outbox import Outbox
from protocol.node.registers import Registers
from protocol.node.relaying import Relaying
from protocol.node.replacing import PeersSeen
from protocol.node.settling import Settlement, settled
from protocol.node.site_summaries import KIND as SITE
from protocol.node.site_summaries import SiteSummaries
from protocol.node.tunnel_partners import Partnering, TunnelPartners
from protocol.peering.addresses import Rows, known_contacts
from protocol.peering.near_peers import NearPeers
from protocol.peering.overlay import Answer as OverlayAnswer
from protocol.peering.overlay import News, Overlay
from protocol.relay.messages import RelayMessage
from protocol.relay.relay import Relay
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.requester import Requester, RequesterEvent
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, HandOver, Note, Realise, Send, Untidied
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import LEVELS_ABOVE
from protocol.trust.identity import Identity
from protocol.trust.record import Record
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed, decode

__all__ = ["Node", "Rows"]


class Node:
    """One peer. `protocol.node.snapshot` is for reading it."""

    def __init__(
        self,
        identity: Identity,
        facts: HostFacts | None,
        images: tuple[ImageLabel, ...],
        joins: tuple[Contact, ...],
        rows: Rows,
        dice: Dice,
        now: float,
        levels_above: int = LEVELS_ABOVE,
    ) -> None:
        """`rows` is the whole store, by table, and empty for a new peer. `facts` may come later (Probed)."""
        self.me, contacts = identity.peer, known_contacts(joins, rows)
        me = Contact(self.me, identity.site, identity.address)
        self.membership = membership = Membership(me, dice, contacts, now, joins)
        near = NearPeers(membership)
        self.relay = relay = Relay(
            self.me, identity.site, identity.address, identity.reach, identity.sealer, dice, near
        )
        self.overlay = Overlay(
            identity,
            membership,
            lambda: near.whereabouts(relay.reachability.reach),
            FAMILIES,
            rows,
            dice,
            now,
            joins,
        )
        self.broadcast, self.announcer = self.overlay.broadcast, self.overlay.announcer
        self.quarantines, self.certificates = self.overlay.quarantines, self.overlay.certificates
        self._outbox = Outbox(self.me, membership)
        self.relaying = Relaying(identity, self.overlay, relay, self._arrived)
        governs = Governing(self.overlay.policies, self.certificates)
        believed = (self.certificates.revocations, self.overlay.policies, governs)
        self.authority = Authority(identity.federation, identity.verifier, *believed)
        self.notices = Notices()
        heard = (self.notices, bool(contacts), now, self.overlay.policies.known)
        self.directory = HostDirectory(identity, membership, *heard)
        life, seen = self.broadcast.incarnation, PeersSeen(self.overlay, self.directory)
        store = self.overlay.past.store
        around = PeerSurroundings(membership, self.relaying, self.overlay, self.directory)
        beside = (dice, rows, now, around, lambda: store.id, self.notices)
        self.host = Host(identity, facts, images, self.authority, *beside)
        carried, authority = self.host.leases.certificate, self.authority
        self.registers = Registers(identity, life, dice, rows, authority, seen, carried, now, store)
        self.announcer.tunnel_at(self.host.tunnel, now)
        self.publishing = Publishing(self.host)
        self._starting = Starting(self.host.leases, self.notices)
        self.site_summaries = SiteSummaries(
            identity, membership, self.broadcast, self.directory.adverts, dice, levels_above, now
        )
        self.requester = Requester(
            identity,
            self.authority,
            self.directory,
            self.site_summaries,
            self.host,
            dice,
            self.broadcast.incarnation,
            rows,
            self.host.used,
            ElasticGrids(self.host),
        )
        self.files = GridsFiles(self.host, self.registers.acceptor, self.requester)
        self.tunnel_partners = TunnelPartners(
            self.overlay, relay, self.host, self.authority, around, rows, dice, now
        )
        self._host_losses = HostLosses(self.me, self.notices, self.directory, self.host.chronicle)
        self._deadlines = Deadlines(
            self.overlay,
            relay,
            self.site_summaries,
            self.registers,
            self.host,
            self.requester,
            self.publishing,
            self.tunnel_partners,
        )
        self._now = now
        self._due: Deadline | None = None
        self._worked = True
        """Whether something was done to the work, so that it may have something to tell."""

    @property
    def identity(self) -> Identity:
        """Who this peer is, with its newest certificate."""
        return self.certificates.identity

    # -- the three doors

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from an event, and from what has come due by `now`."""
        self._deadlines.event(event)
        effects = self._lateness(event, now)
        effects += self._dispatch(event, now)
        due: Deadline | None = self._deadlines.first()
        if due is not None and due.at_s <= now:
            effects += self._tick(now)
            due = None
        if self.overlay.past.store.pop_renewed():
            effects += self._outcomes(forgot(self.host, now), now)
        if self.overlay.policies.pop_changed():
            self.host.allotting.heard(now)
            self._touch()
        if self.overlay.pop_turned():
            self._touch()
            effects += [Realise(row.record.id, row.record.id) for row in self.host.leases.rows()]
        if (told := self.membership.pop_tunnels_told()) and self.host.leases.rows():
            effects += self._outcomes(self.host.tunnels.told(told), now)
        if self.overlay.believed:
            effects += self._outcomes(self._host_losses.heard(self.overlay.believed, now), now)
        if self._worked:
            self._worked = False
            for grid in self.host.chronicle.hear(effects, now):
                self.publishing.due(grid)
            effects += self._publish(now)
            effects += self.requester.notes() + self.tunnel_partners.follow(now)
            self._deadlines.worked()
            due = None
        effects += self.broadcast.flush(now)
        if effects or self._outbox.promised:
            cause = event.cause if isinstance(event, Arrived | Say) else ""
            sent = self.overlay.versions.spoken(self._outbox.send(effects, cause, now))
            sent = self.relaying.send(sent, now)
            if self._deadlines.said(effects, sent, relayed=self.relaying.busy):
                due = None
            effects = sent
        self._now, self._due = now, due or self._deadlines.first()
        return effects

    def next_deadline(self) -> Deadline:
        """When this peer wants to be woken."""
        return self._due if self._due is not None else self._deadlines.first()

    def check(self) -> None:
        """Invariants of every room."""
        self.overlay.check()
        self.relay.check()
        self.registers.check()
        self.host.check()
        self.tunnel_partners.check()
        self._deadlines.check()

    def _dispatch(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Arrived(peer=peer, message=message, size_bytes=size_bytes):
                return self._arrived(peer, message, size_bytes, now)
            case Ticked() | Slept() | Untidied():
                return []
            case Started():
                return self._start(now)
            case Connected(peer=peer, accepted=accepted):
                return self.overlay.connected(peer, now, accepted=accepted)
            case Disconnected(peer=peer):
                return self.relaying.lost(peer, now)
            case Knocked(peer=peer, reached=reached):
                return self.relaying.knocked(peer, reached, now)
            case Undialled(peer=peer, address=address, why=why):
                return self.overlay.undialled(peer, address, why, now)
            case Garbled(peer=peer, reason=reason):
                return self.overlay.garbled(peer, reason, now)
            case Probed(facts=facts):
                effects = self._outcomes(self.host.probed(facts), now)
                return self.announcer.tunnel_at(self.host.tunnel, now) + effects
            case _ if isinstance(event, PartnersEvent):
                return self._outcomes(self.tunnel_partners.said(event, now), now)
            case ImagesChanged():
                self.host.images_changed(event.images)
                return self._outcomes(([], [RoomChanged()]), now)
            case _ if isinstance(event, HostEvent):
                return self._outcomes(self.host.handle(event, now), now)
            case _ if isinstance(event, RequesterEvent):
                return self._outcomes(self.requester.handle(event, now), now)
            case NewsGiven(text=text):
                return self.overlay.crier.tell(text, now)
            case Say(peer=peer, message=message, cause=cause):
                return [Send(peer, message, cause)]
            case RecordGiven(record=record):
                return self._heed(self.overlay.given(record, now), now)
            case Renewed(chain=chain):
                return self.overlay.renewed(chain, now)
            case Readdressed(address=address, fault=fault):
                self.relay.reachability.readdressed(address, now)
                return self.overlay.readdressed(address, fault, now)
            case Leaving(leaving=leaving):
                return self._outcomes((self.announcer.leaves(leaving, now), [RoomChanged()]), now)
            case Stopping():
                return self.announcer.leave(self.membership.view.neighbours, now)
            case _:
                assert_never(event)

    def _start(self, now: float) -> list[Effect]:
        effects = self._heed(self.overlay.begin(now), now)
        self._touch()
        self.publishing.room_changed()
        for row in self.host.leases.rows():
            self.publishing.due(row.record.id)
            again = "this host's daemon was started again"
            effects.append(Note("grid.found", row.record.name, again, row.record.id))
            effects.append(Realise(row.record.id, row.record.id))
        effects += self.requester.begin(now)
        # What began just now may be due at once, and a tick goes by the kept deadlines.
        self._deadlines.first()
        return effects + self._tick(now)

    def _arrived(
        self, sender: PeerId, message: Message, size_bytes: int, now: float
    ) -> list[Effect]:
        overlay = self.overlay
        effects: list[Effect] = []
        if sender != self.me:
            refused = overlay.refused(sender, message, size_bytes, now)
            if refused is not None:
                return refused
            if isinstance(message, Hello):
                self.host.leases.met(sender, now)
                self._touch()
                effects, news = overlay.greeted(sender, message, now)
                return self._heed((effects + self.relaying.met(sender, now), news), now)
            if isinstance(message, Unwelcome):
                return self._heed(overlay.unwelcome(sender, message, now), now)
            effects = overlay.heard(sender, message, now)
        match message:
            case _ if isinstance(message, BroadcastMessage):
                return effects + self._heed(overlay.spread(sender, message, now), now)
            case _ if isinstance(message, MembershipMessage):
                effects += overlay.member(sender, message, now)
                return effects + self._clocks(message, now)
            case _ if isinstance(message, RelayMessage):
                return effects + self.relaying.handle(sender, message, now)
            case _ if isinstance(message, RegisterMessage):
                return effects + self._register(sender, message, now)
            case _ if isinstance(message, Agreeing):
                return effects + self._negotiate(sender, message, now)
            case _ if isinstance(message, BulkMessage):
                return [*effects, HandOver(sender, message)]
            case _:
                assert_never(message)

    def _register(self, sender: PeerId, message: RegisterMessage, now: float) -> list[Effect]:
        try:
            effects, outcomes = self.registers.handle(sender, message, now)
        except Untrusted as error:
            return self.overlay.blame(sender, "register-value", now, error.detail)
        self._touch()
        for lie in self.registers.pop_found():
            effects += self._heed(self.overlay.accuse(lie, now), now)
        return effects + self._settle(outcomes, now)

    def _clocks(self, message: MembershipMessage, now: float) -> list[Effect]:
        """A neighbour told its time. If that changes what is to be thought of ours, the host is told."""
        if not (isinstance(message, Pong) and self.membership.compare_clocks()):
            return []
        return self._outcomes(self.host.clock_changed(now), now)

    def _negotiate(self, sender: PeerId, message: Agreeing, now: float) -> list[Effect]:
        if isinstance(message, Partnering):
            return self._outcomes((self.tunnel_partners.handle(sender, message, now), []), now)
        if isinstance(message, HoldAsk):
            promises, outcomes = self.host.message(sender, message, now)
            self._outbox.promise(promises)
            return self._outcomes(([], outcomes), now)
        if isinstance(message, ToHost):
            return self._outcomes(self.host.message(sender, message, now), now)
        return self._outcomes(self.requester.message(sender, message, now), now)

    def _settle(self, outcomes: list[Settlement], now: float) -> list[Effect]:
        """Passes the outcomes of changes of registers to the side whose purpose it was."""
        answers = (settled(self.host, self.requester, outcome, now) for outcome in outcomes)
        return [effect for answer in answers for effect in self._outcomes(answer, now)]

    # -- time

    def _lateness(self, event: Event, now: float) -> list[Effect]:
        """Tells the overlay how late the last deadline is handled; a stopped peer may have missed its own."""
        if isinstance(event, Slept):
            return self.overlay.late(event.for_s, now)
        if self._due is None or self._due.at_s > now:
            return []
        return self.overlay.late(now - max(self._due.at_s, self._now), now)

    def _tick(self, now: float) -> list[Effect]:
        effects = self._upkeep(now) if self._deadlines.upkeep_due(now) else []
        effects += self._heed(self.overlay.spread_due(now), now)
        if not self._deadlines.work_due(now):
            return effects
        self._touch()
        more, outcomes = self.registers.tick(now)
        effects += more + self._settle(outcomes, now) + self.tunnel_partners.tick(now)
        effects += self._outcomes(self.host.tick(now), now)
        return effects + self._outcomes(self.requester.tick(now), now)

    def _upkeep(self, now: float) -> list[Effect]:
        self._deadlines.upkept()
        effects, news = self.overlay.tick(now)
        effects = self._heed((effects + self.relaying.tick(now), news), now)
        if self.publishing.moved(now):
            self._deadlines.worked()
        if self.site_summaries.tick(now):
            self.directory.narrow(self.identity.site)
        return effects

    # -- wiring

    def _touch(self) -> None:
        """The work may have other deadlines than before, and something to tell."""
        self._worked = True
        self._deadlines.worked()

    def _outcomes(self, answer: Answer, now: float) -> list[Effect]:
        """Carries out what one side of the work asked of other rooms."""
        self._touch()
        effects, outcomes = list(answer[0]), answer[1]
        for outcome in outcomes:
            match outcome:
                case NoticeDue(grid=grid):
                    self.publishing.due(grid)
                case RoomChanged():
                    self.requester.queue.room_changed(now, here=True)
                    self.publishing.room_changed()
                case Propose():
                    more, done = self.registers.propose(outcome, now)
                    effects += more + self._settle(done, now)
                case CheckGrids(grids=grids):
                    effects += self._outcomes(self.requester.check(grids, now), now)
                case _:
                    assert_never(outcome)
        return effects

    def _heed(self, answer: OverlayAnswer, now: float) -> list[Effect]:
        """Passes what the directory has for the work to it."""
        effects, news = answer
        for item in news:
            try:
                effects = effects + self._news(item, now)
            except Malformed:
                self.quarantines.count("record-body")
        return effects

    def _news(self, item: News, now: float) -> list[Effect]:
        """Passes one piece of news to the work. Raises Malformed if its body is not what its kind says."""
        match item:
            case DetailAsked(peer=peer):
                return self.broadcast.detail(peer, self.site_summaries.roomiest())
            case Expired(record=record):
                self._expired(record)
            case Stray(record=record):
                return self._reminded(record, now)
            case Learnt(record=record) if record.kind == SITE:
                self.site_summaries.heard(record, now)
            case Learnt(record=record):
                return self._heard(PeerId(record.owner), record, now)
            case _:
                assert_never(item)
        return []

    def _reminded(self, record: Record, now: float) -> list[Effect]:
        """Others hold a notice of an earlier life of this peer. It is taken back, unless it may still hold."""
        if record.kind == NOTICE and record.body:
            notice = read_notice(record.name, record.body)
            if self.host.foundlings.reminded(notice, now):
                self.notices.put(self.me, notice, now)
                self._touch()
                return []
        return self.announcer.stray(record, now)

    def _heard(self, peer: PeerId, record: Record, now: float) -> list[Effect]:
        """A record came that the work is to hear."""
        if record.kind == ADVERT and record.body:
            # Adverts are most of what is heard, and change the work only of requests that wait.
            advert = decode(record.body, Advert)
            if advert.lacks:
                self.host.allotting.heard(now)
            if self.requester.advertised(peer, advert, now) or advert.lacks:
                self._touch()
        elif record.kind == NOTICE:
            self._touch()
            if record.body:
                return self._noticed(peer, read_notice(record.name, record.body), now)
            self._unheard(peer, GridId(record.name))
        return []

    def _noticed(self, peer: PeerId, notice: Notice, now: float) -> list[Effect]:
        """A host, perhaps this one, tells of a grid. Both sides of the work are told."""
        self.notices.put(peer, notice, now)
        effects = self.host.noticed(peer, notice, now)
        effects += self._outcomes(self.requester.noticed(peer, notice, now), now)
        return effects + self._starting.noticed(notice.grid)

    def _expired(self, record: Record) -> None:
        """A record outlived its time, so nobody stands for what it said any more."""
        peer = PeerId(record.owner)
        if record.kind == ADVERT:
            self.directory.adverts.pop(peer, None)
        elif record.kind == NOTICE:
            self._unheard(peer, GridId(record.name))

    def _unheard(self, peer: PeerId, grid: GridId) -> None:
        self.notices.drop(peer, grid)
        self.host.unheard(peer, grid)

    def _publish(self, now: float) -> list[Effect]:
        """Publishes the adverts and notices that are due."""
        due = self.publishing.pop_due(now)
        for told in due:
            scope = self.identity.site if told.kind == ADVERT else ""
            self.broadcast.publish(told.kind, told.name, told.body, told.ttl_s, now, scope)
        effects: list[Effect] = []
        for told in due:
            if told.notice is not None and told.known is not None:
                self.notices.know(told.known)
                effects += self._noticed(self.me, told.notice, now)
        if effects:
            self._touch()
        return effects + self.host.chronicle.save() if due else effects
