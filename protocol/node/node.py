"""The peer: one machine made of the rooms to the right of it, and the wiring between them.

`handle(event, now)` is the only way to change it. Rooms answer effects (for the world) and outcomes (for
other rooms); this file carries outcomes to where they belong and gives effects their way out. It
decides nothing itself.
"""

from collections.abc import Iterable
from typing import assert_never

from protocol.broadcast.broadcast import Broadcast, Broken, Ended, Learnt, Stray, Told
from protocol.broadcast.messages import BroadcastMessage, version_of
from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.membership.liveness import Changed, Health
from protocol.membership.membership import (
    Accuse,
    Join,
    Membership,
    NeighbourDown,
    NeighbourUp,
    Refute,
)
from protocol.membership.membership import Outcome as MembershipOutcome
from protocol.membership.messages import (
    Hello,
    MembershipMessage,
    Ping,
    Pong,
    Suspicion,
)
from protocol.membership.presence import KIND as PRESENCE
from protocol.membership.presence import Known
from protocol.negotiation.authority import Authority
from protocol.negotiation.holds import HoldNotSaved
from protocol.negotiation.messages import HoldAsk, NegotiationMessage
from protocol.node.acquaintances import TABLE as PEERS
from protocol.node.acquaintances import Acquaintances
from protocol.node.belonging import TABLE as REVOKED
from protocol.node.belonging import Belonging
from protocol.node.bulletin import Bulletin
from protocol.node.desk import Desk
from protocol.node.dialects import Dialects
from protocol.node.events import (
    Arrived,
    CancelAsked,
    Cleared,
    Connected,
    Disconnected,
    Event,
    Garbled,
    ImagesChanged,
    NewsGiven,
    OrderGiven,
    PlanAsked,
    Probed,
    Progressed,
    Renewed,
    Revoking,
    Say,
    Started,
    Stopping,
    Ticked,
)
from protocol.node.herald import Herald, next_incarnation
from protocol.node.host import Host
from protocol.node.identity import Identity
from protocol.node.messages import BulkMessage, Message, RegisterMessage
from protocol.node.news import KIND as NEWS
from protocol.node.news import Crier
from protocol.node.outbox import Outbox
from protocol.node.registers import Registers
from protocol.node.standing import Standing, family_of
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
from protocol.terms.limits import SUSPICION_TTL_S
from protocol.trust.certificate import Chain
from protocol.trust.record import Record, SignedRecord
from protocol.trust.revocation import KIND as REVOCATION
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, MalformedReason, decode, encode

SUSPICION = "suspicion"

Rows = dict[str, dict[str, bytes]]


class Node:
    """One peer. See `protocol.node.snapshot` for reading it."""

    def __init__(
        self,
        identity: Identity,
        facts: HostFacts | None,
        images: tuple[ImageLabel, ...],
        joins: tuple[Join, ...],
        rows: Rows,
        dice: Dice,
        now: float,
    ) -> None:
        """`rows` is the whole store, by table; empty for a new peer. `facts` may come later (Probed)."""
        self.identity, self.me = identity, identity.peer
        incarnation = next_incarnation(rows)
        self._met = Acquaintances(rows.get(PEERS, {}))
        known = self._met.joins()
        self.membership = Membership(self.me, identity.site, dice, joins + known)
        self.broadcast = Broadcast(
            identity.signer, identity.verifier, dice, incarnation, self._admits
        )
        self._outbox = Outbox(self.me, self.membership)
        self.herald = Herald(identity, self.broadcast, now)
        self.registers = Registers(self.me, incarnation, dice, rows)
        self.belonging = Belonging(identity, rows.get(REVOKED, {}), now)
        revoked = self.belonging.revocations
        self.authority = Authority(identity.federation, identity.verifier, revoked)
        self.host = Host(identity, facts, images, self.authority, dice, rows, now)
        self.desk = Desk(identity, self.authority, self.membership, self.host, dice, incarnation)
        self.bulletin = Bulletin(self.me, self.host, self.desk.notices)
        self._crier = Crier(identity.name, self.broadcast)
        self.standing = Standing()
        self.dialects = Dialects(identity.speaks)
        self._now = now

    # -- the three doors

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from an event. Deadlines that have come are dealt with on the way."""
        self._now = now
        cause = event.cause if isinstance(event, Arrived | Say) else ""
        effects = self._dispatch(event, now)
        due = self.next_deadline()
        if due is not None and due.at_s <= now:
            effects += self._tick(now)
        effects += self._publish(now)
        effects += self.desk.requests.notes()
        return self.dialects.spoken(self._outbox.send(effects, cause, now))

    def next_deadline(self) -> Deadline | None:
        """When this peer wants to be woken."""
        return earliest(
            self.membership.next_deadline(),
            self.broadcast.next_deadline(),
            self.registers.next_deadline(),
            self.host.next_deadline(),
            self.desk.next_deadline(),
            self.bulletin.next_deadline(),
            self.herald.next_deadline(),
            self.standing.next_deadline(),
            self.belonging.next_deadline(),
        )

    def check(self) -> None:
        """Invariants of every room."""
        self.membership.check()
        self.broadcast.check()
        self.registers.check()
        self.host.check()
        self.standing.check()

    # -- events

    def _dispatch(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Started():
                return self._start(now)
            case Ticked():
                return []
            case Connected(peer=peer):
                return self.membership.connected(peer, self.herald.hello(now), now)
            case Disconnected(peer=peer):
                self.dialects.forget(peer)
                return self._follow(self.membership.disconnected(peer, now), now)
            case Arrived(peer=peer, message=message, size_bytes=size_bytes):
                return self._arrived(peer, message, size_bytes, now)
            case Garbled(peer=peer, reason=reason):
                if reason == MalformedReason.UNKNOWN_TYPE and self.dialects.is_newer(peer):
                    self.standing.count(f"newer-{reason}")
                    return []
                return self._blame(peer, reason, now)
            case Probed(facts=facts):
                self.host.probed(facts)
                self.bulletin.room_changed()
                return []
            case ImagesChanged(images=images):
                self.host.images = images
                self.bulletin.room_changed()
                return []
            case Progressed() | Cleared() | HoldNotSaved():
                return self._outcomes(*self.host.handle(event, now), now)
            case PlanAsked() | OrderGiven() | CancelAsked():
                return self._outcomes(*self.desk.handle(event, now), now)
            case NewsGiven(text=text):
                return self._crier.tell(text, now)
            case Say(peer=peer, message=message, cause=cause):
                return [Send(peer, message, cause)]
            case Revoking(record=record):
                return self._revoking(record, now)
            case Renewed(chain=chain):
                return self._renewed(chain, now)
            case Stopping():
                return self.herald.leave(self.membership.view.neighbours, now)
            case Untidied():
                return []
            case _:
                assert_never(event)

    def _start(self, now: float) -> list[Effect]:
        effects = self.herald.begin(now)
        for revocation in self.belonging.pop_kept():
            effects += self._revoking(revocation, now)
        self.bulletin.room_changed()
        for row in self.host.carrier.rows():
            self.bulletin.due(row.record.id)
            effects.append(Realise(row.record.id, row.record.id))
        return effects + self._tick(now)

    def _arrived(
        self, sender: PeerId, message: Message, size_bytes: int, now: float
    ) -> list[Effect]:
        if sender != self.me:
            if self.standing.left_s(sender, now):
                self.standing.count("quarantined")
                return []
            fault = self.standing.fault(sender, family_of(type(message)), size_bytes, now)
            if fault:
                return self._blame(sender, fault, now)
        if isinstance(message, Hello):
            return self._greeted(sender, message, now)
        if sender != self.me:
            if not self.membership.links.introduced(sender):
                self.standing.count("not-introduced")
                return []
            errand = not isinstance(message, Ping | Pong)
            outcomes = self.membership.heard(sender, errand, now)
        else:
            outcomes = []
        effects = self._follow(outcomes, now)
        match message:
            case _ if isinstance(message, MembershipMessage):
                more, outcomes = self.membership.handle(sender, message, now)
                return effects + more + self._follow(outcomes, now)
            case _ if isinstance(message, BroadcastMessage):
                more, told = self.broadcast.handle(sender, message, now)
                return effects + more + self._learn(told, now)
            case _ if isinstance(message, RegisterMessage):
                more, settled = self.registers.handle(sender, message, now)
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

    def _greeted(self, sender: PeerId, hello: Hello, now: float) -> list[Effect]:
        try:
            presence = hello.presence
            record, known = self.belonging.shown(presence, now)
            if known.peer != sender:
                raise _impostor(sender, known.name)
        except Untrusted as error:
            return self._refuse(sender, error.reason, str(error), now)
        if why := self.dialects.met(sender, hello):
            return self._refuse(sender, MalformedReason.UNKNOWN_VERSION, why, now)
        effects: list[Effect] = []
        if not self.broadcast.directory.has(version_of(record)):
            more, told = self.broadcast.take(sender, presence, now)
            effects = more + self._learn(told, now)
        effects += self._present(known, now)
        introduced, outcomes = self.membership.introduced(sender, now)
        return effects + introduced + self._follow(outcomes, now)

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

    def _tick(self, now: float) -> list[Effect]:
        effects, outcomes = self.membership.tick(now)
        effects += self._follow(outcomes, now)
        more, told = self.broadcast.tick(now)
        effects += more + self._learn(told, now)
        more, settled = self.registers.tick(now)
        effects += more
        for outcome in settled:
            effects += self._settled(outcome, now)
        effects += self._outcomes(*self.host.tick(now), now)
        effects += self._outcomes(*self.desk.tick(now), now)
        effects += self.belonging.tick(now)
        for peer in self.belonging.pop_ended(now):
            effects += self._expel(peer, "its certificate has ended", now)
        return effects + self.standing.tick(now)

    # -- wiring

    def _outcomes(
        self, effects: list[Effect], outcomes: Iterable[object], now: float
    ) -> list[Effect]:
        """What negotiation asked of other rooms."""
        effects = list(effects)
        for outcome in outcomes:
            if not self.bulletin.take(outcome):
                effects += self.registers.propose(outcome, now)
        return effects

    def _follow(self, outcomes: list[MembershipOutcome], now: float) -> list[Effect]:
        """What membership asked of other rooms."""
        effects: list[Effect] = []
        for outcome in outcomes:
            match outcome:
                case Accuse(suspicion=suspicion):
                    effects += self.broadcast.publish(
                        SUSPICION, suspicion.accused, encode(suspicion), SUSPICION_TTL_S, now
                    )
                case Refute(incarnation=incarnation):
                    effects += self.herald.refute(incarnation, now)
                case NeighbourUp(peer=peer):
                    effects += self.broadcast.neighbour_up(peer, now)
                case NeighbourDown(peer=peer):
                    self.broadcast.neighbour_down(peer)
                case Changed():
                    effects += self._believed(outcome)
                case _:
                    assert_never(outcome)
        return effects

    def _believed(self, changed: Changed) -> list[Effect]:
        known = self.membership.known.get(changed.peer)
        effects: list[Effect] = []
        if known is not None:
            kind = "peer.joined" if changed.why == "joined" else f"peer.{changed.health}"
            effects.append(Note(kind, known.name, changed.why))
            if changed.health is Health.ALIVE:
                effects += self._met.met(known)
        return effects

    def _learn(self, told: list[Told], now: float) -> list[Effect]:
        """News from the directory."""
        effects: list[Effect] = []
        for item in told:
            match item:
                case Learnt(record=record):
                    effects += self._news(record, now)
                case Broken(peer=peer, why=why):
                    effects += self._blame(peer, "record", now, why)
                case Stray(record=record):
                    effects += self.herald.stray(record, now)
                case Ended(record=record):
                    self.desk.ended(record)
                case _:
                    assert_never(item)
        return effects

    def _news(self, record: Record, now: float) -> list[Effect]:
        try:
            if record.kind == PRESENCE:
                known = self.belonging.known(record, now)
                effects = self._present(known, now)
                for held in self.broadcast.directory.of_kind(SUSPICION):
                    if held.record.name == known.peer:
                        effects += self._suspicion(held.record, now)
                return effects
            if record.kind == SUSPICION:
                return self._suspicion(record, now)
            if record.kind == REVOCATION:
                return self._revoked(record, now)
            if record.kind == NEWS:
                return self._told(record)
            return self._outcomes(*self.desk.news(record, now), now)
        except (Malformed, Untrusted):
            self.standing.count("record-body")
            return []

    def _told(self, record: Record) -> list[Effect]:
        """News of a host; without a body, of an earlier life of it. Malformed."""
        author = self.membership.known[PeerId(record.owner)].name
        return self._crier.heard(record, author) if record.body else []

    def _suspicion(self, record: Record, now: float) -> list[Effect]:
        """Somebody's suspicion; without a body it is taken back. Malformed."""
        accused = PeerId(record.name)
        suspicion = decode(record.body, Suspicion) if record.body else Suspicion(accused, -1)
        if suspicion.accused != accused:
            return []
        owner = PeerId(record.owner)
        return self._follow(self.membership.suspected(owner, suspicion, now), now)

    def _publish(self, now: float) -> list[Effect]:
        """Presence, adverts and notices that are due."""
        effects = self.herald.tick(now)
        for kind, name, body, ttl_s in self.bulletin.pop_due(now):
            effects += self.broadcast.publish(kind, name, body, ttl_s, now)
        fed, outcomes = self.desk.own_news(self.bulletin.pop_own(), now)
        return effects + self._outcomes(fed, outcomes, now)

    def _admits(self, record: Record) -> bool:
        """Members' records are kept; a presence makes its owner one; a revocation needs no member."""
        try:
            if record.kind == PRESENCE:
                self.belonging.known(record, self._now)
            elif record.kind == REVOCATION:
                self.belonging.revocation(record)
            else:
                return PeerId(record.owner) in self.membership.known
        except Untrusted as error:
            self.standing.count(f"{record.kind}-{error.reason}")
            return False
        return True

    # -- belonging

    def _present(self, known: Known, now: float) -> list[Effect]:
        """A believed presence of another peer."""
        self.belonging.met(known)
        return self._follow(self.membership.present(known, now), now)

    def _revoking(self, signed: SignedRecord, now: float) -> list[Effect]:
        """A revocation from a person here, or from the disk."""
        effects, told = self.broadcast.take(self.me, signed, now)
        return effects + self._learn(told, now)

    def _revoked(self, record: Record, now: float) -> list[Effect]:
        """An admitted revocation: who shows what it revokes is out. Untrusted."""
        held = self.broadcast.directory.get(*record.key)
        effects = self.belonging.revoke(record, held.signed) if held is not None else []
        if effects:
            revoked = self.belonging.revocations
            for known in list(self.membership.known.values()):
                if any(certified in revoked for certified in known.certified):
                    effects += self._expel(known.peer, "its certificate was revoked", now)
        return effects

    def _expel(self, peer: PeerId, why: str, now: float) -> list[Effect]:
        known = self.membership.known.get(peer)
        if known is None:
            return []
        effects, outcomes = self.membership.expel(peer, why, now)
        effects += self._follow(outcomes, now)
        for record in self.broadcast.directory.drop(KeyId(peer)):
            self.desk.ended(record)
        effects += self._met.forget(peer)
        return [*effects, Note("peer.expelled", known.name, why)]

    def _renewed(self, chain: Chain, now: float) -> list[Effect]:
        before, note = self.identity, self.belonging.renew(chain, now)
        self.identity = self.belonging.identity
        return [note] if self.identity is before else [*self.herald.renew(self.identity, now), note]

    def _blame(self, peer: PeerId, reason: str, now: float, detail: str = "") -> list[Effect]:
        """A peer broke a rule: counted, and beyond patience it is not listened to for a while."""
        self.standing.count(reason)
        if not self.standing.lower(peer, now):
            return []
        why = f"{reason} {detail}".strip()
        known = self.membership.known.get(peer)
        told = self.standing.verdict(peer, known.name if known else peer, why, now)
        return [*self._hang_up(peer, f"too many faults, the last: {why}", now), *told]

    def _refuse(self, sender: PeerId, reason: str, why: str, now: float) -> list[Effect]:
        """A Hello that is not good enough."""
        self.standing.count(f"hello-{reason}")
        return [*self._hang_up(sender, why, now), Note("peer.refused", sender, why)]

    def _hang_up(self, peer: PeerId, why: str, now: float) -> list[Effect]:
        effects, outcomes = self.membership.hang_up(peer, why, now)
        return effects + self._follow(outcomes, now)


def _impostor(sender: PeerId, name: str) -> Untrusted:
    return Untrusted(Reason.WRONG_ROLE, f"{sender[:16]} shows the presence of {name}")
