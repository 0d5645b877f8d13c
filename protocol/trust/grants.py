"""Grants: what a virtual organisation lets its members do, and a member another, as a chain of statements.

A virtual organisation (VO) is a key, and a name that its admin chose. A chain begins with a grant of that key
and has at most four. Each names its parent and is inside it in every respect: fewer verbs, fewer sites, lower
ceilings, a shorter time. So whoever checks it needs nothing but public keys, and nobody can pass on what they
do not have (UCAN 1.0; SHARP, Fu et al. 2003). It is worth something only to the key it is given to.

A VO that acts for itself gives a grant to its own key, which is a chain of one.
"""

from collections.abc import Container, Sequence

import msgspec

from protocol.terms.ids import KeyId, digest_of
from protocol.terms.ranges import Moment, Name
from protocol.trust.ceilings import Ceilings
from protocol.trust.certificate import (
    CLOCK_TOLERANCE_S,
    is_key,
    is_label,
    is_serial,
    name_of_key,
)
from protocol.trust.owner import Link, Owner
from protocol.trust.signing import (
    Reason,
    Signer,
    Untrusted,
    Verifier,
    read_signed,
    require_signature,
)
from protocol.trust.verbs import Verb
from protocol.wire.codec import encode
from protocol.wire.limits import MAX_GRANT_BYTES

DOMAIN = "grant"
GRANTS_MOST = 4
SITES_MOST = 32
"""Named in one grant. Who may use more is given all."""


class Grant(msgspec.Struct, frozen=True):
    """What the issuer lets the audience do in the name of a VO."""

    issuer: KeyId
    audience: KeyId
    vo: KeyId
    name: Name
    """The VO's name, a DNS label. Its key alone says which VO it is."""
    member: Name
    """What the issuer calls the audience, a DNS label or empty."""
    verbs: tuple[Verb, ...]
    sites: tuple[Name, ...]
    """Names of sites; none for every site."""
    ceilings: Ceilings
    not_before_s: Moment
    not_after_s: Moment
    """Unix seconds; valid up to and not including this instant."""
    parent: Name
    """Digest of the parent's payload; empty in a VO's own grant."""
    serial: Name
    """8 to 64 hexadecimal digits, chosen by the issuer. A revocation names it."""
    login: bool = False
    """The audience is a key that its issuer uses for a while: what it does the issuer does. Always the last."""


class SignedVoGrant(msgspec.Struct, frozen=True):
    """An encoded Grant and its issuer's signature."""

    payload: bytes
    signature: bytes


Grants = tuple[SignedVoGrant, ...]
"""The VO's own first, the signer's last."""


def grant_names(grant: Grant) -> tuple[tuple[KeyId, str], ...]:
    """What revocations name it by: (issuer, its serial), and (the VO, the key it is given to)."""
    return (grant.issuer, grant.serial), (grant.vo, name_of_key(grant.audience))


def sign_grant(grant: Grant, signer: Signer) -> SignedVoGrant:
    """`grant`, signed by its issuer. Raises ValueError for another signer, or what every host would refuse."""
    if grant.issuer != signer.key:
        raise ValueError("a grant is signed by the issuer it names")
    if fault := _fault(grant):
        raise ValueError(fault)
    payload = encode(grant)
    return SignedVoGrant(payload=payload, signature=signer.sign(DOMAIN, payload))


def read_grant(signed: SignedVoGrant) -> Grant:
    """What it says, before anything is believed. Raises Untrusted(malformed)."""
    grant = read_signed(signed.payload, Grant, "grant", limit_bytes=MAX_GRANT_BYTES)
    if fault := _fault(grant):
        raise Untrusted(Reason.MALFORMED, fault)
    return grant


def check_grants(
    grants: Grants,
    now_s: float,
    verifier: Verifier,
    *,
    revoked: Container[tuple[KeyId, str]] = (),
) -> Owner:
    """For whom the last one's audience may act, and what it may do.

    Raises Untrusted, which says which link broke and why. Signatures are checked before dates.
    """
    if not 1 <= len(grants) <= GRANTS_MOST:
        raise Untrusted(
            Reason.BROKEN_CHAIN, f"{len(grants)} grants; a chain has 1 to {GRANTS_MOST}"
        )
    read = [read_grant(signed) for signed in grants]
    for place, (signed, grant) in enumerate(zip(grants, read, strict=True)):
        require_signature(verifier, grant.issuer, DOMAIN, signed.payload, signed.signature)
        if place == 0:
            _require_first(grant, alone=len(read) == 1)
        else:
            _require_inside(grant, read[place - 1], digest_of(grants[place - 1].payload))
    keys = [read[0].vo, *(grant.audience for grant in read)]
    if len(read) > 1 and len(frozenset(keys)) < len(keys):
        raise Untrusted(Reason.BROKEN_CHAIN, "the chain of grants comes back to one of its keys")
    if any(grant.login for grant in read[:-1]):
        raise Untrusted(Reason.BROKEN_CHAIN, "a login passes nothing on")
    for grant in read:
        _require_now(grant, now_s, revoked)
    return owner_of(grants, read)


def owner_of(grants: Grants, read: Sequence[Grant]) -> Owner:
    """The owner that a chain leads to if it is believed. `read` is what each of its grants says."""
    return Owner(key=read[0].vo, vo=read[0].name, links=tuple(map(_link, grants, read)))


def outgrown(child: Grant, parent: Grant) -> str:
    """In which respect a grant is larger than its parent, a line for people; empty if in none."""
    if child.vo != parent.vo or child.name != parent.name:
        return f"it is of VO {child.name}, its parent of {parent.name}"
    if more := [verb for verb in child.verbs if verb not in parent.verbs]:
        return f"it allows to {', '.join(more)}, which its parent does not"
    if parent.sites:
        if not child.sites:
            return f"it is for every site, its parent for {', '.join(parent.sites)}"
        if more_sites := [site for site in child.sites if site not in parent.sites]:
            return f"it is for {', '.join(more_sites)}, its parent for {', '.join(parent.sites)}"
    if fields := child.ceilings.beyond(parent.ceilings):
        return f"its ceiling of {fields[0]} is above its parent's"
    if child.not_before_s < parent.not_before_s:
        return "it begins before its parent"
    if child.not_after_s > parent.not_after_s:
        return "it ends after its parent"
    return ""


def _require_first(grant: Grant, alone: bool) -> None:
    if grant.issuer != grant.vo or grant.parent:
        raise Untrusted(
            Reason.BROKEN_CHAIN, f"the chain begins with a grant that VO {grant.name} did not give"
        )
    if grant.audience == grant.vo and not alone:
        raise Untrusted(Reason.BROKEN_CHAIN, "a VO's grant to itself is a whole chain")


def _require_inside(grant: Grant, parent: Grant, parent_digest: str) -> None:
    if grant.issuer != parent.audience:
        raise Untrusted(
            Reason.BROKEN_CHAIN,
            f"the grant to {_who(grant)} is not by {_who(parent)}, who has the one before it",
        )
    if grant.parent != parent_digest:
        raise Untrusted(
            Reason.BROKEN_CHAIN, f"the grant to {_who(grant)} was given under another grant"
        )
    if Verb.DELEGATE not in parent.verbs and not grant.login:
        raise Untrusted(
            Reason.NOT_GRANTED, f"{_who(parent)} may not pass on what was granted to it"
        )
    if more := outgrown(grant, parent):
        raise Untrusted(Reason.NOT_GRANTED, f"the grant to {_who(grant)} is larger: {more}")


def _require_now(grant: Grant, now_s: float, revoked: Container[tuple[KeyId, str]]) -> None:
    if grant.not_before_s > now_s + CLOCK_TOLERANCE_S:
        ahead_s = grant.not_before_s - now_s
        why = f"the grant to {_who(grant)} is valid in {ahead_s:.0f} s; check the clock"
        raise Untrusted(Reason.NOT_YET_VALID, why)
    if grant.not_after_s <= now_s:
        past_s = now_s - grant.not_after_s
        why = f"the grant to {_who(grant)} ended {past_s:.0f} s ago; ask for a new one"
        raise Untrusted(Reason.EXPIRED, why)
    if said := revoked_grant(grant, revoked):
        raise Untrusted(Reason.REVOKED, said)


def revoked_grant(grant: Grant, revoked: Container[tuple[KeyId, str]]) -> str:
    """That a grant was revoked, or who it was given to, for people; empty if neither was."""
    was = any(name in revoked for name in grant_names(grant))
    return f"the grant to {_who(grant)} was revoked" if was else ""


def _who(grant: Grant) -> str:
    return grant.member or f"key {grant.audience[:16]}"


def _link(signed: SignedVoGrant, grant: Grant) -> Link:
    return Link(
        key=grant.audience,
        member=grant.member,
        grant=digest_of(signed.payload),
        sites=grant.sites,
        ceilings=grant.ceilings,
        verbs=grant.verbs,
        login=grant.login,
    )


def _fault(grant: Grant) -> str:
    """What is wrong with the grant by itself; empty if nothing is."""
    if not all(is_key(key) for key in (grant.issuer, grant.audience, grant.vo)):
        return "grant: a key is 64 hexadecimal digits"
    if not is_label(grant.name) or (grant.member and not is_label(grant.member)):
        return "grant: a name is 1 to 63 of a-z, 0-9 and inner hyphens"
    if not grant.verbs or len(set(grant.verbs)) < len(grant.verbs):
        return "grant: it allows at least one thing, each named once"
    if len(grant.sites) > SITES_MOST or not all(map(is_label, grant.sites)):
        return f"grant: at most {SITES_MOST} sites, each by its name"
    if grant.parent and not is_key(grant.parent):
        return "grant: a parent is named by its digest, 64 hexadecimal digits"
    if not is_serial(grant.serial):
        return "grant: a serial is 8 to 64 hexadecimal digits"
    if not grant.not_before_s < grant.not_after_s:
        return "grant: it ends before it begins"
    return ""
