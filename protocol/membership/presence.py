"""Presence: the record by which a peer says who and where it is, and how it comes to be believed."""

from collections.abc import Container

import msgspec

from protocol.grid.tunnel import TunnelEnd, usable
from protocol.membership.messages import Contact, Presence
from protocol.terms.ids import KeyId, PeerId, StoreId, is_store
from protocol.terms.reach import VIA_MOST, Reach
from protocol.trust.certificate import Principal, Role, check_chain
from protocol.trust.record import Record, SignedRecord, check_record
from protocol.trust.revocation import Certified
from protocol.trust.signing import Reason, Untrusted, Verifier, read_signed

KIND = "presence"


class Known(msgspec.Struct, frozen=True):
    """What a believed presence says."""

    peer: PeerId
    name: str
    site: str
    address: str
    incarnation: int
    left: bool
    expires_s: float
    reach: Reach = Reach.PUBLIC
    via: tuple[PeerId, ...] = ()
    certified: tuple[Certified, ...] = ()
    """The certificates of its chain, as revocations name them."""

    process: str = ""
    """Which process of the peer it is; empty if it does not say."""
    tunnel: TunnelEnd | None = None
    """Where it takes the traffic of its grids' networks; None if it does not say, or cannot mean it."""
    store: StoreId = StoreId("")
    """Its store; empty if it does not say."""
    leaving: bool = False
    """Whether it is to be stopped for good."""

    @property
    def contact(self) -> Contact:
        """The peer as a contact to dial."""
        return Contact(self.peer, self.site, self.address)


def read_presence(
    record: Record,
    federation: KeyId,
    now_s: float,
    verifier: Verifier,
    *,
    revoked: Container[Certified] = (),
) -> Known:
    """What a presence record, its signature checked, says. Raises Untrusted if it is not believed."""
    presence = read_signed(record.body, Presence, "presence")
    if len(presence.via) > VIA_MOST:
        raise Untrusted(Reason.MALFORMED, f"a presence names {len(presence.via)} relays")
    principal = check_chain(presence.chain, federation, now_s, verifier, revoked=revoked)
    if principal.role is not Role.HOST or principal.key != record.owner:
        raise Untrusted(
            Reason.WRONG_ROLE, f"a presence of {record.owner[:16]} shows {principal.name}"
        )
    return _known(record, presence, principal)


def check_presence(
    signed: SignedRecord,
    federation: KeyId,
    now_s: float,
    verifier: Verifier,
    *,
    revoked: Container[Certified] = (),
) -> tuple[Record, Known]:
    """The same for a record as it comes in a Hello, its signature still to be checked. Raises Untrusted."""
    record = check_record(signed, verifier)
    if record.kind != KIND:
        raise Untrusted(
            Reason.MALFORMED, f"a record of kind {record.kind} where a presence must be"
        )
    return record, read_presence(record, federation, now_s, verifier, revoked=revoked)


def _known(record: Record, presence: Presence, principal: Principal) -> Known:
    end = presence.tunnel
    return Known(
        peer=PeerId(record.owner),
        name=principal.name,
        site=principal.site,
        address=presence.address,
        incarnation=record.incarnation,
        left=presence.left,
        expires_s=principal.expires_s,
        reach=presence.reach,
        via=presence.via,
        certified=principal.certified,
        process=presence.process,
        tunnel=end if end is not None and usable(end) else None,
        store=presence.store if is_store(presence.store) else StoreId(""),
        leaving=presence.leaving,
    )
