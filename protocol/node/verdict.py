"""Who answers for an event that could not be handled, and what is on disk of that.

Who passes on what others signed does not answer for it, or each neighbour would be shut out in turn. So for a
record its owner answers if the signature is good, and what it signs is not taken from anybody for a while.
"""

import traceback
from collections.abc import Callable

import msgspec

from protocol.broadcast.messages import Gossip, Records
from protocol.membership.messages import Hello
from protocol.membership.presence import check_presence
from protocol.node.events import Arrived, Connected, Disconnected, Event, Garbled
from protocol.node.poison import refusing
from protocol.peering.addresses import Rows
from protocol.peering.shut_out import TABLE as SHUT_OUT
from protocol.peering.shut_out import shutting_out
from protocol.peering.shut_sites import TABLE as SHUT_SITE
from protocol.peering.shut_sites import counting
from protocol.relay.messages import Relayed
from protocol.terms.effects import Row
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, check_record, read_record
from protocol.trust.signing import Untrusted, Verifier


def is_own(event: Event) -> bool:
    """Whether nobody else brought the event: then what is on this disk may be why it failed."""
    return not isinstance(event, Arrived | Garbled | Connected | Disconnected)


class Verdict(msgspec.Struct, frozen=True):
    """Who answers for an event that could not be handled; nobody, if all are empty."""

    peer: PeerId | None = None
    """Is shut out."""
    record: SignedRecord | None = None
    """Is not taken any more."""
    owner: KeyId | None = None
    """Of whom no record is taken for a while."""

    @property
    def who(self) -> KeyId | None:
        """The key of who answers."""
        return self.owner or (KeyId(self.peer) if self.peer is not None else None)


def speaker(event: Event, judged: Callable[[], PeerId | None]) -> PeerId | None:
    """Whose words an event is; None if nobody else brought it. `judged` answers who said what came through a
    relay.
    """
    match event:
        case Arrived(message=Relayed()):
            return judged()
        case Arrived(peer=peer) | Garbled(peer=peer):
            return peer
        case _:
            return None


def judge(event: Event, error: BaseException, judged: PeerId | None, verifier: Verifier) -> Verdict:
    """Who answers for it. `judged` said what came through a relay."""
    match event:
        case Arrived(peer=peer, message=Gossip(records=records) | Records(records=records)):
            signed = in_hand(error, records)
            if signed is None:
                return Verdict(peer)
            try:
                owner = check_record(signed, verifier).owner
            except Untrusted:
                return Verdict(peer, signed)
            return Verdict(peer if KeyId(peer) == owner else None, signed, owner)
        case _:
            return Verdict(speaker(event, lambda: judged))


def in_hand(error: BaseException, records: tuple[SignedRecord, ...]) -> SignedRecord | None:
    """The one of the records that was being looked at when it failed, as far as the trace shows."""
    said = {}
    for signed in records:
        try:
            said[read_record(signed)] = signed
        except Untrusted:
            continue
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            if isinstance(value, SignedRecord) and value in records:
                return value
            if isinstance(value, Record) and value in said:
                return said[value]
    return None


def site_of(
    event: Event,
    verdict: Verdict,
    known: Callable[[KeyId], str],
    identity: Identity,
    now: float,
) -> str:
    """The site of who answers; empty if nobody does, or it is this peer's own, or nobody knows it.

    `known` answers the site of a peer that was met. Of one that was just greeting it is what it proved.
    """
    who = verdict.who
    if who is None:
        return ""
    site = known(who)
    if not site and isinstance(event, Arrived) and isinstance(event.message, Hello):
        try:
            presence, federation = event.message.presence, identity.federation
            _, shown = check_presence(presence, federation, now, identity.verifier)
            site = shown.site if KeyId(shown.peer) == who else ""
        except Untrusted:
            return ""
    return site if site != identity.site else ""


def rows_against(
    verdict: Verdict, rows: Rows, why: str, now: float, site: str = ""
) -> tuple[Row, ...]:
    """What is to be on disk of it. `rows` is the whole store, by table; `site` is whose host answers."""
    shut: tuple[Row, ...] = ()
    if site and verdict.who is not None:
        shut = counting(rows.get(SHUT_SITE, {}), site, verdict.who, now)
    if verdict.peer is not None:
        shut += shutting_out(rows.get(SHUT_OUT, {}), verdict.peer, why, now)
    return (*shut, *refusing(rows, verdict.record, verdict.owner, now))
