"""This peer as a member of the overlay: membership, broadcast, and what it says of itself, wired together.

Rooms answer effects (for the world) and outcomes (for other rooms). This file carries outcomes to where they
belong. Records that are not about the overlay itself are answered as news, for the half of the node that works
with them.
"""

from collections.abc import Callable, Mapping
from typing import assert_never

import msgspec

from protocol.broadcast.broadcast import (
    Broadcast,
    Broken,
    DetailAsked,
    Expired,
    Learnt,
    Outcome,
    Refused,
    Stray,
)
from protocol.broadcast.messages import BroadcastMessage, version_of
from protocol.grid.equivocation import Equivocation
from protocol.membership.doubles import Double
from protocol.membership.liveness import Changed, Health
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Hello, MembershipMessage, Ping, Pong, Unwelcome
from protocol.membership.outcomes import Accuse, Met, NeighbourDown, NeighbourUp, Refute, Returned
from protocol.membership.outcomes import Outcome as MembershipOutcome
from protocol.membership.presence import KIND as PRESENCE
from protocol.membership.presence import Known
from protocol.peering.addresses import Addresses, Rows
from protocol.peering.announcer import DOUBLE_HELP, Announcer, double_in_words, next_incarnation
from protocol.peering.certificates import TABLE as REVOKED
from protocol.peering.certificates import Certificates, own_revocation
from protocol.peering.doorstep import Doorstep, parting
from protocol.peering.equivocators import KIND as LIED
from protocol.peering.joining import Joining
from protocol.peering.members import Members
from protocol.peering.near_peers import Whereabouts
from protocol.peering.news import KIND as NEWS
from protocol.peering.news import Crier
from protocol.peering.past import Past, Told
from protocol.peering.quarantine import Quarantines
from protocol.peering.shut_sites import shut
from protocol.peering.site_policies import SitePolicies
from protocol.peering.suspicions import KIND as SUSPICION
from protocol.peering.suspicions import read_suspicion, readable
from protocol.peering.versions import Versions
from protocol.peering.welcome import printable
from protocol.policy.policy_record import KIND as POLICY
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Note, earliest
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import SUSPICION_TTL_S
from protocol.terms.problem import Trouble
from protocol.trust.certificate import Chain
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, newer
from protocol.trust.revocation import KINDS as REVOCATIONS
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, MalformedReason, encode

News = Learnt | Expired | Stray | DetailAsked
"""What came by broadcast and is not about the overlay itself."""
Answer = tuple[list[Effect], list[News]]


class Overlay:
    """All of a peer except its work: who is there, and what everybody knows."""

    def __init__(
        self,
        identity: Identity,
        membership: Membership,
        whereabouts: Callable[[], Whereabouts],
        families: Mapping[type, str],
        rows: Rows,
        dice: Dice,
        now: float,
        joins: tuple[Contact, ...] = (),
    ) -> None:
        """`joins` are the contacts that are configured. `whereabouts` answers how this peer is reached, `rows`
        is the whole store, by table. `families` says against which allowance each type of message counts.
        """
        self.me, self._families = identity.peer, families
        self.membership = membership
        self.addresses = Addresses(self.membership, rows, now)
        self.policies = policies = SitePolicies(identity, rows)
        shut_until, revoked = shut(rows, now), rows.get(REVOKED, {})
        self.certificates = Certificates(identity, revoked, now, shut_until, policies)
        self.quarantines = Quarantines(rows, now)
        self.past = past = Past(identity, membership, rows, dice, now)
        by = (self.certificates, self.quarantines, past.out, policies)
        self.members = Members(self.me, membership, *by)
        self.broadcast = broadcast = Broadcast(
            identity.signer, identity.verifier, dice, next_incarnation(rows), self.members
        )
        self.announcer = Announcer(identity, broadcast, whereabouts, now, past.store, rows)
        past.among(broadcast, self.announcer, self.members)
        self.crier = Crier(identity.name, self.broadcast)
        self.versions = Versions(identity.speaks)
        self.fault = ""
        """Why others cannot dial this peer, for people, as the shell found; empty if they can."""
        self._turned = False
        links = membership.links
        self.joining = Joining(joins, links.introduced, links.count_introduced, self._name)
        self._doorstep = Doorstep(links, self.certificates, self.broadcast, self.joining)
        self.believed: list[Changed] = []
        """Peers that died, left or came back since the node looked last, which takes them out."""
        self._followed = 0
        """How often membership asked something of other rooms."""

    @property
    def changes(self) -> int:
        """Rises whenever the peers that this one knows or believes may be others, and so what is due."""
        return self._followed + self.members.met_elsewhere

    @property
    def identity(self) -> Identity:
        """Who this peer is, with its newest certificate."""
        return self.certificates.identity

    def begin(self, now: float) -> Answer:
        """Begins a life: takes in what is on disk, and publishes a presence."""
        effects = self.announcer.begin(now)
        news: list[News] = []
        for signed in (*self.certificates.saved, *self.policies.saved):
            more, learnt = self.given(signed, now)
            effects, news = effects + more, news + learnt
        return effects + self.certificates.lost() + self.quarantines.standing(), news

    # -- events

    def connected(
        self, peer: PeerId, now: float, *, relayed: bool = False, accepted: bool = False
    ) -> list[Effect]:
        """The transport has a connection, or there is a path through a relay."""
        hello = self.announcer.hello(now, self.past.yours(peer))
        return self.membership.links.up(peer, hello, now, relayed=relayed, accepted=accepted)

    def undialled(self, peer: PeerId, address: str, why: Trouble, now: float) -> list[Effect]:
        """The transport dialled a peer in vain."""
        return self.joining.failed(peer, address, why, now)

    def disconnected(self, peer: PeerId, now: float) -> list[Effect]:
        """The transport lost its last connection to that peer, or its path is over."""
        self.versions.forget(peer)
        self.announcer.look_again(now)
        return self.follow(self.membership.disconnected(peer, now), now)

    def garbled(self, peer: PeerId, reason: str, now: float) -> list[Effect]:
        """A peer sent bytes that are no message."""
        if reason == MalformedReason.UNKNOWN_TYPE and self.versions.is_newer(peer):
            self.quarantines.count(f"newer-{reason}")
            return []
        return self.blame(peer, reason, now)

    def refused(
        self, sender: PeerId, message: msgspec.Struct, size_bytes: int, now: float
    ) -> list[Effect] | None:
        """What follows for the sender of a message that is not to be heard; None if it is."""
        if self.quarantines.left_s(sender, now):
            self.quarantines.count("quarantined")
            return []
        family = self._families.get(type(message), "")
        fault = self.quarantines.fault(sender, family, size_bytes, now)
        if fault:
            return self.blame(sender, fault, now)
        if isinstance(message, Hello | Unwelcome) or self.membership.links.introduced(sender):
            return None
        self.quarantines.count("not-introduced")
        return []

    def heard(self, sender: PeerId, message: msgspec.Struct, now: float) -> list[Effect]:
        """A message, other than a Hello, came from a peer that has introduced itself."""
        outcomes = self.membership.heard(sender, not isinstance(message, Ping | Pong), now)
        return self.follow(outcomes, now) if outcomes else []

    def greeted(self, sender: PeerId, hello: Hello, now: float) -> Answer:
        """A peer's first word."""
        try:
            presence = hello.presence
            record, known = self.certificates.shown(presence, now)
            self.past.require_believable(known)
            if known.peer != sender:
                shown = f"{sender[:16]} shows the presence of {known.name}"
                raise Untrusted(Reason.WRONG_ROLE, shown)
        except Untrusted as error:
            return self._refuse(sender, hello, error.reason, str(error), now), []
        if why := self.versions.met(sender, hello):
            return self._refuse(sender, hello, MalformedReason.UNKNOWN_VERSION, why, now), []
        effects = self._reminded(sender, hello, now)
        news: list[News] = []
        if not self.broadcast.directory.has(version_of(record)):
            taken, news = self._learn(self.broadcast.take(sender, presence, now), now)
            effects += taken
        held = self.broadcast.directory.get(*record.key)
        if held is None or not newer(held.record, record) or sender not in self.membership.known:
            effects += self._met(known, now)
        introduced, outcomes = self.membership.introduced(sender, now)
        effects += self.joining.reached(sender, now)
        return effects + introduced + self.follow(outcomes, now), news

    def unwelcome(self, sender: PeerId, message: Unwelcome, now: float) -> Answer:
        """A peer says that this one's Hello was not good. It is believed in what proves itself."""
        effects: list[Effect] = []
        news: list[News] = []
        believed = ""
        if message.revocation is not None:
            try:
                revocation = self.certificates.brought(message.revocation)
            except Untrusted as error:
                return self.blame(sender, f"unwelcome-{error.reason}", now), []
            effects, news = self.given(message.revocation, now)
            believed = own_revocation(revocation)
        return effects + self._doorstep.refused_by(sender, message, believed, now), news

    def member(self, sender: PeerId, message: MembershipMessage, now: float) -> list[Effect]:
        """A message of membership."""
        effects, outcomes = self.membership.handle(sender, message, now)
        return effects + self.follow(outcomes, now) if outcomes else effects

    def spread(self, sender: PeerId, message: BroadcastMessage, now: float) -> Answer:
        """A message of broadcast."""
        effects, told = self.broadcast.handle(sender, message, now)
        if outcomes := self.members.pop_outcomes():
            effects += self.follow(outcomes, now)
        return self._learn((effects, told), now)

    def tick(self, now: float) -> Answer:
        """Does what is due, except of broadcast."""
        effects, outcomes = self.membership.tick(now)
        effects += self.follow(outcomes, now)
        effects += self.announcer.tick(now) + self._twinned(now) + self.past.tick(now)
        effects += self.certificates.tick(now, sure=not self.membership.clock.doubt)
        news: list[News] = []
        for peer in self.certificates.pop_ended(now, self.membership.known):
            more, gone = self._expel(peer, "its certificate has ended", now)
            effects, news = effects + more, news + gone
        return effects + self.quarantines.tick(now) + self.addresses.tick(now), news

    def spread_due(self, now: float) -> Answer:
        """Does what is due of broadcast."""
        return self._learn(self.broadcast.tick(now), now)

    def late(self, late_s: float, now: float) -> list[Effect]:
        """A deadline was handled `late_s` seconds too late."""
        return self.follow(self.membership.late(late_s, now), now)

    def next_deadline(self) -> Deadline | None:
        """When to tick, leaving out broadcast, which is asked by itself."""
        return earliest(
            self.membership.next_deadline(),
            self.announcer.next_deadline(),
            self.addresses.next_deadline(),
            self.quarantines.next_deadline(),
            self.certificates.next_deadline(),
        )

    def check(self) -> None:
        """Invariants."""
        self.membership.check()
        self.broadcast.check()
        self.quarantines.check()

    # -- wiring

    def follow(self, outcomes: list[MembershipOutcome], now: float) -> list[Effect]:
        """Carries out what membership asked of other rooms."""
        self._followed += 1
        effects: list[Effect] = []
        for outcome in outcomes:
            match outcome:
                case Accuse(suspicion=suspicion):
                    accused, body = suspicion.accused, encode(suspicion)
                    scope = self.members.site(accused)
                    self.broadcast.publish(SUSPICION, accused, body, SUSPICION_TTL_S, now, scope)
                case Refute(incarnation=incarnation, of_liar=of_liar):
                    effects += self.announcer.refute(incarnation, now, of_liar=of_liar)
                case Returned():
                    effects += self.announcer.refute(self.broadcast.incarnation, now)
                case NeighbourUp(peer=peer):
                    effects += self.broadcast.neighbour_up(peer, now)
                case NeighbourDown(peer=peer):
                    self.broadcast.neighbour_down(peer)
                case Met(peer=peer):
                    effects += self.broadcast.compare_with(peer, now)
                case Double():
                    effects.append(self._doubled(outcome))
                case Changed():
                    effects += self._believes(outcome, now)
                case _:
                    assert_never(outcome)
        return effects

    def _doubled(self, double: Double) -> Note:
        name = self._name(double.peer) or double.peer
        return Note("peer.doubled", name, f"{double_in_words(name, double)}; {DOUBLE_HELP}")

    def _twinned(self, now: float) -> list[Effect]:
        """Has membership know whether another process uses this peer's key."""
        is_twin = self.announcer.twin.lives(now)
        if is_twin is self.membership.is_twin:
            return []
        return self.follow(self.membership.twinned(is_twin), now)

    def _believes(self, changed: Changed, now: float) -> list[Effect]:
        known = self.membership.known.get(changed.peer)
        if known is None:
            return []
        if changed.health is Health.ALIVE:
            self.addresses.alive(known, now)
        if changed.health is not Health.SUSPECT and changed.why != "joined":
            self.believed.append(changed)
        kind = "peer.joined" if changed.why == "joined" else f"peer.{changed.health}"
        return [Note(kind, known.name, changed.why)]

    def _learn(self, answer: tuple[list[Effect], list[Outcome]], now: float) -> Answer:
        """Takes in news from the directory. What is not about the overlay is answered."""
        effects, told = answer
        news: list[News] = []
        for item in told:
            match item:
                case Learnt(record=record):
                    more, rest = self._learnt(item, record, now)
                    effects, news = effects + more, news + rest
                case Broken(peer=peer, why=why):
                    effects += self.blame(peer, "record", now, why)
                case Refused(owner=owner, why=why):
                    self.quarantines.refuse(owner, why)
                case Expired(record=record, evicted=True) if record.kind in REVOCATIONS:
                    same = self.broadcast.directory.named(record.kind, record.name)
                    effects += [] if same else self.certificates.evicted(record)
                case Stray(record=record) if record.kind in (PRESENCE, SUSPICION, NEWS):
                    effects += self.announcer.stray(record, now) + self._twinned(now)
                case Stray() if self.membership.is_twin:
                    continue  # A twin's. To take it back would have the twin take this peer's back.
                case Stray() | Expired() | DetailAsked():
                    news.append(item)
                case _:
                    assert_never(item)
        return effects, news

    def _learnt(self, item: Learnt, record: Record, now: float) -> Answer:
        try:
            if record.kind == PRESENCE:
                return self._present(record, now), []
            if record.kind == SUSPICION:
                owner, suspicion = PeerId(record.owner), read_suspicion(record)
                return self.follow(self.membership.suspected(owner, suspicion, now), now), []
            if record.kind in REVOCATIONS:
                return self._revoked(record, now)
            if record.kind == POLICY and (held := self.broadcast.directory.get(*record.key)):
                return self.policies.learnt(record, held.signed), []
            if record.kind == LIED:
                return self._ousted(self.past.learnt(record, now), now)
            if record.kind == NEWS:
                author = self.membership.known[PeerId(record.owner)]
                return self.crier.heard(record, author, now) if record.body else [], []
        except (Malformed, Untrusted):
            self.quarantines.count("record-body")
            return [], []
        return [], [item]

    def _present(self, record: Record, now: float) -> list[Effect]:
        known = self.members.believed(record, now)
        if known is None:
            return []
        effects = self._met(known, now)
        told = self.broadcast.directory.named(SUSPICION, known.peer)
        for owner, suspicion in readable(held.record for held in told):
            effects += self.follow(self.membership.suspected(owner, suspicion, now), now)
        return effects

    # -- the past

    def accuse(self, proof: Equivocation, now: float) -> Answer:
        """This peer can prove that a steward lied: it tells everybody."""
        return self._ousted(self.past.accuse(proof, now), now)

    def _ousted(self, told: Told, now: float) -> Answer:
        effects, liar, why = told
        more, gone = self._expel(liar, why, now) if liar is not None else ([], [])
        return effects + more, gone

    def _reminded(self, sender: PeerId, hello: Hello, now: float) -> list[Effect]:
        try:
            effects = self.past.reminded(hello.yours, now) if hello.yours else []
        except Untrusted as error:
            return self.blame(sender, f"reminded-{error.reason}", now)
        return effects + self._twinned(now) if effects else []

    # -- certificates

    def given(self, signed: SignedRecord, now: float) -> Answer:
        """A revocation, or a site's policy, came from a person here, or from the disk."""
        return self._learn(self.broadcast.take(self.me, signed, now), now)

    def renewed(self, chain: Chain, now: float) -> list[Effect]:
        """This peer has another certificate."""
        before, note = self.identity, self.certificates.renew(chain, now)
        self._turned = True
        if self.identity is before:
            return [note]
        return [*self.announcer.renew(self.identity, now), note]

    def readdressed(self, address: str, fault: str, now: float) -> list[Effect]:
        """Others dial this peer at that address from now on, unless there is a `fault`."""
        before, effects = self.identity.address, list[Effect]()
        if fault and fault != self.fault:
            effects.append(Note("address.lost", before, fault))
        self.fault = fault
        if address == before:
            return effects
        self.certificates.readdressed(address)
        self.membership.readdressed(address)
        said = f"others dial this host at {address or 'no address'}, no more at {before or 'none'}"
        effects.append(Note("address.changed", self.identity.name, said))
        return [*self.announcer.renew(self.identity, now), *effects]

    def _met(self, known: Known, now: float) -> list[Effect]:
        """A presence of another peer is believed."""
        self.certificates.met(known)
        if known.peer not in self.membership.known:
            self._turned |= self.certificates.is_revoked(known.peer, known.site)
        return self.follow(self.membership.present(known, now), now)

    def _revoked(self, record: Record, now: float) -> Answer:
        """A revocation is believed: peers that showed what it revokes are out. Raises Untrusted."""
        held = self.broadcast.directory.get(*record.key)
        effects = self.certificates.revoke(record, held.signed) if held is not None else []
        news: list[News] = []
        if effects:
            self._turned = True
            if self.certificates.shows(self.certificates.revocation(record)):
                effects += self.certificates.lost()
            revoked = self.certificates.revocations
            for known in list(self.membership.known.values()):
                if any(certified in revoked for certified in known.certified):
                    word = Unwelcome(Reason.REVOKED, now, held.signed if held else None)
                    told = self.membership.links.direct(known.peer)
                    self.certificates.expelled(known.peer)
                    more, gone = self._expel(known.peer, "its certificate was revoked", now)
                    if told:
                        more = parting(known.peer, word, more)
                    effects, news = effects + more, news + gone
        return effects, news

    def _expel(self, peer: PeerId, why: str, now: float) -> Answer:
        known = self.membership.known.get(peer)
        if known is None:
            return [], []
        effects, outcomes = self.membership.expel(peer, why, now)
        effects += self.follow(outcomes, now)
        gone: list[News] = [Expired(r) for r in self.broadcast.directory.drop(KeyId(peer))]
        effects += self.addresses.forget(peer)
        return [*effects, Note("peer.expelled", known.name, why)], gone

    def _name(self, peer: PeerId) -> str:
        known = self.membership.known.get(peer)
        return known.name if known is not None else ""

    def is_out(self, peer: PeerId, site: str) -> bool:
        """Whether a peer, this one too, is no member any more: its certificate, or its site's, was revoked."""
        if peer == self.me:
            return self.certificates.revoked is not None
        return peer not in self.membership.known and self.certificates.is_revoked(peer, site)

    def pop_turned(self) -> bool:
        """Whether `is_out` may answer otherwise since the last call."""
        turned, self._turned = self._turned, False
        return turned

    # -- faults

    def blame(self, peer: PeerId, reason: str, now: float, detail: str = "") -> list[Effect]:
        """A peer broke a rule. That is counted, and beyond PATIENCE it is not listened to for a while."""
        self.quarantines.count(reason)
        if not self.quarantines.lower(peer, now):
            return []
        why = f"{reason} {detail}".strip()
        known = self.membership.known.get(peer)
        told = self.quarantines.verdict(peer, known.name if known else peer, why, now)
        return [*self._hang_up(peer, f"too many faults, the last: {why}", now), *told]

    def _refuse(
        self, sender: PeerId, hello: Hello, reason: str, why: str, now: float
    ) -> list[Effect]:
        """Refuses a peer whose Hello is not good enough, and tells it why."""
        self.quarantines.count(f"hello-{reason}")
        why = printable(why)
        word, notes = self._doorstep.refusing(sender, hello.presence, reason, why, now)
        return [*parting(sender, word, self._hang_up(sender, why, now)), *notes]

    def _hang_up(self, peer: PeerId, why: str, now: float) -> list[Effect]:
        effects, outcomes = self.membership.hang_up(peer, why, now)
        return effects + self.follow(outcomes, now)
