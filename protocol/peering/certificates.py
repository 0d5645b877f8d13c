"""Which peers are members, and until when: revocations, certificates that end, and this peer's own.

A peer whose certificate was revoked or has ended is *expelled*. Its connections are closed, what it said is
dropped, and it is believed again only with a presence that shows another certificate. Every peer does so by the
same rule, when it hears of the revocation or when the time comes, so directories stay equal.
"""

from collections.abc import Container, Mapping

from protocol.membership.presence import Known, check_presence, read_presence
from protocol.peering.welcome import printable
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row, Untidied
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import CERTIFICATE_NAG_S, CERTIFICATE_WARN_S, EXPELLED_KEPT
from protocol.terms.quantities import format_duration, format_moment
from protocol.trust.certificate import Chain, Role, check_chain, names_of, read_certificate
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, check_record
from protocol.trust.revocation import (
    Certified,
    Revocation,
    Revocations,
    covered,
    name_of,
    read_revocation,
)
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, decode, encode

TABLE = "revocation"

ENROL = "overlayctl host enrol SITE HOST makes a new key and certificate; this key is not renewed"

_FOREVER_S = float("inf")
_LATEST_S = 253_402_300_799.0
"""The last second of the year 9999."""


class Certificates:
    """Revocations, kept on disk, and the ends of certificates."""

    def __init__(
        self,
        identity: Identity,
        rows: dict[str, bytes],
        now: float,
        shut: Mapping[str, float] | None = None,
        admitted: Container[KeyId] = (),
    ) -> None:
        """`shut` has until when other sites are not believed at all (shut_sites.py). `admitted` are the keys of
        VOs that some site lends to; it is asked each time."""
        self._admitted = admitted
        self._identity, self._shut = identity, dict(shut or {})
        self._shut.pop(identity.site, None)
        self.revocations = Revocations()
        self.saved: list[SignedRecord] = []
        """Revocations from the disk, to be put into the directory at the start."""
        self._first_end_s = _FOREVER_S
        """When the first certificate of another peer ends, or sooner: it may have been renewed since."""
        self._began_s, self.ends_s = _validity(identity.chain)
        self._own = _certified(identity.chain)
        self._expelled: dict[PeerId, None] = {}
        self._warn_s = self._first_warning_s(now)
        for _, row in sorted(rows.items()):
            self._load(row, now)

    # -- what is believed

    def shown(self, signed: SignedRecord, now: float) -> tuple[Record, Known]:
        """The presence in a Hello, and the peer it speaks of. Raises Untrusted if it is not believed."""
        identity = self._identity
        record, known = check_presence(
            signed, identity.federation, now, identity.verifier, revoked=self.revocations
        )
        return record, self._heard(known, now)

    def known(self, record: Record, now: float) -> Known:
        """The peer that a presence, its signature checked, speaks of. Raises Untrusted."""
        identity = self._identity
        known = read_presence(
            record, identity.federation, now, identity.verifier, revoked=self.revocations
        )
        return self._heard(known, now)

    def _heard(self, known: Known, now: float) -> Known:
        if now < self._shut.get(known.site, 0.0):
            left = format_duration(self._shut[known.site] - now)
            why = (
                f"site {known.site} is shut out for {left}: this peer failed on what its hosts said"
            )
            raise Untrusted(Reason.SHUT_OUT, why)
        return known

    def revocation(self, record: Record) -> Revocation:
        """What a revocation, its signature checked, revokes. Raises Untrusted."""
        identity = self._identity
        return read_revocation(record, identity.federation, identity.verifier, self._admitted)

    def given(self, signed: SignedRecord) -> Revocation:
        """The same of one that a person gives, with nothing of it checked yet. Raises Untrusted."""
        return self.revocation(check_record(signed, self._identity.verifier))

    def brought(self, signed: SignedRecord) -> Revocation:
        """What a revocation of this peer's own certificate says, as another peer brought it.

        Raises Untrusted if it is not believed, or revokes another's.
        """
        revocation = self.given(signed)
        if not self.shows(revocation):
            raise Untrusted(Reason.MALFORMED, "it revokes no certificate of this peer")
        return revocation

    def revoke(self, record: Record, signed: SignedRecord) -> list[Effect]:
        """Believes a revocation from now on. No effects if it is known already. Raises Untrusted."""
        revocation = self.revocation(record)
        if not self.revocations.add(revocation):
            return []
        # If it cannot be written, it is learnt again from any neighbour at the first comparison.
        kept = Persist((Row(TABLE, record.name, encode(signed)),), Untidied())
        kind = "grant" if revocation.vo else "certificate"
        return [kept, Note(f"{kind}.revoked", revocation.what, _why(revocation))]

    def evicted(self, record: Record) -> list[Effect]:
        """A revocation is forgotten, since its owner has made more of them than anybody keeps."""
        try:
            revocation = self.revocation(record)
        except Untrusted:
            return []
        self.revocations.discard(revocation)
        return [Persist((Row(TABLE, record.name, None),), Untidied())]

    def met(self, known: Known) -> None:
        """Remembers when the peer's certificate ends."""
        self._first_end_s = min(self._first_end_s, known.expires_s)

    def pop_ended(self, now: float, known: Mapping[PeerId, Known]) -> list[PeerId]:
        """The peers, of those known, whose newest certificate has ended. Each is named once."""
        if now < self._first_end_s:
            return []
        lasting_s = [peer.expires_s for peer in known.values() if peer.expires_s > now]
        self._first_end_s = min(lasting_s, default=_FOREVER_S)
        return [peer.peer for peer in known.values() if peer.expires_s <= now]

    # -- this peer's own

    @property
    def identity(self) -> Identity:
        """This peer, with its newest certificate."""
        return self._identity

    def readdressed(self, address: str) -> None:
        """Others dial this peer at that address from now on."""
        self._identity = self._identity.at(address)

    def renew(self, chain: Chain, now: float) -> Note:
        """Takes up another certificate, if it is this peer's and valid. The note says what became of it."""
        try:
            self._identity = self._renewed(chain, now)
        except Untrusted as error:
            return Note("certificate.refused", self._identity.name, str(error))
        self._began_s, self.ends_s = _validity(chain)
        self._own = _certified(chain)
        self._warn_s = self._first_warning_s(now)
        ends = format_duration(self.ends_s - now)
        return Note("certificate.renewed", self._identity.name, f"it ends in {ends}")

    def shows(self, revocation: Revocation) -> bool:
        """Whether a revocation is of a certificate of this peer's own."""
        return any(name in self._own for name in covered(revocation))

    @property
    def revoked(self) -> Revocation | None:
        """What revokes this peer's own certificate; None if nothing does."""
        found = (self.revocations.get(certified) for certified in self._own)
        return next((revocation for revocation in found if revocation is not None), None)

    def is_revoked(self, peer: PeerId, site: str) -> bool:
        """Whether a certificate of that peer, or of its site, was revoked. It may have another since."""
        return peer in self._expelled or self.revocations.concerns(KeyId(peer), site)

    def expelled(self, peer: PeerId) -> None:
        """A peer is out because a certificate that it showed was revoked."""
        self._expelled[peer] = None
        if len(self._expelled) > EXPELLED_KEPT:
            del self._expelled[next(iter(self._expelled))]

    def lost(self) -> list[Effect]:
        """Tells that this peer's own certificate is revoked, if it is."""
        revocation = self.revoked
        if revocation is None:
            return []
        said = f"{own_revocation(revocation)}; no peer believes this host; {ENROL}"
        return [Note("certificate.lost", self._identity.name, said)]

    def tick(self, now: float, *, sure: bool = True) -> list[Effect]:
        """Warns that this peer's own certificate ends. If it is `sure` of the time, it forgets revocations of
        certificates that have ended."""
        effects: list[Effect] = []
        over = self.revocations.forget_ended(now) if sure else []
        if over:
            rows = tuple(Row(TABLE, name_of(r.issuer, r.serial), None) for r in over)
            effects.append(Persist(rows, Untidied()))
        if now >= self._warn_s:
            self._warn_s = now + CERTIFICATE_NAG_S
            effects.append(self._warning(now))
        return effects

    def next_deadline(self) -> Deadline:
        """When a certificate ends, or this peer is to warn of its own."""
        return Deadline(min(self._first_end_s, self._warn_s), "certificate")

    # -- parts

    def _renewed(self, chain: Chain, now: float) -> Identity:
        identity = self._identity
        principal = check_chain(
            chain, identity.federation, now, identity.verifier, revoked=self.revocations
        )
        if principal.role is not Role.HOST or principal.key != identity.signer.key:
            raise Untrusted(Reason.WRONG_ROLE, "the certificate is for another key")
        if (principal.site, principal.name) != (identity.site, identity.name):
            raise Untrusted(
                Reason.WRONG_ROLE,
                f"the certificate is of {principal.site}/{principal.name}, this is "
                f"{identity.site}/{identity.name}; another name needs a restart",
            )
        return identity.with_chain(chain)

    def _load(self, row: bytes, now: float) -> None:
        try:
            signed = decode(row, SignedRecord)
            revocation = self.given(signed)
        except (Malformed, Untrusted):
            return
        if revocation.until_s > now and self.revocations.add(revocation):
            self.saved.append(signed)

    def _first_warning_s(self, now: float) -> float:
        early_s = min(CERTIFICATE_WARN_S, (self.ends_s - self._began_s) / 4)
        return max(now, self.ends_s - early_s)

    def _warning(self, now: float) -> Note:
        identity = self._identity
        renew = f"overlayctl host renew {identity.site} {identity.name}"
        left_s = self.ends_s - now
        if left_s <= 0:
            return Note("certificate.ended", identity.name, f"nobody believes this peer; {renew}")
        said = f"this peer's certificate ends in {format_duration(left_s)}; {renew}"
        return Note("certificate.ending", identity.name, said)


def _validity(chain: Chain) -> tuple[float, float]:
    """From when to when all certificates of a chain are valid, Unix seconds."""
    certificates = [read_certificate(signed) for signed in chain]
    return (
        max(certificate.not_before_s for certificate in certificates),
        min(certificate.not_after_s for certificate in certificates),
    )


def _certified(chain: Chain) -> tuple[Certified, ...]:
    certificates = [read_certificate(signed) for signed in chain]
    return tuple(name for certificate in certificates for name in names_of(certificate))


def _why(revocation: Revocation) -> str:
    reason = f": {printable(revocation.reason)}" if revocation.reason else ""
    return f"serial {revocation.serial}{reason}"


def own_revocation(revocation: Revocation) -> str:
    """What a peer's own revocation says, for people: by whom, when and why."""
    by = "its site" if revocation.chain else "the federation"
    what = "this host's certificate" if revocation.what.startswith("host") else "its site"
    reason = f" ({printable(revocation.reason)})" if revocation.reason else ""
    when = format_moment(max(0.0, min(revocation.at_s, _LATEST_S)))
    return f"{what} was revoked on {when} by {by}{reason}"
