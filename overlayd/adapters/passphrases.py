"""A private key under a passphrase: argon2id makes a key of it, a secretbox holds the seed (both of libsodium).

What is written says with which costs it was made, so that those of today can change. A file with costs above
the limits is refused: it would take all of this machine's memory to find out that it is no key.
"""

import msgspec
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from nacl.utils import random

from protocol.wire.codec import Malformed, decode, encode

PASSES = argon2id.OPSLIMIT_MODERATE
MEMORY_BYTES = argon2id.MEMLIMIT_MODERATE
"""Three passes over 256 MiB, about half a second: libsodium's choice for what is typed now and then."""

PASSPHRASE_BYTES_MAX = 1024
_PASSES_MAX = 16
_MEMORY_BYTES_MAX = 1 << 30
_SEED_BYTES = 32


class WrongPassphraseError(Exception):
    """This passphrase does not open it."""


class SealedSeed(msgspec.Struct, frozen=True, array_like=True):
    """What a file holds in place of the seed."""

    passes: int
    memory_bytes: int
    salt: bytes
    box: bytes


def seal(seed: bytes, passphrase: str) -> bytes:
    """The seed, 32 bytes, under a passphrase."""
    salt = random(argon2id.SALTBYTES)
    box = bytes(_box(passphrase, salt, PASSES, MEMORY_BYTES).encrypt(seed))
    return encode(SealedSeed(PASSES, MEMORY_BYTES, salt, box))


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """The seed. Raises WrongPassphraseError, or ValueError if what is sealed is damaged."""
    try:
        read = decode(sealed, SealedSeed)
    except Malformed:
        raise ValueError("what is sealed is damaged") from None
    passes = argon2id.OPSLIMIT_MIN <= read.passes <= _PASSES_MAX
    if not passes or not argon2id.MEMLIMIT_MIN <= read.memory_bytes <= _MEMORY_BYTES_MAX:
        raise ValueError("what is sealed asks for absurd costs, so it is damaged")
    sizes = (len(read.salt), len(read.box))
    if sizes != (argon2id.SALTBYTES, _SEED_BYTES + SecretBox.NONCE_SIZE + SecretBox.MACBYTES):
        raise ValueError("what is sealed is damaged")
    box = _box(passphrase, read.salt, read.passes, read.memory_bytes)
    try:
        return box.decrypt(read.box)
    except CryptoError:
        raise WrongPassphraseError from None


def _box(passphrase: str, salt: bytes, passes: int, memory_bytes: int) -> SecretBox:
    key = argon2id.kdf(
        SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit=passes, memlimit=memory_bytes
    )
    return SecretBox(key)
