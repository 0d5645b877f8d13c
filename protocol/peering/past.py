"""What peers remember of each other's past: this one may have forgotten its own, and others may have lied.

A Hello brings the newest presence of this peer that the other one has, or the proof that this peer's store
lied. Either shows that this disk was restored from a backup, or cloned, before anything is asked. Then the
store gets another id (trust/own_store.py).
"""

from protocol.broadcast.broadcast import Broadcast
from protocol.grid.equivocation import (
    Accusation,
    Equivocation,
    check_accusation,
    check_equivocation,
)
from protocol.membership.membership import Membership
from protocol.membership.messages import Presence
from protocol.membership.presence import KIND as PRESENCE
from protocol.membership.presence import Known
from protocol.peering.addresses import Rows
from protocol.peering.announcer import Announcer
from protocol.peering.equivocators import KIND, Equivocators, name_of
from protocol.peering.members import Members
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect
from protocol.terms.ids import KeyId, PeerId, short_hash
from protocol.terms.kinds import KINDS
from protocol.trust.identity import Identity
from protocol.trust.own_store import TABLE as STORE
from protocol.trust.own_store import OwnStore
from protocol.trust.record import Record, SignedRecord, check_record, read_record
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import decode, encode

Told = tuple[list[Effect], PeerId | None, str]
"""What follows from a proof, who is out for it, and why."""


class Past:
    """This peer's own store, and who is proven to have lied."""

    def __init__(
        self, identity: Identity, membership: Membership, rows: Rows, dice: Dice, now: float
    ) -> None:
        """`rows` is the whole store, by table."""
        self._me, self._verifier, self._membership = identity.peer, identity.verifier, membership
        self._federation = identity.federation
        made = short_hash("store", identity.peer, repr(now), digits=16)
        self.store = OwnStore(identity.name, rows.get(STORE, {}), made, dice)
        self.out = Equivocators(identity, rows.get(KIND, {}), now)

    def among(self, broadcast: Broadcast, announcer: Announcer, members: Members) -> None:
        """The other rooms, which are made after it."""
        self._broadcast, self._announcer, self._members = broadcast, announcer, members

    def require_believable(self, known: Known) -> None:
        """Raises Untrusted if what a peer says is worth nothing."""
        if why := self.out.why(known.peer, known.store):
            raise Untrusted(Reason.EQUIVOCATED, why)

    def tick(self, now: float) -> list[Effect]:
        """Lets in again whose certificates have ended since, if this peer can be sure of the time."""
        return [] if self._membership.clock.doubt else self.out.tick(now)

    # -- this peer's own

    def yours(self, peer: PeerId) -> SignedRecord | None:
        """What that peer is to be reminded of; None if nothing of it is known."""
        presence = self._presence(peer)
        if presence is not None and peer in self._membership.known:
            return presence
        return self.out.proof(peer) or presence

    def reminded(self, yours: SignedRecord, now: float) -> list[Effect]:
        """A peer reminds this one of its past. Raises Untrusted if it is another's, or proves nothing."""
        record = read_record(yours)
        if record.kind == KIND:
            out = self.out.read(check_record(yours, self._verifier), now)
            if out.proven.steward != self._me:
                raise Untrusted(Reason.MALFORMED, "a proof against another peer")
            return self._believed(record, yours, now)[0]
        if record.kind != PRESENCE or record.incarnation < self._broadcast.incarnation:
            return []
        if check_record(yours, self._verifier).owner != KeyId(self._me):
            raise Untrusted(Reason.WRONG_ROLE, "a presence of another peer")
        if self._announcer.is_own(record):
            return []
        return self._announcer.stray(record, now)

    # -- others'

    def accuse(self, proof: Equivocation, now: float) -> Told:
        """Publishes that a steward lied, unless somebody did already, or it is no member any more."""
        proven = check_equivocation(proof, self._verifier)
        presence, name = self._presence(proven.steward), name_of(proof)
        known = self._broadcast.directory.named(KIND, name)
        if proven.steward == self._me or presence is None or known:
            return [], None, ""
        accusation = Accusation(proof, decode(read_record(presence).body, Presence).chain)
        try:
            check_accusation(accusation, self._federation, now, self._verifier)
        except Untrusted:
            # Its certificate has ended, or its site's: it is out anyway.
            return [], None, ""
        body = encode(accusation)
        self._broadcast.publish(KIND, name, body, KINDS[KIND].life_s, now)
        held = self._broadcast.directory.get(KeyId(self._me), KIND, name)
        return self._believed(held.record, held.signed, now) if held else ([], None, "")

    def learnt(self, record: Record, now: float) -> Told:
        """A proof came that was admitted to the directory. Raises Untrusted if it proves nothing."""
        held = self._broadcast.directory.get(*record.key)
        return self._believed(record, held.signed, now) if held is not None else ([], None, "")

    # -- parts

    def _believed(self, record: Record, signed: SignedRecord, now: float) -> Told:
        out = self.out.read(record, now)
        liar = out.proven.steward
        if liar == self._me:
            if out.proven.store != self.store.id:
                return [], None, ""
            effects = self.store.renew("others prove that this store signed what it had forgotten")
            return [*effects, *self._announcer.newer(now)], None, ""
        effects = self.out.add(out, signed)
        known = self._membership.known.get(liar)
        why = self.out.why(liar, known.store) if known is not None else ""
        return effects, liar if why else None, why

    def _presence(self, peer: PeerId) -> SignedRecord | None:
        held = self._broadcast.directory.get(KeyId(peer), PRESENCE)
        return held.signed if held is not None else self._members.elsewhere(KeyId(peer))
