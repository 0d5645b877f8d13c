"""What peers remember of each other's past: this one may have forgotten its own.

A Hello brings the newest presence of this peer that the other one has. It may show that this disk was restored
from a backup, or cloned, before anything is asked. Then the store gets another id (trust/own_store.py).
"""

from protocol.broadcast.broadcast import Broadcast
from protocol.membership.presence import KIND as PRESENCE
from protocol.peering.addresses import Rows
from protocol.peering.announcer import Announcer
from protocol.peering.members import Members
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect
from protocol.terms.ids import KeyId, PeerId, short_hash
from protocol.trust.identity import Identity
from protocol.trust.own_store import TABLE as STORE
from protocol.trust.own_store import OwnStore
from protocol.trust.record import SignedRecord, check_record, read_record
from protocol.trust.signing import Reason, Untrusted


class Past:
    """This peer's own store, and what others remember of it."""

    def __init__(self, identity: Identity, rows: Rows, dice: Dice, now: float) -> None:
        """`rows` is the whole store, by table."""
        self._me, self._verifier = identity.peer, identity.verifier
        made = short_hash("store", identity.peer, repr(now), digits=16)
        self.store = OwnStore(identity.name, rows.get(STORE, {}), made, dice)

    def among(self, broadcast: Broadcast, announcer: Announcer, members: Members) -> None:
        """The other rooms, which are made after it."""
        self._broadcast, self._announcer, self._members = broadcast, announcer, members

    def yours(self, peer: PeerId) -> SignedRecord | None:
        """What that peer is to be reminded of; None if nothing of it is known."""
        held = self._broadcast.directory.get(KeyId(peer), PRESENCE)
        return held.signed if held is not None else self._members.elsewhere(KeyId(peer))

    def reminded(self, yours: SignedRecord, now: float) -> list[Effect]:
        """A peer reminds this one of its past. Raises Untrusted if it is another's."""
        record = read_record(yours)
        if record.kind != PRESENCE or record.incarnation < self._broadcast.incarnation:
            return []
        if check_record(yours, self._verifier).owner != KeyId(self._me):
            raise Untrusted(Reason.WRONG_ROLE, "a presence of another peer")
        if self._announcer.is_own(record):
            return []
        return self._announcer.stray(record, now)
