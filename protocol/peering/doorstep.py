"""Peers that are not let in: each is told why, with the proof if there is one; and this peer where it is not.

It says what is to be said. The overlay hangs up.
"""

import msgspec

from protocol.broadcast.broadcast import Broadcast
from protocol.membership.links import Links
from protocol.membership.messages import Unwelcome
from protocol.peering.certificates import Certificates
from protocol.peering.joining import Joining
from protocol.peering.welcome import Told, proof_for, refused, told_by
from protocol.terms.effects import Effect, HangUp, Note, Send
from protocol.terms.ids import PeerId
from protocol.trust.record import SignedRecord
from protocol.trust.revocation import KIND as REVOCATION
from protocol.trust.revocation import Certified, name_of
from protocol.trust.signing import Reason


class Doorstep:
    """What is said to those that are refused, and made of being refused."""

    def __init__(
        self, links: Links, certificates: Certificates, broadcast: Broadcast, joining: Joining
    ) -> None:
        self._links, self._certificates = links, certificates
        self._broadcast, self._joining = broadcast, joining
        self._told = Told()

    def refusing(
        self, peer: PeerId, presence: SignedRecord, reason: str, why: str, now: float
    ) -> tuple[Unwelcome, list[Effect]]:
        """The word to a peer whose Hello, with that presence, is not good enough, and notes for people here."""
        proof = None
        if reason == Reason.REVOKED:
            proof = proof_for(presence, self._certificates.revocations, self._record)
        notes: list[Effect] = []
        if self._links.dialled(peer):
            said, helps = refused(reason, why.removeprefix(f"{reason}: "))
            notes = self._joining.came(peer, "", said, helps, now)
        if self._told.is_news(peer, reason, now):
            notes.append(Note("peer.refused", peer, why))
        return Unwelcome(reason, now, proof), notes

    def refused_by(
        self, peer: PeerId, message: Unwelcome, believed: str, now: float
    ) -> list[Effect]:
        """A peer refuses this one. Nothing is made of it unless this one dialled that one.

        `believed` is what a revocation that came along proves; else empty.
        """
        if not self._links.dialled(peer):
            return []
        said, helps = told_by(message, believed, now)
        return self._joining.came(peer, "", said, helps, now)

    def _record(self, certified: Certified) -> SignedRecord | None:
        """The record that revokes a certificate, to be shown to others."""
        issuer, serial = certified
        for owner in (issuer, self._certificates.identity.federation):
            held = self._broadcast.directory.get(owner, REVOCATION, name_of(issuer, serial))
            if held is not None:
                return held.signed
        return None


def parting(peer: PeerId, word: Unwelcome, effects: list[Effect]) -> list[Effect]:
    """The same effects, but the peer that is hung up on is told why before."""
    softly = [
        msgspec.structs.replace(effect, parting=True)
        if isinstance(effect, HangUp) and effect.peer == peer
        else effect
        for effect in effects
    ]
    return [Send(peer, word), *softly]
