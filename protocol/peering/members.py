"""Whom this peer believes to be a member, as broadcast must know it before it keeps a record.

Broadcast asks while it takes in a frame of records, where one may be believed only because of the one before
it. So a presence that is met here counts at once. What follows from it for other rooms waits until the frame
is taken in (`pop_outcomes`).
"""

from protocol.membership.membership import Membership
from protocol.membership.outcomes import Outcome
from protocol.membership.presence import KIND as PRESENCE
from protocol.membership.presence import Known
from protocol.peering.certificates import Certificates
from protocol.peering.equivocators import KIND as EQUIVOCATION
from protocol.peering.equivocators import Equivocators
from protocol.peering.quarantine import Quarantines
from protocol.peering.site_policies import SitePolicies
from protocol.policy.policy_record import KIND as POLICY
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.record import Record, SignedRecord
from protocol.trust.revocation import KINDS as REVOCATIONS
from protocol.trust.signing import Reason, Untrusted

_BY_ISSUERS = (*REVOCATIONS, POLICY)
"""Kinds of records that a site, a VO or the federation owns, and no host: each proves itself."""


class Members:
    """The owners of records."""

    def __init__(
        self,
        me: PeerId,
        membership: Membership,
        certificates: Certificates,
        faults: Quarantines,
        equivocators: Equivocators,
        policies: SitePolicies,
    ) -> None:
        """`faults` counts what is not believed."""
        self._me, self._membership, self._equivocators = me, membership, equivocators
        self._policies = policies
        self._certificates, self._faults = certificates, faults
        self._believed: tuple[Record, Known] | None = None
        """The presence that was looked at last, so that it is not checked twice."""
        self._elsewhere: dict[KeyId, SignedRecord] = {}
        """Presences of peers of other sites, which are sent before their records."""
        self._outcomes: list[Outcome] = []
        self.met_elsewhere = 0
        """How many of those presences were taken note of so far."""

    # -- as broadcast asks

    def admits(self, record: Record, now: float) -> bool:
        """Whether a record is kept: a member's, a believed presence, or what proves itself."""
        if record.kind == PRESENCE:
            return self.believed(record, now) is not None
        if record.kind not in _BY_ISSUERS and PeerId(record.owner) not in self._membership.known:
            return False
        try:
            if record.kind in REVOCATIONS:
                self._certificates.revocation(record)
            elif record.kind == POLICY:
                self._policies.read(record)
            elif record.kind == EQUIVOCATION:
                self._equivocators.read(record, now)
        except Untrusted as error:
            self._faults.count(f"{record.kind}-{error.reason}")
            return False
        return True

    def met(self, presence: Record, signed: SignedRecord, now: float) -> None:
        """A presence came from another site, in whose directory alone it is kept."""
        known = self.believed(presence, now)
        if known is None:
            return
        self._elsewhere.pop(presence.owner, None)
        self._elsewhere[presence.owner] = signed
        self.met_elsewhere += 1
        self._outcomes += self._membership.present(known, now)
        there = self._membership.known
        if len(self._elsewhere) > 2 * len(there):
            self._elsewhere = {o: s for o, s in self._elsewhere.items() if PeerId(o) in there}

    def site(self, peer: KeyId | PeerId) -> str:
        """The site of a known peer; empty if it is not known."""
        if peer == self._me:
            return self._certificates.identity.site
        known = self._membership.known.get(PeerId(peer))
        return known.site if known is not None else ""

    def stands(self, record: Record, now: float) -> bool:
        """Whether what an earlier life of this peer said holds as it was said: the proof of a lie.

        It cannot be taken back, since nobody keeps one that proves nothing.
        """
        try:
            return record.kind == EQUIVOCATION and bool(self._equivocators.read(record, now))
        except Untrusted:
            return False

    def elsewhere(self, owner: KeyId) -> SignedRecord | None:
        """The presence of a peer of another site, where it is not in the directory."""
        return self._elsewhere.get(owner)

    # -- as the overlay asks

    def believed(self, presence: Record, now: float) -> Known | None:
        """The peer that a presence speaks of; None if it is not believed, which is counted."""
        if self._believed is not None and self._believed[0] is presence:
            return self._believed[1]
        try:
            known = self._certificates.known(presence, now)
            if why := self._equivocators.why(known.peer, known.store):
                raise Untrusted(Reason.EQUIVOCATED, why)
        except Untrusted as error:
            self._faults.count(f"presence-{error.reason}")
            return None
        if presence.scope != known.site:
            self._faults.count(f"presence-{Reason.MALFORMED}")
            return None
        self._believed = (presence, known)
        return known

    def pop_outcomes(self) -> list[Outcome]:
        """What follows for other rooms from the presences that were met since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes
