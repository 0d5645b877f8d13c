"""Revocations: a certificate is believed no more, from now to the day it would have ended anyway.

A revocation is a directory record. Its signer is the key that issued the certificate (a site, for its hosts) or
the federation. Since the record is the issuer's own, any member may carry it and nobody can make one up. There
is one of each, whoever brings it, so directories stay equal. It names the certificate by issuer *and* serial:
issuers choose serials, and one site must not be able to revoke another's certificate by choosing the same.

If it says whose key that is, no certificate of that key by that issuer is believed any more: a host that was
renewed has two that are valid, and a thief has both. Who is to belong again gets a new key.

A virtual organisation (VO) revokes a grant that it gave, or a member: a key, with all that was granted to it in
the VO's name by whomever, and all that it passed on. That is believed of VOs that some site admits. A member
has its VO revoke what it passed on, because anybody makes keys, and everybody keeps revocations.

X.509 publishes lists, which are fetched when somebody remembers to. Here each revocation is pushed like any
news, kept on disk by everybody, and compared like any record. A peer that has not heard of it hears within
seconds.
"""

from collections.abc import Container, Iterator
from typing import TypeVar

import msgspec

from protocol.terms.ids import KeyId
from protocol.terms.ranges import Moment
from protocol.trust.certificate import Certificate, Chain, Role, check_chain, is_label, name_of_key
from protocol.trust.grants import Grant
from protocol.trust.record import MAX_TTL_S, Record, SignedRecord, check_record, sign_record
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier, read_signed
from protocol.wire.codec import encode

KIND, VO_KIND = "revocation", "vo-revocation"
"""Of certificates, and of what VOs granted. These have a budget of their own, so that no VO's key, which
anybody can make, takes the place of a certificate's revocation."""
KINDS = (KIND, VO_KIND)
MAX_REASON_CHARACTERS = 200
_ISSUER_DIGITS = 16
"""Digits of the issuer's key in a record's name: enough to tell the issuers of one federation apart."""

_MEMBER_DIGITS = 32
"""Digits of a member's key that stand for a serial. A VO's grants have other serials, of 8 to 64 digits."""

_SITE = "site "

K = TypeVar("K", KeyId, str)

Certified = tuple[KeyId, str]
"""(issuer, serial): one certificate. Or (issuer, `key KEY`): all of a key."""


class Revocation(msgspec.Struct, frozen=True):
    """Body of a record of kind `revocation`, which is named `ISSUER.SERIAL`, with 16 digits of the issuer."""

    issuer: KeyId
    """Who signed the certificate."""
    serial: str
    what: str
    """`host ams/h1` or `site ams`, for people."""
    reason: str
    at_s: Moment
    until_s: Moment
    """When the certificate ends by itself, Unix seconds. After that this need not be remembered."""
    chain: Chain
    """The chain of the key that signs this record; empty for the federation's."""
    subject: KeyId = KeyId("")
    """Whose certificate it is, or the member; empty if its file was not at hand, and if it is of one grant."""
    vo: str = ""
    """The VO's name, if a VO revokes a grant or a member: the issuer is its key. Empty for a certificate."""


class Revocations:
    """The revocations that still matter. A certificate that is `in` it is revoked."""

    def __init__(self) -> None:
        self._known: dict[Certified, Revocation] = {}
        self._of_key: dict[Certified, dict[str, Revocation]] = {}
        """By serial."""
        self._subjects: dict[KeyId, int] = {}
        self._sites: dict[str, int] = {}
        """How many certificates of each key, and of each site's own name, are revoked."""

    def __contains__(self, certified: object) -> bool:
        return certified in self._known or certified in self._of_key

    def __iter__(self) -> Iterator[Revocation]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, certified: Certified) -> Revocation | None:
        """What revokes that certificate, or that key; None if nothing does."""
        if certified in self._of_key:
            return next(iter(self._of_key[certified].values()))
        return self._known.get(certified)

    def add(self, revocation: Revocation) -> bool:
        """Takes a checked one; False if it was known."""
        certified = (revocation.issuer, revocation.serial)
        if certified in self._known:
            return False
        self._known[certified] = revocation
        self._count(revocation, 1)
        return True

    def discard(self, revocation: Revocation) -> None:
        """Forgets one."""
        if self._known.pop((revocation.issuer, revocation.serial), None) is not None:
            self._count(revocation, -1)

    def concerns(self, key: KeyId, site: str) -> bool:
        """Whether a certificate of that key, or of the site of that name, is revoked.

        Another key of a site of that name may have been certified since.
        """
        return key in self._subjects or site in self._sites

    def forget_ended(self, now_s: float) -> list[Revocation]:
        """Drops, and answers, those whose certificates have ended by themselves."""
        over = [known for known in self._known.values() if known.until_s <= now_s]
        for known in over:
            del self._known[known.issuer, known.serial]
            self._count(known, -1)
        return over

    def _count(self, revocation: Revocation, by: int) -> None:
        if revocation.subject:
            # A VO may name any key, also that of a host. That host stays what it is.
            if not revocation.vo:
                _add(self._subjects, revocation.subject, by)
            key = covered(revocation)[-1]
            if by > 0:
                self._of_key.setdefault(key, {})[revocation.serial] = revocation
            else:
                del self._of_key[key][revocation.serial]
                if not self._of_key[key]:
                    del self._of_key[key]
        if not revocation.vo and revocation.what.startswith(_SITE):
            _add(self._sites, revocation.what.removeprefix(_SITE), by)


def covered(revocation: Revocation) -> tuple[Certified, ...]:
    """What is revoked: a certificate, and all others of its key, if that was known."""
    one = (revocation.issuer, revocation.serial)
    if not revocation.subject:
        return (one,)
    return one, (revocation.issuer, name_of_key(revocation.subject))


def _add(counts: dict[K, int], key: K, by: int) -> None:
    counts[key] = counts.get(key, 0) + by
    if not counts[key]:
        del counts[key]


def name_of(issuer: KeyId, serial: str) -> str:
    """The name of a revocation's record."""
    return f"{issuer[:_ISSUER_DIGITS]}.{serial}"


def revoke(
    certificate: Certificate, reason: str, at_s: float, signer: Signer, chain: Chain
) -> SignedRecord:
    """The record that revokes. Raises ValueError if the signer may not, or the certificate has ended."""
    if certificate.not_after_s <= at_s:
        raise ValueError("that certificate has ended by itself")
    if chain and certificate.issuer != signer.key:
        raise ValueError("a site revokes what it signed itself; the federation revokes anything")
    site = certificate.role is Role.SITE
    revocation = Revocation(
        issuer=certificate.issuer,
        serial=certificate.serial,
        what=f"{_SITE}{certificate.site}"
        if site
        else f"host {certificate.site}/{certificate.name}",
        reason=reason,
        at_s=at_s,
        until_s=certificate.not_after_s,
        chain=chain,
        # A key never certifies itself: it stands here for one that is not known.
        subject=certificate.subject if certificate.subject != certificate.issuer else KeyId(""),
    )
    return _signed(revocation, signer)


def revoke_grant(grant: Grant, reason: str, at_s: float, signer: Signer) -> SignedRecord:
    """The record by which a VO takes back a grant. Raises ValueError if another gave it, or it is over."""
    if grant.issuer != signer.key or grant.vo != signer.key:
        raise ValueError(f"VO {grant.name} takes back what it gave itself; it can revoke a member")
    if grant.not_after_s <= at_s:
        raise ValueError("that grant has ended by itself")
    whose = grant.member or f"key {grant.audience[:16]}"
    what = f"grant to {whose} of VO {grant.name}"
    revocation = Revocation(
        grant.vo, grant.serial, what, reason, at_s, grant.not_after_s, (), vo=grant.name
    )
    return _signed(revocation, signer)


def revoke_member(
    vo: str, key: KeyId, called: str, reason: str, at_s: float, signer: Signer
) -> SignedRecord:
    """The record by which a VO takes back all that was granted to a key, for good. Raises ValueError."""
    if key == signer.key:
        raise ValueError("a VO does not revoke itself; sites take it out of their policies")
    what = f"member {called or key[:16]} of VO {vo}"
    until_s = at_s + MAX_TTL_S
    serial = key[:_MEMBER_DIGITS]
    revocation = Revocation(signer.key, serial, what, reason, at_s, until_s, (), key, vo)
    return _signed(revocation, signer)


def _signed(revocation: Revocation, signer: Signer) -> SignedRecord:
    reason = revocation.reason
    if len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise ValueError(f"a reason has at most {MAX_REASON_CHARACTERS} printable characters")
    record = Record(
        owner=signer.key,
        kind=_kind(revocation),
        name=name_of(revocation.issuer, revocation.serial),
        incarnation=0,
        sequence=int(revocation.at_s),
        body=encode(revocation),
        ttl_s=min(MAX_TTL_S, revocation.until_s - revocation.at_s),
    )
    return sign_record(record, signer)


def _kind(revocation: Revocation) -> str:
    return VO_KIND if revocation.vo else KIND


def read_revocation(
    record: Record, federation: KeyId, verifier: Verifier, admitted: Container[KeyId]
) -> Revocation:
    """What a record of this kind, its signature checked, revokes. Raises Untrusted if it is not believed.

    `admitted` are the keys of VOs that some site lends to: anybody can make others.

    The signer's chain is held against the time the revocation was made. A site whose certificate has ended or
    was revoked since still had the right to revoke its hosts then.
    """
    revocation = read_signed(record.body, Revocation, "revocation")
    if record.kind != _kind(revocation) or record.name != name_of(
        revocation.issuer, revocation.serial
    ):
        raise Untrusted(Reason.MALFORMED, "revocation: its record's name is another")
    if len(revocation.reason + revocation.what) > 2 * MAX_REASON_CHARACTERS:
        raise Untrusted(Reason.MALFORMED, "revocation: its words are too many")
    if revocation.vo:
        _require_vo(record, revocation, admitted)
        return revocation
    if record.owner == federation:
        return revocation
    principal = check_chain(revocation.chain, federation, revocation.at_s, verifier)
    if principal.role is not Role.SITE or principal.key != record.owner:
        raise Untrusted(Reason.WRONG_ROLE, f"{principal.name} may not revoke certificates")
    if revocation.issuer != record.owner:
        raise Untrusted(
            Reason.WRONG_ROLE, f"site {principal.site} revokes a certificate it did not sign"
        )
    return revocation


def check_revocation(
    signed: SignedRecord, federation: KeyId, verifier: Verifier, admitted: Container[KeyId]
) -> Revocation:
    """A revocation as it comes from a person, with nothing of it checked yet. Raises Untrusted."""
    return read_revocation(check_record(signed, verifier), federation, verifier, admitted)


def _require_vo(record: Record, revocation: Revocation, admitted: Container[KeyId]) -> None:
    """Raises Untrusted unless it is a VO's own, of what that VO gave or of one of its members."""
    if record.owner != revocation.issuer:
        raise Untrusted(Reason.WRONG_ROLE, "what a VO gave is revoked with that VO's key")
    if record.owner not in admitted:
        why = f"no site admits a VO of key {record.owner[:16]}, so nobody keeps what it revokes"
        raise Untrusted(Reason.WRONG_ROLE, why)
    if not is_label(revocation.vo) or revocation.subject == revocation.issuer:
        raise Untrusted(Reason.MALFORMED, "revocation: it is of no VO's grant or member")
    if revocation.subject and revocation.serial != revocation.subject[:_MEMBER_DIGITS]:
        raise Untrusted(Reason.MALFORMED, "revocation: it is not named after the member")
