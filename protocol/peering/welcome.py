"""Why a peer's Hello was not good, told to that peer, and what is made of being told.

What the other end says is hearsay: anybody can say that this peer was revoked. So its words are a reason out of
a closed list, and its clock, from which this side makes the sentence itself. Only a revocation that comes along
is believed, because it proves itself.
"""

from collections.abc import Callable
from math import isfinite

from protocol.membership.messages import Presence, Unwelcome
from protocol.terms.ids import PeerId
from protocol.terms.limits import JOIN_NAG_S, REFUSED_TOLD, UNWELCOME_CLOCK_S
from protocol.terms.quantities import format_duration
from protocol.trust.certificate import names_of, read_certificate
from protocol.trust.record import SignedRecord, read_record
from protocol.trust.revocation import Certified, Revocations
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, MalformedReason, decode

Sentence = tuple[str, str]
"""What is so, and what would help."""


class Told:
    """Which refusals the log has heard of: each peer once in a while for each reason, and a bounded number."""

    def __init__(self) -> None:
        self._told: dict[tuple[PeerId, str], float] = {}

    def is_news(self, peer: PeerId, reason: str, now: float) -> bool:
        """Whether to tell that this peer was refused for that reason."""
        self._told = {key: s for key, s in self._told.items() if now < s + JOIN_NAG_S}
        if (peer, reason) in self._told or len(self._told) >= REFUSED_TOLD:
            return False
        self._told[peer, reason] = now
        return True


def proof_for(
    presence: SignedRecord,
    revoked: Revocations,
    record_of: Callable[[Certified], SignedRecord | None],
) -> SignedRecord | None:
    """The revocation of a certificate that a presence shows; None if none is revoked."""
    try:
        chain = decode(read_record(presence).body, Presence).chain
        shown = [read_certificate(signed) for signed in chain]
    except (Malformed, Untrusted):
        return None
    for certificate in shown:
        for name in names_of(certificate):
            revocation = revoked.get(name)
            if revocation is not None:
                return record_of((revocation.issuer, revocation.serial))
    return None


def apart_s(message: Unwelcome, now: float) -> float:
    """How many seconds this clock is ahead of the sender's; 0 if they agree, or what it says makes no sense."""
    ahead_s = now - message.time_s
    return ahead_s if isfinite(ahead_s) and abs(ahead_s) > UNWELCOME_CLOCK_S else 0.0


def told_by(message: Unwelcome, believed: str, now: float) -> Sentence:
    """What a peer says of this one. `believed` is what a revocation that came along proves; else empty."""
    ahead_s = apart_s(message, now)
    clock = ""
    if ahead_s:
        which = "ahead of" if ahead_s > 0 else "behind"
        clock = f"; this host's clock is {format_duration(abs(ahead_s))} {which} its clock"
    said, helps = _told_by(message.reason, believed)
    if ahead_s and message.reason in (Reason.EXPIRED, Reason.NOT_YET_VALID):
        helps = "clocks that agree: NTP on this host, or on that one if this one is right"
    return f"{said}{clock}", helps


def _told_by(reason: str, believed: str) -> Sentence:
    match reason:
        case Reason.REVOKED if believed:
            return f"it says: {believed}", _ENROL
        case Reason.REVOKED:
            return (
                "it says that this host's certificate was revoked, and shows no proof of it",
                "a look at that host; if this one was revoked, a new key: `overlayctl host enrol`",
            )
        case Reason.EXPIRED:
            return "to it, this host's certificate has ended", "overlayctl host renew"
        case Reason.NOT_YET_VALID:
            return (
                "to it, this host's certificate is not valid yet",
                "clocks that agree: NTP on both hosts",
            )
        case Reason.WRONG_FEDERATION:
            return "it is of another federation", _FEDERATION
        case MalformedReason.UNKNOWN_VERSION:
            return (
                "it speaks another version of the protocol",
                "overlayd of the same release on both hosts",
            )
        case Reason.EQUIVOCATED:
            return (
                "it has a proof that this host, as a steward, signed what no honest one signs",
                "nothing, if its disk was restored from a backup: it takes another store by itself, once; "
                "else a new key: `overlayctl host enrol`",
            )
        case Reason.WRONG_ROLE | Reason.BROKEN_CHAIN | Reason.BAD_SIGNATURE | Reason.MALFORMED:
            return (
                f"it does not believe this host's certificate ({reason})",
                "overlayctl host enrol, and the files it writes",
            )
        case _:
            return "it refuses this host", "a look at the log of that host"


def refused(reason: str, why: str) -> Sentence:
    """What this peer says of one that it dialled and does not believe. `why` is for people."""
    match reason:
        case Reason.WRONG_FEDERATION:
            return f"it is of another federation: {why}", _FEDERATION
        case Reason.EXPIRED:
            return (
                f"its certificate has ended: {why}",
                "overlayctl host renew for it; or the right time on this host (NTP)",
            )
        case Reason.NOT_YET_VALID:
            return (
                f"its certificate is not valid yet: {why}",
                "clocks that agree: NTP on both hosts",
            )
        case Reason.REVOKED:
            return f"its certificate was revoked: {why}", "`join` with another host"
        case MalformedReason.UNKNOWN_VERSION:
            return why, "overlayd of the same release on both hosts"
        case _:
            return f"this host does not believe it: {why}", "a look at that host's certificate"


_ENROL = "overlayctl host enrol SITE HOST: a new key and certificate; a revoked key is not renewed"
_FEDERATION = "`join` with a host of this host's federation, or the certificate of that one's"


def printable(text: str, most: int = 200) -> str:
    """Text of others made harmless for logs and terminals, and not too long."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])
