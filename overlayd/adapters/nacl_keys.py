"""Ed25519 by PyNaCl: identities, verification, and the files keys are kept in.

One Ed25519 key serves for signatures and, converted, for CURVE connections. A key file is text: a block of
base64 between two lines, mode 0600. A key file that others may read is refused, as ssh does.
"""

import os
import stat
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

from nacl.bindings import crypto_box_beforenm
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.signing import SigningKey, VerifyKey

from overlayd.adapters.flushing import flush
from overlayd.ports.keys import KeyFileError
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.certificate import is_key
from protocol.trust.signing import covered

MAX_CACHED_CHECKS = 8192
"""About 2 MiB. A directory of 2,000 peers is checked again from memory (2 us, not 77 us)."""

MAX_CACHED_PAIRS = 1024
"""Peers whose keys for sealing are at hand: as many as there may be paths through relays."""

_BEGIN = "-----BEGIN OVERLAYD PRIVATE KEY-----"
_END = "-----END OVERLAYD PRIVATE KEY-----"
_MAX_FILE_BYTES = 4096


class NaclIdentity:
    """An Identity with its private key in memory."""

    def __init__(self, seed: bytes) -> None:
        self._signing = SigningKey(seed)
        self._key = KeyId(self._signing.verify_key.encode().hex())
        self._curve = self._signing.to_curve25519_private_key()

    @classmethod
    def generate(cls) -> "NaclIdentity":
        """A new identity, from the system's randomness."""
        return cls(SigningKey.generate().encode())

    @classmethod
    def load(cls, path: Path) -> "NaclIdentity":
        """The identity in a key file. Raises KeyFileError if it is missing, readable by others, or no key."""
        return cls(read_seed(path))

    def save(self, path: Path) -> None:
        """Writes a new key file, mode 0600, whole or not at all. Raises KeyFileError if there is one."""
        write_new_file(path, seed_text(self.seed), mode=0o600)

    @property
    def seed(self) -> bytes:
        """The private key, 32 bytes."""
        return self._signing.encode()

    @property
    def key(self) -> KeyId:
        """The public key."""
        return self._key

    @property
    def peer(self) -> PeerId:
        """The public key as a peer's name."""
        return PeerId(self._key)

    def sign(self, domain: str, payload: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._signing.sign(covered(domain, payload)).signature

    @property
    def transport_secret(self) -> bytes:
        """Curve25519, 32 bytes."""
        return self._curve.encode()

    @property
    def transport_public(self) -> bytes:
        """Curve25519, 32 bytes."""
        return self._curve.public_key.encode()

    def transport_key_of(self, peer: PeerId) -> bytes | None:
        """Curve25519, 32 bytes; None if `peer` is no point on the curve, or one of small order."""
        if not is_key(peer):
            return None
        try:
            return VerifyKey(bytes.fromhex(peer)).to_curve25519_public_key().encode()
        except (CryptoError, ValueError):
            return None


class NaclVerifier:
    """A Verifier that remembers what it found genuine, up to a bound; the oldest goes first.

    It remembers only successes, so that nobody can push them out with rubbish.
    """

    def __init__(self, max_cached: int = MAX_CACHED_CHECKS) -> None:
        self._genuine: OrderedDict[bytes, None] = OrderedDict()
        self._max_cached = max_cached

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether `key` signed this."""
        if len(signature) != 64 or not is_key(key):
            return False
        message = covered(domain, payload)
        digest = blake2b(message, key=bytes.fromhex(key), digest_size=32)
        digest.update(signature)
        known = digest.digest()
        if known in self._genuine:
            self._genuine.move_to_end(known)
            return True
        try:
            VerifyKey(bytes.fromhex(key)).verify(message, signature)
        except (CryptoError, ValueError):
            return False
        self._genuine[known] = None
        if len(self._genuine) > self._max_cached:
            self._genuine.popitem(last=False)
        return True


class NaclSealer:
    """A Sealer by XSalsa20-Poly1305, its keys by Curve25519 from the two peers' keys.

    The pair's shared secret is NaCl's (crypto_box_beforenm). Each direction's key is a hash of it and of both
    names, so that a box cannot be reflected, and means nothing where CURVE uses the same keys. Nonces are
    random: 24 bytes never meet. The keys last as long as the peers' own, so a thief of one can read what was
    recorded on a relay earlier.
    """

    def __init__(self, identity: NaclIdentity, max_pairs: int = MAX_CACHED_PAIRS) -> None:
        self._identity = identity
        self._pairs: OrderedDict[PeerId, tuple[SecretBox, SecretBox]] = OrderedDict()
        self._max_pairs = max_pairs

    def seal(self, to: PeerId, plain: bytes) -> bytes | None:
        """A box for `to`, 40 bytes longer than what is inside; None if `to` is no key."""
        pair = self._pair(to)
        return bytes(pair[0].encrypt(plain)) if pair is not None else None

    def open(self, origin: PeerId, box: bytes) -> bytes | None:
        """What `origin` sealed for this peer; None if it did not."""
        pair = self._pair(origin)
        if pair is None:
            return None
        try:
            return pair[1].decrypt(box)
        except (CryptoError, ValueError):
            return None

    def _pair(self, peer: PeerId) -> tuple[SecretBox, SecretBox] | None:
        """Keys to that peer and from it. They take a tenth of a millisecond to make, so the latest are kept."""
        pair = self._pairs.get(peer)
        if pair is None:
            public = self._identity.transport_key_of(peer)
            if public is None:
                return None
            secret = crypto_box_beforenm(public, self._identity.transport_secret)
            mine = self._identity.peer
            pair = (_direction(secret, mine, peer), _direction(secret, peer, mine))
            self._pairs[peer] = pair
            if len(self._pairs) > self._max_pairs:
                self._pairs.popitem(last=False)
        else:
            self._pairs.move_to_end(peer)
        return pair


def _direction(secret: bytes, origin: PeerId, to: PeerId) -> SecretBox:
    names = bytes.fromhex(origin) + bytes.fromhex(to)
    return SecretBox(
        blake2b(names, key=secret, person=b"overlayd/1/relay", digest_size=32).digest()
    )


def write_new_file(path: Path, content: bytes, *, mode: int) -> None:
    """Makes a file, whole or not at all, and never over another. Raises KeyFileError, which says why not.

    It is written under another name and linked into place, because a link fails if the name is taken.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        finally:
            draft.unlink()
        flush(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{path} exists and is not overwritten; move it away first") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from None


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Puts a file in place of another, whole or not at all. Raises KeyFileError, which says why not."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        write_new_file(draft, content, mode=mode)
        draft.replace(path)
        flush(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be replaced: {error.strerror}") from None


def read_small_file(path: Path, most_bytes: int = _MAX_FILE_BYTES * 4) -> str:
    """The text of a key or certificate file. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > most_bytes:
        raise KeyFileError(
            f"{path} is larger than {most_bytes >> 10} KiB, too large for what it is to be"
        )
    return content.decode("utf-8", "replace")


def read_private_file(path: Path) -> str:
    """The text of a file that its owner alone may use. Raises KeyFileError."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise KeyFileError(f"{path} is not a file")
    if mode & 0o077:
        raise KeyFileError(
            f"{path} can be used by others (mode {mode & 0o777:04o}); chmod 600 {path}, "
            "and make a new key if others had access"
        )
    return read_small_file(path)


def seed_text(seed: bytes) -> bytes:
    """What a key file holds of a private key, 32 bytes."""
    return f"{_BEGIN}\n{b64encode(seed).decode()}\n{_END}\n".encode()


def read_seed(path: Path) -> bytes:
    """The private key, 32 bytes, in a key file. Raises KeyFileError."""
    text = " ".join(read_private_file(path).split())
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise KeyFileError(f"{path} is not an overlayd private key")
    try:
        seed = b64decode(text.removeprefix(_BEGIN).removesuffix(_END).strip(), validate=True)
    except BinasciiError:
        seed = b""
    if len(seed) != 32:
        raise KeyFileError(f"{path} is damaged; the key inside is not 32 bytes")
    return seed
