"""Identities of hosts and sites as files: `overlayctl federation`, `site` and `host` make them, all read them.

    FEDERATION/                       federation.key (keep offline; signs sites), federation.pub
    FEDERATION/sites/SITE/            site.key, site.cert, federation.pub: the site admin's identity
    FEDERATION/sites/SITE/hosts/HOST/ host.key, host.cert, federation.pub: to be moved to that host

Key files have mode 0600. A certificate file is text: one block of base64 for each link of the chain, subject
first. Lines outside the blocks are for people and mean nothing. `federation.pub` is the key in one line.
"""

import secrets
import time
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from pathlib import Path

import msgspec

from overlayd.adapters.nacl_keys import (
    NaclIdentity,
    NaclVerifier,
    read_small_file,
    replace_file,
    write_new_file,
)
from overlayd.ports.keys import KeyFileError
from protocol.grid.syntax import label_problem
from protocol.terms.ids import KeyId
from protocol.terms.quantities import format_moment
from protocol.trust.certificate import (
    DOMAIN,
    Certificate,
    Chain,
    Principal,
    Role,
    SignedCertificate,
    check_chain,
    is_key,
    read_certificate,
    sign_certificate,
)
from protocol.trust.signing import Untrusted, require_signature
from protocol.wire.codec import Malformed, decode, encode

SITE_DAYS = 365
HOST_DAYS = 90
MAX_DAYS = 3650

POLICIES, POLICY_SUFFIX = "policies", ".policy"
"""Where a site keeps the policies that it signed, each under its number."""

_BEGIN = "-----BEGIN OVERLAYD CERTIFICATE-----"
_END = "-----END OVERLAYD CERTIFICATE-----"
_DAY_S = 86400.0


class Credentials(msgspec.Struct, frozen=True):
    """A private key with the chain that says whose it is, checked."""

    identity: NaclIdentity
    chain: Chain
    federation: KeyId
    principal: Principal


def create_federation(directory: Path) -> KeyId:
    """Makes federation.key and federation.pub. Raises KeyFileError if there are any."""
    _make_folder(directory)
    _require_absent(directory, "federation.key", "federation.pub")
    identity = NaclIdentity.generate()
    identity.save(directory / "federation.key")
    _write_federation(directory, identity.key)
    return identity.key


def add_site(
    federation_dir: Path, site: str, *, days: float = SITE_DAYS, output: Path | None = None
) -> Path:
    """Makes a site's key and certificate. Answers the folder they are in. Raises KeyFileError."""
    _require_label(site, "site")
    federation = load_federation(federation_dir)
    folder = output or federation_dir / "sites" / site
    identity = NaclIdentity.generate()
    certificate = _certificate(identity.key, Role.SITE, site, site, federation.key, days)
    chain = (sign_certificate(certificate, federation),)
    _write(folder, "site", identity, chain, federation.key)
    return folder


def renew_site(
    federation_dir: Path,
    site: str,
    *,
    days: float = SITE_DAYS,
    certificate: Path | None = None,
    output: Path | None = None,
) -> Path:
    """Writes a new certificate for a site's key in place of the old one. Raises KeyFileError."""
    federation = load_federation(federation_dir)
    path = certificate or federation_dir / "sites" / site / "site.cert"
    old = _certified(path, Role.SITE, site, federation.key)
    new = _certificate(old.subject, Role.SITE, site, site, federation.key, days)
    return _renew(output or path, (sign_certificate(new, federation),))


def renew_host(
    site_dir: Path,
    host: str,
    *,
    days: float = HOST_DAYS,
    certificate: Path | None = None,
    output: Path | None = None,
) -> Path:
    """Writes a new certificate for a host's key in place of the old one. Raises KeyFileError."""
    site = load_site(site_dir)
    path = certificate or site_dir / "hosts" / host / "host.cert"
    old = _certified(path, Role.HOST, host, site.identity.key)
    name = site.principal.site
    certified = _certificate(old.subject, Role.HOST, name, host, site.identity.key, days)
    new = msgspec.structs.replace(certified, policy=newest_policy(site_dir))
    return _renew(output or path, (sign_certificate(new, site.identity), *site.chain))


def load_federation(directory: Path) -> NaclIdentity:
    """The federation's own key. Raises KeyFileError."""
    path = directory / "federation.key"
    if not path.exists():
        raise KeyFileError(
            f"{path} is not there; `overlayctl federation init {directory}` makes a federation"
        )
    return NaclIdentity.load(path)


def enrol_host(
    site_dir: Path, host: str, *, days: float = HOST_DAYS, output: Path | None = None
) -> Path:
    """Makes a host's key and certificate. Answers the folder to move to it. Raises KeyFileError."""
    _require_label(host, "host")
    if not (site_dir / "site.key").exists():
        raise KeyFileError(f"{site_dir} has no site.key; `overlayctl site add NAME` makes a site")
    site = load_site(site_dir)
    folder = output or site_dir / "hosts" / host
    identity = NaclIdentity.generate()
    certificate = _certificate(
        identity.key, Role.HOST, site.principal.site, host, site.identity.key, days
    )
    certificate = msgspec.structs.replace(certificate, policy=newest_policy(site_dir))
    chain = (sign_certificate(certificate, site.identity), *site.chain)
    _write(folder, "host", identity, chain, site.federation)
    return folder


def newest_policy(site_dir: Path) -> int:
    """The number of the newest policy that was signed in a site's folder; 0 if none was."""
    numbers = (path.stem for path in (site_dir / POLICIES).glob(f"*{POLICY_SUFFIX}"))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def load_site(directory: Path, now_s: float | None = None) -> Credentials:
    """A site admin's identity from its folder. Raises KeyFileError."""
    return load_credentials(
        directory / "site.key", directory / "site.cert", directory / "federation.pub", now_s
    )


def load_host(directory: Path, now_s: float | None = None) -> Credentials:
    """A host's identity from its folder. Raises KeyFileError."""
    return load_credentials(
        directory / "host.key", directory / "host.cert", directory / "federation.pub", now_s
    )


def load_credentials(
    key: Path, certificate: Path, federation: Path, now_s: float | None = None
) -> Credentials:
    """Any identity from its three files, valid at `now_s` (the wall clock's now if None).

    Raises KeyFileError if a file is missing or damaged, if they do not belong together, or if it has expired.
    """
    identity = NaclIdentity.load(key)
    chain = read_chain(certificate)
    root = read_federation(federation)
    try:
        now_s = time.time() if now_s is None else now_s
        principal = check_chain(chain, root, now_s, NaclVerifier())
    except Untrusted as error:
        raise KeyFileError(f"{certificate} is not valid: {error}") from None
    if principal.key != identity.key:
        raise KeyFileError(f"{certificate} is not for the key in {key}; they are made together")
    return Credentials(identity=identity, chain=chain, federation=root, principal=principal)


def read_chain(path: Path) -> Chain:
    """The chain in a certificate file, unchecked. Raises KeyFileError."""
    blocks = read_small_file(path).split(_BEGIN)[1:]
    if not blocks:
        raise KeyFileError(f"{path} holds no certificate")
    try:
        return tuple(
            decode(
                b64decode("".join(block.partition(_END)[0].split()), validate=True),
                SignedCertificate,
            )
            for block in blocks
        )
    except (BinasciiError, Malformed):
        raise KeyFileError(f"{path} is damaged; copy it again from where it was made") from None


def write_chain(path: Path, chain: Chain) -> None:
    """Writes a new certificate file. Raises KeyFileError."""
    write_new_file(path, "".join(map(_block, chain)).encode(), mode=0o644)


def read_federation(path: Path) -> KeyId:
    """The key in a federation.pub. Raises KeyFileError."""
    text = read_small_file(path).strip()
    if not is_key(text):
        raise KeyFileError(f"{path} is not a federation's key: 64 hexadecimal digits in one line")
    return KeyId(text)


def _certified(path: Path, role: Role, name: str, issuer: KeyId) -> Certificate:
    """What a certificate to be renewed says. Raises KeyFileError if it is of another name or issuer."""
    signed = read_chain(path)[0]
    try:
        says = read_certificate(signed)
        require_signature(NaclVerifier(), issuer, DOMAIN, signed.payload, signed.signature)
    except Untrusted as error:
        raise KeyFileError(f"{path} cannot be renewed by this key: {error}") from None
    if (says.role, says.name) != (role, name):
        raise KeyFileError(f"{path} is of {says.role} {says.name}, not of {role} {name}")
    return says


def _renew(path: Path, chain: Chain) -> Path:
    replace_file(path, "".join(map(_block, chain)).encode(), mode=0o644)
    return path


def _certificate(
    subject: KeyId, role: Role, site: str, name: str, issuer: KeyId, days: float
) -> Certificate:
    if not 0 < days <= MAX_DAYS:
        raise KeyFileError(f"a certificate is valid for up to {MAX_DAYS} days, not {days:g}")
    now_s = time.time()
    return Certificate(
        subject=subject,
        role=role,
        site=site,
        name=name,
        issuer=issuer,
        not_before_s=now_s,
        not_after_s=now_s + days * _DAY_S,
        serial=secrets.token_hex(8),
    )


def _write(
    folder: Path, stem: str, identity: NaclIdentity, chain: Chain, federation: KeyId
) -> None:
    _make_folder(folder)
    _require_absent(folder, f"{stem}.key", f"{stem}.cert")
    if not (folder / "federation.pub").exists():
        _write_federation(folder, federation)
    elif read_federation(folder / "federation.pub") != federation:
        raise KeyFileError(f"{folder} belongs to another federation; choose another with --output")
    identity.save(folder / f"{stem}.key")
    write_chain(folder / f"{stem}.cert", chain)


def _write_federation(folder: Path, key: KeyId) -> None:
    write_new_file(folder / "federation.pub", f"{key}\n".encode(), mode=0o644)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if folder.is_file() else error.strerror
        raise KeyFileError(f"the folder {folder} cannot be made: {why}") from None


def _require_absent(folder: Path, *names: str) -> None:
    for name in names:
        if (folder / name).exists():
            raise KeyFileError(
                f"{folder / name} exists and is not overwritten; move it away or choose "
                "another folder"
            )


def _require_label(name: str, what: str) -> None:
    """Raises KeyFileError for a name that no grid file or configuration could write."""
    if problem := label_problem(name):
        raise KeyFileError(f"{problem}: such a {what} could be named in no grid file")


def _block(signed: SignedCertificate) -> str:
    says = read_certificate(signed)
    until = format_moment(says.not_after_s)
    who = says.site if says.role is Role.SITE else f"{says.site}/{says.name}"
    text = b64encode(encode(signed)).decode()
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    return (
        f"# {says.role} {who}, valid until {until}, serial {says.serial}\n"
        f"# key {says.subject}\n{_BEGIN}\n{lines}\n{_END}\n"
    )
