"""The peer: one machine made of the rooms to the right of it, and the wiring between them.

`handle(event, now)` is the only way to change it. It has two halves: the overlay (who is there, what
everybody knows; overlay.py) and the work (promises, grids, requests, registers), wired here. Each half says
when it wants to be woken; the work is asked again only when it was touched, since most of what happens to a
peer is upkeep of the overlay. So are the overlay's deadlines: what comes most often, news and pings, makes none
of them earlier but broadcast's, unless it changes what is believed of others.
"""

from collections.abc import Iterable
from typing import assert_never, get_args

from protocol.broadcast.broadcast import DetailAsked, Expired, Learnt
from protocol.broadcast.messages import BroadcastMessage, Records
from protocol.capacity.advert import KIND as ADVERT
from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.contract.authority import Authority
from protocol.contract.messages import HoldAsk, NegotiationMessage
from protocol.contract.outcomes import RoomChanged
from protocol.hosting.events import Cleared, Measured, Progressed
from protocol.hosting.holds import HoldNotSaved
from protocol.hosting.host import Host
from protocol.hosting.publishing import Publishing
from protocol.membership.messages import Contact, Hello, MembershipMessage, Ping, Pong
from protocol.node.desk import Desk
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Garbled,
    ImagesChanged,
    Knocked,
    NewsGiven,
    Probed,
    Renewed,
    Revoking,
    Say,
    Slept,
    Started,
    Stopping,
    Ticked,
)
from protocol.node.messages import FAMILIES, BulkMessage, Message, RegisterMessage
from protocol.node.outbox import Outbox
from protocol.node.registers import Registers
from protocol.node.relaying import Relaying
from protocol.node.site_summaries import KIND as SITE
from protocol.node.site_summaries import SiteSummaries
from protocol.peering.addresses import Rows
from protocol.peering.overlay import Overlay
from protocol.relay.messages import RelayMessage
from protocol.requesting.events import CancelAsked, OrderGiven, PlanAsked
from protocol.requesting.proposal import TABLE as QUOTED
from protocol.requesting.proposal import ProposalNotSaved
from protocol.requesting.queueing import TABLE as QUEUE
from protocol.requesting.queueing import QueueNotSaved
from protocol.terms.dice import Dice
from protocol.terms.effects import (
    Deadline,
    Effect,
    HandOver,
    Note,
    Realise,
    Send,
    Untidied,
    earliest,
)
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import LEVELS_ABOVE
from protocol.trust.identity import Identity
from protocol.wire.codec import Malformed

__all__ = ["Node", "Rows"]

_QUIET = frozenset((Ping, Pong, *get_args(BroadcastMessage)))
"""Messages after which nothing is due sooner than before, but what broadcast says."""
_SAID = frozenset((Send, Note))
"""Effects of which the same is true, if they went out as they were."""


class Node:
    """One peer. See `protocol.node.snapshot` for reading it."""

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
        """`rows` is the whole store, by table; empty for a new peer. `facts` may come later (Probed)."""
        self.me = identity.peer
        self.overlay = Overlay(identity, joins, rows, dice, FAMILIES, now)
        self.membership, self.broadcast = self.overlay.membership, self.overlay.broadcast
        self.announcer, self.quarantines = self.overlay.announcer, self.overlay.quarantines
        incarnation = self.broadcast.incarnation
        self._outbox = Outbox(self.me, self.membership)
        self.relaying = Relaying(identity, self.overlay, dice, self._arrived)
        self.relay = self.relaying.relay
        self.registers = Registers(self.me, incarnation, dice, rows)
        self.certificates = self.overlay.certificates
        revoked = self.certificates.revocations
        self.authority = Authority(identity.federation, identity.verifier, revoked)
        membership = self.membership
        self.host = Host(
            identity,
            facts,
            images,
            self.authority,
            dice,
            rows,
            now,
            membership.clock_fault,
            lambda: membership.vivaldi.here,
        )
        self.desk = Desk(
            identity,
            self.authority,
            membership,
            self.host,
            dice,
            incarnation,
            lambda sites, at_s: self.site_summaries.ask_detail(sites, at_s),
            self.overlay.expects,
            now,
        )
        self._waiting, self._quoted = rows.get(QUEUE, {}), rows.get(QUOTED, {})
        self.host.hidden = self.relaying.hidden
        self.publishing = Publishing(self.me, self.host, self.desk.directory.notices)
        self.site_summaries = SiteSummaries(
            identity,
            self.membership,
            self.broadcast,
            self.desk.directory.adverts,
            dice,
            levels_above,
            now,
        )
        self._now = now
        self._due: Deadline | None = None
        self._work_due: Deadline | None = None
        self._upkeep_due = self.site_summaries.next_deadline()
        """Of everything but the work and broadcast, or sooner than that: it is asked again when it comes."""
        self._stirred = True
        # The work was touched: its deadline may be another, and it may have something to tell.
        self._touched = self._worked = True

    @property
    def identity(self) -> Identity:
        """Who this peer is, with its newest certificate."""
        return self.certificates.identity

    # -- the three doors

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from an event. Deadlines that have come are dealt with on the way."""
        cause = event.cause if isinstance(event, Arrived | Say) else ""
        if isinstance(event, Arrived):
            self._stirred |= type(event.message) not in _QUIET
        elif not isinstance(event, Ticked):
            self._stirred = True
        effects = self._lateness(event, now)
        effects += self._dispatch(event, now)
        due: Deadline | None = self._deadline()
        if due is not None and due.at_s <= now:
            effects += self._tick(now)
            due = None
        if self._worked:
            self._worked = False
            effects += self._publish(now)
            effects += self.desk.notes()
            due = None
        effects += self.broadcast.flush(now)
        if not (effects or self._outbox.promised):
            self._now, self._due = now, due or self._deadline()
            return effects
        sent = self.overlay.versions.spoken(self._outbox.send(effects, cause, now))
        sent = self.relaying.send(sent, now)
        if len(sent) != len(effects) or self.relaying.busy or not _SAID.issuperset(map(type, sent)):
            self._stirred, due = True, None
        self._now, self._due = now, due or self._deadline()
        return sent

    def next_deadline(self) -> Deadline:
        """When this peer wants to be woken."""
        return self._due if self._due is not None else self._deadline()

    def check(self) -> None:
        """Invariants of every room."""
        self.overlay.check()
        self.relay.check()
        self.registers.check()
        self.host.check()

    # -- beginning in the middle, for simulators

    def taught(self, records: Records, now: float) -> None:
        """Has taken in what others say some time ago; nothing follows from it any more."""
        self._heed(self.overlay.spread(self.me, records, now), now)

    def settle(self, now: float) -> None:
        """Takes stock of how many peers there are, as it does each period."""
        if self.site_summaries.settle(now):
            self.desk.directory.narrow(self.identity.site)

    def settled_like(self, other: "Node", now: float) -> None:
        """Knows what another peer of its site knows, as if it had been there for as long."""
        self.overlay.settled_like(other.overlay, now)
        self.site_summaries.settled_like(other.site_summaries)
        self.desk.directory.adverts.update(other.desk.directory.adverts)
        self.desk.directory.adverts.pop(self.me, None)
        if (held := self.broadcast.directory.get(KeyId(other.me), ADVERT)) is not None:
            self.desk.news(held.record, now)
        if self.site_summaries.wide:
            self.desk.directory.narrow(self.identity.site)

    # -- events

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
                return self._heed(self.relaying.lost(peer, now), now)
            case Knocked(peer=peer, reached=reached):
                return self._heed(self.relaying.knocked(peer, reached, now), now)
            case Garbled(peer=peer, reason=reason):
                return self.overlay.garbled(peer, reason, now)
            case Probed(facts=facts):
                self._touched = self._worked = True
                self.host.probed(facts)
                self.publishing.room_changed()
                return []
            case ImagesChanged(images=images):
                self._touched = self._worked = True
                self.host.images = images
                self.publishing.room_changed()
                return []
            case Progressed() | Cleared() | Measured() | HoldNotSaved():
                return self._outcomes(*self.host.handle(event, now), now)
            case QueueNotSaved():
                return self._outcomes(*self.desk.queue.not_saved(event, now), now)
            case ProposalNotSaved():
                return self._outcomes(*self.desk.quotes.not_saved(event, now), now)
            case PlanAsked() | OrderGiven() | CancelAsked():
                return self._outcomes(*self.desk.handle(event, now), now)
            case NewsGiven(text=text):
                return self.overlay.crier.tell(text, now)
            case Say(peer=peer, message=message, cause=cause):
                return [Send(peer, message, cause)]
            case Revoking(record=record):
                return self._heed(self.overlay.revoking(record, now), now)
            case Renewed(chain=chain):
                return self._heed(self.overlay.renewed(chain, now), now)
            case Stopping():
                return self.announcer.leave(self.membership.view.neighbours, now)
            case _:
                assert_never(event)

    def _start(self, now: float) -> list[Effect]:
        effects = self.overlay.begin(now)
        self._touched = self._worked = True
        self.publishing.room_changed()
        for row in self.host.leases.rows():
            self.publishing.due(row.record.id)
            effects.append(Realise(row.record.id, row.record.id))
        effects += self.desk.queue.resume(self._waiting, now)
        effects += self.desk.quotes.resume(self._quoted, now)
        self._waiting, self._quoted = {}, {}
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
                effects = overlay.greeted(sender, message, now)
                return self._heed(effects + self.relaying.met(sender, now), now)
            effects = overlay.heard(sender, message, now)
        match message:
            case _ if isinstance(message, BroadcastMessage):
                return self._heed(effects + overlay.spread(sender, message, now), now)
            case _ if isinstance(message, MembershipMessage):
                return self._heed(effects + overlay.member(sender, message, now), now)
            case _ if isinstance(message, RelayMessage):
                return self._heed(effects + self.relaying.handle(sender, message, now), now)
            case _ if isinstance(message, RegisterMessage):
                more, settled = self.registers.handle(sender, message, now)
                self._touched = self._worked = True
                effects += more
                for outcome in settled:
                    effects += self._settled(outcome, now)
                return effects
            case _ if isinstance(message, NegotiationMessage):
                return effects + self._negotiate(sender, message, now)
            case _ if isinstance(message, BulkMessage):
                return [*effects, HandOver(sender, message)]
            case _:
                assert_never(message)

    def _negotiate(self, sender: PeerId, message: NegotiationMessage, now: float) -> list[Effect]:
        if isinstance(message, HoldAsk):
            promises, outcomes = self.host.message(sender, message, now)
            self._outbox.promise(promises)
            return self._outcomes([], outcomes, now)
        if self.host.concerns(message):
            return self._outcomes(*self.host.message(sender, message, now), now)
        return self._outcomes(*self.desk.message(sender, message, now), now)

    def _settled(self, outcome: object, now: float) -> list[Effect]:
        """A register's change has an outcome: the host's own, or one of a request."""
        effects = self._outcomes(*self.host.settled(outcome, now), now)
        return effects + self._outcomes(*self.desk.settled(outcome, now), now)

    # -- time

    def _lateness(self, event: Event, now: float) -> list[Effect]:
        """How much too late the last deadline is handled. Who was stopped may have had none meanwhile."""
        if isinstance(event, Slept):
            return self.overlay.late(event.for_s, now)
        if self._due is None or self._due.at_s > now:
            return []
        return self.overlay.late(now - max(self._due.at_s, self._now), now)

    def _deadline(self) -> Deadline:
        if self._touched:
            self._touched = False
            self._work_due = earliest(
                self.registers.next_deadline(),
                self.host.next_deadline(),
                self.desk.next_deadline(),
                self.publishing.next_deadline(),
            )
        if self.overlay.pop_stirred() or self._stirred:
            self._stirred = False
            levels = self.site_summaries.next_deadline()
            upkeep = earliest(self.overlay.next_deadline(), self.relay.next_deadline(), levels)
            self._upkeep_due = upkeep or levels
        first = self._upkeep_due
        for due in (self.broadcast.next_deadline(), self._work_due):
            if due is not None and due.at_s < first.at_s:
                first = due
        return first

    def _tick(self, now: float) -> list[Effect]:
        effects = self._upkeep(now) if self._upkeep_due.at_s <= now else []
        effects = self._heed(effects + self.overlay.spread_due(now), now)
        if self._work_due is None or self._work_due.at_s > now:
            return effects
        self._touched = self._worked = True
        more, settled = self.registers.tick(now)
        effects += more
        for outcome in settled:
            effects += self._settled(outcome, now)
        effects += self._outcomes(*self.host.tick(now), now)
        return effects + self._outcomes(*self.desk.tick(now), now)

    def _upkeep(self, now: float) -> list[Effect]:
        self._stirred = True
        effects = self.overlay.tick(now) + self.relaying.tick(now)
        self._touched |= self.publishing.moved(now)
        if self.site_summaries.tick(now):
            self.desk.directory.narrow(self.identity.site)
        return effects

    # -- wiring

    def _outcomes(
        self, effects: list[Effect], outcomes: Iterable[object], now: float
    ) -> list[Effect]:
        """What negotiation asked of other rooms."""
        self._touched = self._worked = True
        effects = list(effects)
        for outcome in outcomes:
            if isinstance(outcome, RoomChanged):
                self.desk.queue.room_changed(now, here=True)
            if not self.publishing.take(outcome):
                effects += self.registers.propose(outcome, now)
        return effects

    def _heed(self, effects: list[Effect], now: float) -> list[Effect]:
        """What the directory has for the work."""
        for item in self.overlay.pop_news():
            try:
                match item:
                    case DetailAsked(peer=peer):
                        effects = effects + self.broadcast.detail(
                            peer, self.site_summaries.roomiest()
                        )
                    case Expired(record=record):
                        self.desk.ended(record)
                    case Learnt(record=record) if record.kind == SITE:
                        self.site_summaries.heard(record, now)
                    case Learnt(record=record):
                        effects = effects + self._outcomes(*self.desk.news(record, now), now)
            except Malformed:
                self.quarantines.count("record-body")
        return effects

    def _publish(self, now: float) -> list[Effect]:
        """Adverts and notices that are due."""
        for kind, name, body, ttl_s in self.publishing.pop_due(now):
            scope = self.identity.site if kind == ADVERT else ""
            self.broadcast.publish(kind, name, body, ttl_s, now, scope)
        fed, outcomes = self.desk.own_news(self.publishing.pop_own(), now)
        self._worked = False
        return self._outcomes(fed, outcomes, now) if fed or outcomes else []
