"""Identities of people: a folder each, which `overlayctl identity` makes.

    NAME/identity.key    mode 0600; the private key, under a passphrase or not
    NAME/identity.pub    one line, to be given to others: `member ana KEY six words`, or `vo star KEY six words`

They are in ~/.config/overlayd/identities (XDG_CONFIG_HOME). A private key without a passphrase is written as
that of a site. The words of the public line are its checksum: a line that lost a letter is refused.
"""

import os
import shutil
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.nacl_keys import (
    NaclIdentity,
    read_private_file,
    read_seed,
    read_small_file,
    replace_file,
    seed_text,
    write_new_file,
)
from overlayd.adapters.passphrases import seal, unseal
from overlayd.ports.keys import KeyFileError
from protocol.grid.syntax import label_problem
from protocol.terms.ids import KeyId
from protocol.trust.certificate import is_key
from protocol.trust.fingerprint import words_of

_KEY, _PUBLIC = "identity.key", "identity.pub"
_BEGIN = "-----BEGIN OVERLAYD SEALED PRIVATE KEY-----"
_END = "-----END OVERLAYD SEALED PRIVATE KEY-----"

Ask = Callable[[], str]
"""Gets the passphrase. It is not called for a key that has none."""


class Kind(StrEnum):
    """What an identity is of. A VO's key is its admin's."""

    VO = "vo"
    MEMBER = "member"


class Public(msgspec.Struct, frozen=True):
    """What others may know of an identity."""

    kind: Kind
    name: str
    key: KeyId

    @property
    def words(self) -> str:
        """The key's six words, for the phone."""
        return words_of(self.key)

    @property
    def line(self) -> str:
        """What is given to others, and read back by `read_line`."""
        return f"{self.kind} {self.name} {self.key} {self.words}"


def identities_folder() -> Path:
    """Where identities are unless something else is said."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "overlayd" / "identities"


def folder_of(which: str) -> Path:
    """The folder of an identity that is there, by its name or by the folder itself. Raises KeyFileError."""
    if "/" in which or which in (".", ".."):
        folder = Path(which).expanduser()
    else:
        _require_label(which)
        folder = identities_folder() / which
    if not (folder / _PUBLIC).is_file():
        known = names()
        have = f"there are {', '.join(known)}" if known else "there is none yet"
        raise KeyFileError(
            f"there is no identity {which}: no {folder / _PUBLIC}; {have}; "
            "`overlayctl identity create NAME` makes one"
        )
    return folder


def names() -> list[str]:
    """Those in the usual place, in order."""
    return sorted(path.parent.name for path in identities_folder().glob(f"*/{_PUBLIC}"))


def new_folder(name: str) -> Path:
    """Where an identity of this name is made. Raises KeyFileError for a name that is none."""
    _require_label(name)
    return identities_folder() / name


def require_free(folder: Path) -> None:
    """Raises KeyFileError if something is where an identity is to be made."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if os.path.lexists(folder):
        raise KeyFileError(
            f"{folder} exists and is not overwritten; choose another name or --folder"
        )


def create(folder: Path, kind: Kind, name: str, passphrase: str) -> Public:
    """Makes an identity whole or not at all, under a passphrase unless that is empty. Raises KeyFileError."""
    _require_label(name)
    require_free(folder)
    identity = NaclIdentity.generate()
    public = Public(kind, name, identity.key)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(mode=0o700, parents=True)
        write_new_file(draft / _KEY, _key_text(identity.seed, passphrase), mode=0o600)
        write_new_file(draft / _PUBLIC, f"{public.line}\n".encode(), mode=0o644)
        draft.rename(folder)
        flush(folder.parent)
    except OSError as error:
        raise KeyFileError(f"the folder {folder} cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return public


def read_public(folder: Path) -> Public:
    """What an identity says of itself. Raises KeyFileError."""
    try:
        return read_line(read_small_file(folder / _PUBLIC))
    except ValueError as error:
        raise KeyFileError(f"{folder / _PUBLIC} is damaged: {error}") from None


def read_line(text: str) -> Public:
    """The public line of somebody's identity. Raises ValueError."""
    fields = text.split()
    if len(fields) < 3 or fields[0] not in tuple(Kind) or not is_key(fields[2]):
        raise ValueError("a public line is `member NAME KEY WORDS`, as `identity export` prints it")
    if problem := label_problem(fields[1]):
        raise ValueError(problem)
    public = Public(Kind(fields[0]), fields[1], KeyId(fields[2]))
    if " ".join(fields[3:]) != public.words:
        raise ValueError(f"the words are not those of key {public.key[:16]}...")
    return public


def has_passphrase(folder: Path) -> bool:
    """Whether the private key is under one. Raises KeyFileError."""
    return _sealed(folder) is not None


def open_identity(folder: Path, ask: Ask) -> NaclIdentity:
    """The private key. Raises KeyFileError, or WrongPassphraseError."""
    public, identity = read_public(folder), NaclIdentity(_seed(folder, ask))
    if identity.key != public.key:
        raise KeyFileError(f"{folder / _KEY} is not the key of {folder / _PUBLIC}")
    return identity


def change_passphrase(folder: Path, ask: Ask, new: Ask) -> None:
    """Puts the private key under another passphrase, or under none. Raises as `open_identity`."""
    identity = open_identity(folder, ask)
    replace_file(folder / _KEY, _key_text(identity.seed, new()), mode=0o600)


def _seed(folder: Path, ask: Ask) -> bytes:
    sealed = _sealed(folder)
    if sealed is None:
        return read_seed(folder / _KEY)
    try:
        return unseal(sealed, ask())
    except ValueError as error:
        raise KeyFileError(f"{folder / _KEY} is damaged: {error}") from None


def _sealed(folder: Path) -> bytes | None:
    """What is under a passphrase in the key file; None if the key is bare."""
    text = "".join(read_private_file(folder / _KEY).splitlines())
    if not text.startswith(_BEGIN):
        return None
    try:
        return b64decode(text.removeprefix(_BEGIN).removesuffix(_END), validate=True)
    except BinasciiError:
        raise KeyFileError(f"{folder / _KEY} is damaged: it is cut short, or altered") from None


def _key_text(seed: bytes, passphrase: str) -> bytes:
    if not passphrase:
        return seed_text(seed)
    text = b64encode(seal(seed, passphrase)).decode()
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    return f"{_BEGIN}\n{lines}\n{_END}\n".encode()


def _require_label(name: str) -> None:
    if problem := label_problem(name):
        raise KeyFileError(problem)
