"""Revocations as files: who signed what is revoked makes one offline, `overlayctl revoke` gives it to a peer.

A file is text like a certificate's: one block of base64, which is the signed record as it will travel. The
lines outside are for people and mean nothing. Nothing in it is secret.
"""

import time
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from contextlib import suppress
from pathlib import Path

import msgspec

from overlayd.adapters.credentials import (
    HOST_DAYS,
    MAX_DAYS,
    SITE_DAYS,
    load_federation,
    load_site,
    read_chain,
    read_federation,
)
from overlayd.adapters.nacl_keys import NaclIdentity, NaclVerifier, read_small_file, write_new_file
from overlayd.ports.keys import KeyFileError
from protocol.terms.ids import KeyId
from protocol.terms.quantities import format_moment
from protocol.trust.certificate import Certificate, Chain, Role, is_serial, read_certificate
from protocol.trust.record import SignedRecord, read_record
from protocol.trust.revocation import Revocation, Revocations, check_revocation, revoke
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed, decode, encode

FOLDER = "revocations"
"""Where a site, and a federation, keeps what it revoked."""

_NO_FEDERATION = KeyId("")

_BEGIN = "-----BEGIN OVERLAYD REVOCATION-----"
_END = "-----END OVERLAYD REVOCATION-----"


class Made(msgspec.Struct, frozen=True):
    """A revocation that was written."""

    path: Path
    revocation: Revocation


def revoke_host(
    site_dir: Path,
    host: str,
    *,
    reason: str = "",
    certificate: Path | None = None,
    serial: str = "",
    output: Path | None = None,
) -> Made:
    """A site revokes a host's certificate: the file's, or the one of that serial. Raises KeyFileError."""
    site = load_site(site_dir)
    if serial:
        revoked = _of_serial(site.identity, site.principal.site, host, serial)
    else:
        revoked = _read(certificate or site_dir / "hosts" / host / "host.cert")
        if (revoked.role, revoked.name) != (Role.HOST, host):
            raise KeyFileError(f"that certificate is of {revoked.role} {revoked.name}, not {host}")
    return _make(revoked, reason, site.identity, site.chain, site_dir, output)


def revoke_any(
    federation_dir: Path,
    name: str,
    *,
    reason: str = "",
    certificate: Path | None = None,
    output: Path | None = None,
) -> Made:
    """The federation revokes a site (`ams`) or a host (`ams/h1`). Raises KeyFileError."""
    federation = load_federation(federation_dir)
    site, _, host = name.partition("/")
    folder = federation_dir / "sites" / site
    usual = folder / "hosts" / host / "host.cert" if host else folder / "site.cert"
    revoked = _read(certificate or usual)
    of = f"{revoked.site}/{revoked.name}" if revoked.role is Role.HOST else revoked.site
    if of != name:
        raise KeyFileError(f"that certificate is of {of}, not {name}")
    return _make(revoked, reason, federation, (), federation_dir, output)


def write_of_vo(signed: SignedRecord, folder: Path, output: Path | None) -> Made:
    """Writes what a VO revokes: into its folder, if `output` names no file. Raises KeyFileError."""
    vo = read_record(signed).owner
    revocation = check_revocation(signed, _NO_FEDERATION, NaclVerifier(), (vo,))
    path = output or folder / FOLDER / f"{revocation.serial}.revocation"
    _write(path, signed, revocation)
    return Made(path, revocation)


def revoked_by_vo(folder: Path, vo: KeyId) -> Revocations:
    """What the VO with that key has revoked, as its identity's folder knows. Raises KeyFileError."""
    known = Revocations()
    for path in sorted((folder / FOLDER).glob("*.revocation")):
        with suppress(Untrusted):
            signed = read_revocation_file(path)
            known.add(check_revocation(signed, _NO_FEDERATION, NaclVerifier(), (vo,)))
    return known


def require_unrevoked(certificate: Path, site_dir: Path) -> None:
    """Raises KeyFileError if the key of a certificate to be renewed was revoked, as the folders of its site and
    its federation know.
    """
    says, federation = _read(certificate), read_federation(site_dir / "federation.pub")
    for folder in (site_dir, site_dir.parent.parent):
        for path in sorted((folder / FOLDER).glob("*.revocation")):
            revoked = _checked(path, federation)
            if revoked is None or not _is_of(revoked, says):
                continue
            when = format_moment(revoked.at_s)
            why = f" ({revoked.reason})" if revoked.reason else ""
            again = (
                f"overlayctl host enrol {site_dir} {says.name} --output DIR"
                if says.role is Role.HOST
                else f"overlayctl site add {says.name} --output DIR"
            )
            raise KeyFileError(
                f"key {says.subject[:16]}... of {revoked.what} was revoked on {when}{why}, and a revoked "
                f"key is not renewed; make a new key: {again}; {path} says so"
            )


def _is_of(revoked: Revocation, certificate: Certificate) -> bool:
    if revoked.issuer != certificate.issuer:
        return False
    return revoked.serial == certificate.serial or revoked.subject == certificate.subject


def _checked(path: Path, federation: KeyId) -> Revocation | None:
    """What a revocation file revokes; None if it is none that this federation believes."""
    try:
        return check_revocation(read_revocation_file(path), federation, NaclVerifier(), ())
    except (KeyFileError, Untrusted):
        return None


def read_revocation_file(path: Path) -> SignedRecord:
    """The record in a revocation file, unchecked. Raises KeyFileError."""
    block = read_small_file(path).partition(_BEGIN)[2].partition(_END)[0]
    if not block:
        raise KeyFileError(
            f"{path} holds no revocation; `overlayctl site revoke` and `grant revoke` make them"
        )
    try:
        return decode(b64decode("".join(block.split()), validate=True), SignedRecord)
    except (BinasciiError, Malformed):
        raise KeyFileError(f"{path} is damaged; copy it again from where it was made") from None


def _read(path: Path) -> Certificate:
    try:
        return read_certificate(read_chain(path)[0])
    except Untrusted as error:
        raise KeyFileError(f"{path}: {error}") from None
    except KeyFileError as error:
        raise KeyFileError(
            f"{error}; name the certificate with --certificate, or its serial with --serial "
            "(`overlayctl peers --output json` shows serials)"
        ) from None


def _of_serial(site: NaclIdentity, name: str, host: str, serial: str) -> Certificate:
    if not is_serial(serial):
        raise KeyFileError(f"{serial!r} is no serial: 8 to 64 hexadecimal digits")
    now_s = time.time()
    return Certificate(
        subject=site.key,
        role=Role.HOST,
        site=name,
        name=host,
        issuer=site.key,
        not_before_s=now_s,
        not_after_s=now_s + MAX_DAYS * 86400.0,
        serial=serial,
    )


def _make(
    certificate: Certificate,
    reason: str,
    signer: NaclIdentity,
    chain: Chain,
    folder: Path,
    output: Path | None,
) -> Made:
    now_s = time.time()
    # It is about all certificates of the key, so it is kept for as long as the longest usual one lasts.
    days = HOST_DAYS if certificate.role is Role.HOST else SITE_DAYS
    if now_s < certificate.not_after_s < now_s + days * 86400.0:
        certificate = msgspec.structs.replace(certificate, not_after_s=now_s + days * 86400.0)
    try:
        signed = revoke(certificate, reason, now_s, signer, chain)
        federation = (chain and read_certificate(chain[-1]).issuer) or signer.key
        revocation = check_revocation(signed, federation, NaclVerifier(), ())
    except (ValueError, Untrusted) as error:
        raise KeyFileError(f"{certificate.name} cannot be revoked: {error}") from None
    named = f"{certificate.name}-{certificate.serial[:8]}.revocation"
    kept = folder / FOLDER / named
    path = output or kept
    # One stays with the key, wherever the other goes: a revoked key is not renewed.
    for place in dict.fromkeys((kept, path)):
        if place == kept != path and kept.exists():
            continue
        _write(place, signed, revocation)
    return Made(path, revocation)


def _write(path: Path, signed: SignedRecord, revocation: Revocation) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{path.parent} cannot be made: {error.strerror}") from None
    write_new_file(path, _text(signed, revocation).encode(), mode=0o644)


def _text(signed: SignedRecord, revocation: Revocation) -> str:
    when = format_moment(revocation.at_s)
    text = b64encode(encode(signed)).decode()
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    said = f"# revokes {revocation.what}, serial {revocation.serial}, {when}\n"
    return f"{said}# publish it at any peer: overlayctl revoke FILE\n{_BEGIN}\n{lines}\n{_END}\n"
