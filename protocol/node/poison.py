"""Records that are taken from nobody, because handling one failed: that one, and others of its owner for long.

Everybody passes records on, so a peer that was shut out would still be heard through its neighbours. That is
wanted of one that is shut out for another message (peering/shut_out.py): it is not dead, as its records say.
"""

import msgspec

from protocol.broadcast.messages import Gossip, Records
from protocol.node.events import Arrived
from protocol.peering.addresses import Rows
from protocol.terms.effects import Row
from protocol.terms.ids import KeyId, digest_of
from protocol.terms.limits import SHUT_OUT_MOST_S, SHUT_OUT_PEERS, SHUT_OUT_S
from protocol.trust.record import SignedRecord, read_record
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed, decode, encode

TABLE = "poison"


class Refused(msgspec.Struct, frozen=True):
    """A record, by the digest of what was signed, or an owner, by its key, of whom nothing is taken."""

    until_s: float


class Poison:
    """What is not taken now."""

    def __init__(self, rows: Rows, now: float) -> None:
        """`rows` is the whole store, by table."""
        self._refused = refused(rows, now)

    def sift(self, arrived: Arrived, now: float) -> Arrived:
        """What arrived, without such records."""
        message = arrived.message
        if not self._refused or not isinstance(message, Gossip | Records):
            return arrived
        good = tuple(signed for signed in message.records if self._is_good(signed, now))
        if len(good) == len(message.records):
            return arrived
        sifted = msgspec.structs.replace(message, records=good)
        return msgspec.structs.replace(arrived, message=sifted)

    def _is_good(self, signed: SignedRecord, now: float) -> bool:
        if now < self._refused.get(digest_of(signed.payload), 0.0):
            return False
        try:
            return now >= self._refused.get(read_record(signed).owner, 0.0)
        except Untrusted:
            return True  # It will be refused for that, and be held against who sent it.


def refused(rows: Rows, now: float) -> dict[str, float]:
    """Until when what is refused, by digest or key. A row that makes no sense refuses nothing."""
    found = {}
    for key, value in rows.get(TABLE, {}).items():
        try:
            until_s = decode(value, Refused).until_s
        except Malformed:
            continue
        if now < until_s <= now + SHUT_OUT_MOST_S:
            found[key] = until_s
    return found


def refusing(
    rows: Rows, signed: SignedRecord | None, owner: KeyId | None, now: float
) -> tuple[Row, ...]:
    """The rows that refuse a record for long, and its owner's others for a while; those that are over go."""
    if signed is None:
        return ()
    new = {str(digest_of(signed.payload)): now + SHUT_OUT_MOST_S}
    if owner is not None:
        new[owner] = now + SHUT_OUT_S
    before = refused(rows, now)
    stay = sorted(before, key=lambda key: before[key])[-(2 * SHUT_OUT_PEERS) :]
    gone = [key for key in rows.get(TABLE, {}) if key not in stay and key not in new]
    rest = [Row(TABLE, key, encode(Refused(until_s))) for key, until_s in new.items()]
    return (*(Row(TABLE, key, None) for key in gone), *rest)
