"""A person who acts: a key, and the chains of grants that are given to it.

    NAME/grants/VO-SERIAL.grant         a chain as text, beside the identity it is given to
    /run/user/UID/overlayd/login/KEY/   a login (XDG_RUNTIME_DIR): a key of its own, and chains that end with it

A login is what a passphrase is typed for once: a key without a passphrase, in memory, gone at reboot, with the
identity's own grants passed on to it until an hour. It can pass nothing on itself.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Container
from pathlib import Path

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.grant_text import TEXT_MOST, read_chain_text, write_chain_text
from overlayd.adapters.identities import Ask, Kind, Public, open_identity, read_public
from overlayd.adapters.nacl_keys import NaclIdentity, NaclVerifier, write_new_file
from overlayd.ports.keys import KeyFileError
from protocol.terms.ids import KeyId, digest_of
from protocol.terms.quantities import counted, format_moment
from protocol.trust.ceilings import NO_CEILINGS
from protocol.trust.grants import (
    GRANTS_MOST,
    Grant,
    Grants,
    check_grants,
    read_grant,
    sign_grant,
)
from protocol.trust.revocation import Certified
from protocol.trust.signing import Untrusted
from protocol.trust.verbs import EVERY_VERB, Verb

OWN_GRANT_S = 365 * 86400.0
"""How long a VO's grant to its own key lasts. Leases may end with it, and the key can sign another any time."""

_GRANTS = "grants"
_KEY, _SUFFIX = "login.key", ".grant"
_SERIAL_BYTES = 8


class Person(msgspec.Struct, frozen=True):
    """Who acts, with a key that signs."""

    public: Public
    signer: NaclIdentity
    """Of the identity itself, or of its login."""
    chains: tuple[Grants, ...]
    """Those that end with the signer, as they were taken: one may have ended since, or have been revoked."""

    def chain(self, now_s: float, vo: str = "") -> Grants:
        """The chain to act with: of a VO by name or key, or of the only one. The one that lasts longest.

        Raises KeyFileError, which says what would work.
        """
        name = self.public.name
        read = [(grants, read_grant(grants[-1])) for grants in self.chains]
        of = [(g, last) for g, last in read if vo in ("", last.name, last.vo)]
        if not of:
            have = ", ".join(sorted({last.name for _, last in read}))
            known = f"it has grants of {have}" if have else "it has none yet"
            what = f"no grant of VO {vo}" if vo else "no grant"
            raise KeyFileError(
                f"{name} has {what}; {known}; who may grant is given `overlayctl identity export {name}`, "
                "and `overlayctl grant add` takes the answer"
            )
        if len({last.vo for _, last in of}) > 1:
            raise KeyFileError(
                f"{name} has grants of several VOs; say which: "
                + ", ".join(sorted({f"{last.name} ({last.vo[:16]})" for _, last in of}))
            )
        grants, last = max(of, key=lambda pair: (pair[1].not_after_s, pair[1].serial))
        if last.not_after_s <= now_s:
            raise KeyFileError(
                f"the grant of VO {last.name} to {name} ended {format_moment(last.not_after_s)}; "
                "ask who gave it for a new one"
            )
        return grants


def load_person(folder: Path, ask: Ask, now_s: float) -> Person:
    """A person's login, or the identity itself if there is none. Raises KeyFileError, WrongPassphraseError."""
    public = read_public(folder)
    login = _login_folder(public.key)
    if login is not None and (chains := logged_in(public.key, now_s)):
        return Person(public, NaclIdentity.load(login / _KEY), chains)
    return load_itself(folder, ask, now_s)


def logged_in(key: KeyId, now_s: float) -> tuple[Grants, ...]:
    """The chains of an identity's login; none if it has no login. One that is over is deleted. Raises
    KeyFileError."""
    login = _login_folder(key)
    if login is None or not (login / _KEY).exists():
        return ()
    chains = read_grants(login)
    if any(read_grant(grants[-1]).not_after_s > now_s for grants in chains):
        return chains
    shutil.rmtree(login, ignore_errors=True)
    return ()


def load_itself(folder: Path, ask: Ask, now_s: float) -> Person:
    """A person with the identity's own key, which may pass on what it holds. Raises as `load_person`."""
    public, identity = read_public(folder), open_identity(folder, ask)
    own = (_own_grant(public, identity, now_s),) if public.kind is Kind.VO else ()
    return Person(public, identity, (*own, *read_grants(folder)))


def read_grants(folder: Path) -> tuple[Grants, ...]:
    """The chains in an identity's folder. Raises KeyFileError."""
    return tuple(read_chain_file(path) for path in sorted((folder / _GRANTS).glob(f"*{_SUFFIX}")))


def read_chain_file(path: Path) -> Grants:
    """The chain in a file, each of its grants readable and none believed. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(TEXT_MOST + 1)
    except OSError as error:
        works = "write a grant, or the name of a file with one"
        raise KeyFileError(f"{path} cannot be read: {error.strerror}; {works}") from None
    try:
        return read_chain(content.decode("utf-8", "replace"))
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None


def read_chain(text: str) -> Grants:
    """The chain in a text, each of its grants readable and none believed. Raises ValueError."""
    grants = read_chain_text(text)
    if not grants:
        raise ValueError("a chain has at least one grant")
    try:
        for signed in grants:
            read_grant(signed)
    except Untrusted as error:
        raise ValueError(error.detail) from None
    return grants


def keep_grants(folder: Path, grants: Grants) -> Path:
    """Puts a chain into an identity's folder, once. Answers its file. Raises KeyFileError."""
    last = read_grant(grants[-1])
    path = folder / _GRANTS / f"{last.name}-{last.serial}{_SUFFIX}"
    if path.exists() and read_chain_file(path) == grants:
        return path
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{path.parent} cannot be made: {error.strerror}") from None
    write_new_file(path, f"{write_chain_text(grants)}\n".encode(), mode=0o644)
    return path


def passed_on(grants: Grants) -> Grants:
    """What a grant under this chain begins with: all of it, or nothing of a VO's grant to itself."""
    last = read_grant(grants[-1])
    return () if last.audience == last.vo else grants


def pass_on(
    parent: Grants,
    grant: Grant,
    signer: NaclIdentity,
    now_s: float,
    revoked: Container[Certified] = (),
) -> Grants:
    """A chain with one grant more, which who knows what is `revoked` believes. Raises KeyFileError."""
    if len(parent) >= GRANTS_MOST:
        raise KeyFileError(
            f"a chain has at most {GRANTS_MOST} grants, and this one has as many; it cannot be passed on"
        )
    try:
        longer = (*parent, sign_grant(grant, signer))
        at_s = max(now_s, grant.not_before_s)
        check_grants(longer, at_s, NaclVerifier(), revoked=revoked)
    except ValueError as error:
        raise KeyFileError(str(error)) from None
    except Untrusted as error:
        raise KeyFileError(f"nobody would believe it: {error.detail}") from None
    return longer


def new_grant(
    parent: Grants, issuer: Public, audience: KeyId, not_before_s: float, not_after_s: float
) -> Grant:
    """All that is in a parent, or in a VO, as a grant that its holder could give."""
    serial = secrets.token_hex(_SERIAL_BYTES)
    above = read_grant(parent[-1]) if parent else None
    return Grant(
        issuer=issuer.key,
        audience=audience,
        vo=above.vo if above else issuer.key,
        name=above.name if above else issuer.name,
        member="",
        verbs=above.verbs if above else EVERY_VERB,
        sites=above.sites if above else (),
        ceilings=above.ceilings if above else NO_CEILINGS,
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        parent=digest_of(parent[-1].payload) if parent else "",
        serial=serial,
    )


def log_in(person: Person, now_s: float, until_s: float) -> Person:
    """Makes a login, in place of one that is there. Raises KeyFileError."""
    folder = _login_folder(person.public.key)
    if folder is None:
        raise KeyFileError(
            "XDG_RUNTIME_DIR names no folder of your own that is gone at reboot, and a login is kept "
            "nowhere else; log in to the host as yourself (pam_systemd makes /run/user/UID), or give the "
            "passphrase each time"
        )
    identity, chains = NaclIdentity.generate(), []
    for grants in person.chains:
        above = read_grant(grants[-1])
        verbs = tuple(verb for verb in above.verbs if verb is not Verb.DELEGATE)
        if above.not_after_s <= now_s or len(grants) == GRANTS_MOST or not verbs:
            continue
        end_s = min(until_s, above.not_after_s)
        parent = passed_on(grants)
        grant = new_grant(
            parent, person.public, identity.key, max(now_s, above.not_before_s), end_s
        )
        grant = msgspec.structs.replace(grant, verbs=verbs, login=True)
        chains.append(pass_on(parent, grant, person.signer, now_s))
    if not chains:
        have = counted(len(person.chains), "grant") if person.chains else "no grant"
        raise KeyFileError(
            f"{person.public.name} has {have}, and none to log in with: a login needs one that has not ended, "
            f"and is a grant itself, where a chain has at most {GRANTS_MOST}"
        )
    log_out(person.public.key)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(mode=0o700, parents=True)
        identity.save(draft / _KEY)
        for made in chains:
            keep_grants(draft, made)
        draft.rename(folder)
        flush(folder.parent)
    except OSError as error:
        raise KeyFileError(f"{folder} cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Person(person.public, identity, tuple(chains))


def log_out(key: KeyId) -> bool:
    """Ends a login; False if there was none."""
    folder = _login_folder(key)
    if folder is None or not folder.exists():
        return False
    shutil.rmtree(folder)
    return True


def _login_folder(key: KeyId) -> Path | None:
    """Where an identity's login is; None if this user has no folder of his own that is gone at reboot."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        found = Path(runtime).stat() if runtime.startswith("/") else None
    except OSError:
        found = None
    if found is None or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        return None
    return Path(runtime) / "overlayd" / "login" / key[:32]


def _own_grant(public: Public, identity: NaclIdentity, now_s: float) -> Grants:
    """A VO's grant to its own key, with which it acts itself."""
    return pass_on(
        (), new_grant((), public, public.key, now_s, now_s + OWN_GRANT_S), identity, now_s
    )
