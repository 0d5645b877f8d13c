"""Certificates: the federation key signs sites, a site key signs its hosts. That is all there is.

Certificates are short-lived, so that the loss of a key ends by itself. The longest chain has two links.
There are no intermediate authorities, no extensions and no constraints that somebody could forget to
check (X.509's trouble).

Clocks of hosts differ, so `not_before_s` may be CLOCK_TOLERANCE_S in the future. Expiry has no such
grace: certificates are renewed days before.
"""

import re
from collections.abc import Container
from enum import StrEnum

import msgspec

from protocol.terms.ids import KeyId, is_64_digits
from protocol.terms.ranges import Moment, Number
from protocol.trust.signing import (
    Reason,
    Signer,
    Untrusted,
    Verifier,
    read_signed,
    require_signature,
)
from protocol.wire.codec import encode
from protocol.wire.limits import MAX_CERTIFICATE_BYTES

DOMAIN = "certificate"
CLOCK_TOLERANCE_S = 300.0

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SERIAL = re.compile(r"[0-9a-f]{8,64}")


class Role(StrEnum):
    """What a certificate's subject may be."""

    SITE = "site"
    """Enrols hosts and signs orders: the site admin's identity."""
    HOST = "host"
    """Is a peer."""


class Certificate(msgspec.Struct, frozen=True):
    """What the issuer says of the subject. Names are DNS labels, because they are printed and resolved."""

    subject: KeyId
    role: Role
    site: str
    name: str
    """The host's name within its site; for a site, the site's own name again."""
    issuer: KeyId
    not_before_s: Moment
    not_after_s: Moment
    """Unix seconds; valid up to and not including this instant."""
    serial: str
    """8 to 64 hexadecimal digits, chosen by the issuer. A revocation names it."""
    policy: Number = 0
    """Of a host: the least number of its site's policy that it may go by. 0: none is needed."""


class SignedCertificate(msgspec.Struct, frozen=True):
    """An encoded Certificate and its issuer's signature."""

    payload: bytes
    signature: bytes


Chain = tuple[SignedCertificate, ...]
"""Subject first: (host, site) or (site,)."""


class Principal(msgspec.Struct, frozen=True):
    """Who a checked chain says somebody is, and until when."""

    key: KeyId
    role: Role
    site: str
    name: str
    expires_s: float
    certified: tuple[tuple[KeyId, str], ...] = ()
    """What revocations may name of each certificate of the chain, as `names_of` says it."""


def is_label(text: str) -> bool:
    """Whether `text` may name a site or a host: 1 to 63 of a-z, 0-9 and inner hyphens."""
    return _LABEL.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Whether `text` is written like a key: 64 lower-case hexadecimal digits."""
    return is_64_digits(text)


def is_serial(text: str) -> bool:
    """Whether `text` is written like a serial: 8 to 64 hexadecimal digits."""
    return _SERIAL.fullmatch(text) is not None


def names_of(certificate: Certificate) -> tuple[tuple[KeyId, str], ...]:
    """What revocations name it by: (issuer, its serial), and (issuer, its key)."""
    issuer = certificate.issuer
    return (issuer, certificate.serial), (issuer, name_of_key(certificate.subject))


def name_of_key(key: KeyId) -> str:
    """A key where else a serial is. It is no serial, which issuers choose as they like."""
    return f"key {key}"


def sign_certificate(certificate: Certificate, signer: Signer) -> SignedCertificate:
    """`certificate`, signed by its issuer. Raises ValueError for another signer, or a name that is no label."""
    if certificate.issuer != signer.key:
        raise ValueError("a certificate is signed by the issuer it names")
    if fault := _fault(certificate):
        raise ValueError(fault)
    payload = encode(certificate)
    return SignedCertificate(payload=payload, signature=signer.sign(DOMAIN, payload))


def read_certificate(signed: SignedCertificate) -> Certificate:
    """What it says, before anything is believed. Raises Untrusted(malformed)."""
    certificate = read_signed(
        signed.payload, Certificate, "certificate", limit_bytes=MAX_CERTIFICATE_BYTES
    )
    if fault := _fault(certificate):
        raise Untrusted(Reason.MALFORMED, fault)
    return certificate


def check_chain(
    chain: Chain,
    federation: KeyId,
    now_s: float,
    verifier: Verifier,
    *,
    revoked: Container[tuple[KeyId, str]] = (),
) -> Principal:
    """Who the chain's subject is. `revoked` holds what `names_of` says of a certificate.

    Raises Untrusted, which says which link broke and why. Signatures are checked before dates, so only genuine
    certificates are ever called expired.
    """
    if not 1 <= len(chain) <= 2:
        raise Untrusted(Reason.BROKEN_CHAIN, f"{len(chain)} certificates; a chain has 1 or 2")
    site = read_certificate(chain[-1])
    if site.issuer != federation:
        raise Untrusted(
            Reason.WRONG_FEDERATION,
            f"site {site.site} is of federation {site.issuer[:16]}, this one is {federation[:16]}",
        )
    _check_link(chain[-1], site, Role.SITE, now_s, verifier, revoked)
    if len(chain) == 1:
        return _principal(site)
    host = read_certificate(chain[0])
    if host.issuer != site.subject:
        raise Untrusted(Reason.BROKEN_CHAIN, f"{host.name} is not signed by site {site.site}'s key")
    _check_link(chain[0], host, Role.HOST, now_s, verifier, revoked)
    if host.site != site.site:
        raise Untrusted(
            Reason.BROKEN_CHAIN, f"{host.name} says site {host.site}, its issuer is {site.site}"
        )
    return _principal(host, site)


def _check_link(
    signed: SignedCertificate,
    certificate: Certificate,
    role: Role,
    now_s: float,
    verifier: Verifier,
    revoked: Container[tuple[KeyId, str]],
) -> None:
    require_signature(verifier, certificate.issuer, DOMAIN, signed.payload, signed.signature)
    who = f"{certificate.role} {certificate.name}"
    if certificate.role is not role:
        raise Untrusted(Reason.WRONG_ROLE, f"{who} stands where a {role} must")
    if certificate.not_before_s > now_s + CLOCK_TOLERANCE_S:
        ahead_s = certificate.not_before_s - now_s
        raise Untrusted(Reason.NOT_YET_VALID, f"{who} is valid in {ahead_s:.0f} s; check the clock")
    if certificate.not_after_s <= now_s:
        past_s = now_s - certificate.not_after_s
        raise Untrusted(Reason.EXPIRED, f"{who} expired {past_s:.0f} s ago; its site must renew it")
    for _, name in names_of(certificate):
        if (certificate.issuer, name) in revoked:
            what = "its key" if name != certificate.serial else f"serial {name}"
            raise Untrusted(Reason.REVOKED, f"{who}, {what}, was revoked")


def _fault(certificate: Certificate) -> str:
    """What is wrong with the certificate by itself; empty if nothing is."""
    if not (is_key(certificate.subject) and is_key(certificate.issuer)):
        return "certificate: a key is 64 hexadecimal digits"
    if not (is_label(certificate.site) and is_label(certificate.name)):
        return "certificate: a name is 1 to 63 of a-z, 0-9 and inner hyphens"
    if certificate.role is Role.SITE and certificate.name != certificate.site:
        return "certificate: a site's name is its site"
    if not is_serial(certificate.serial):
        return "certificate: a serial is 8 to 64 hexadecimal digits"
    if not certificate.not_before_s < certificate.not_after_s:
        return "certificate: it ends before it begins"
    return ""


def _principal(subject: Certificate, *issuers: Certificate) -> Principal:
    chain = (subject, *issuers)
    return Principal(
        key=subject.subject,
        role=subject.role,
        site=subject.site,
        name=subject.name,
        expires_s=min(certificate.not_after_s for certificate in chain),
        certified=tuple(name for certificate in chain for name in names_of(certificate)),
    )
