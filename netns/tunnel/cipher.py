"""The ciphers of sessions, from the cryptography package (OpenSSL).

AES-256-GCM takes 1.2 us for a frame of wire size where the CPU has instructions for AES, ChaCha20-Poly1305 1.8;
without those instructions AES takes many times as long.
"""

from pathlib import Path
from typing import assert_never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from netns.failures import NetnsError
from netns.tunnel.tables import KEY_BYTES, Cipher

__all__ = ["Aead", "InvalidTag", "aead", "fastest", "try_all"]


Aead = AESGCM | ChaCha20Poly1305
"""Seals and opens under one key. Keys, nonces and tags have 32, 12 and 16 bytes; the tag is at the end."""


def aead(cipher: Cipher, key: bytes) -> Aead:
    """That cipher under that key."""
    match cipher:
        case Cipher.AES_256_GCM:
            return AESGCM(key)
        case Cipher.CHACHA20_POLY1305:
            return ChaCha20Poly1305(key)
        case _:
            assert_never(cipher)


def fastest(cpuinfo: str) -> tuple[Cipher, ...]:
    """All ciphers, the fastest on this CPU first. `cpuinfo` is the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features") and "aes" in value.split():
            return (Cipher.AES_256_GCM, Cipher.CHACHA20_POLY1305)
    return (Cipher.CHACHA20_POLY1305, Cipher.AES_256_GCM)


def try_all() -> tuple[Cipher, ...]:
    """All ciphers, the fastest first, each tried once. Raises NetnsError if one does not work."""
    ciphers = fastest(Path("/proc/cpuinfo").read_text())
    for cipher in ciphers:
        tried = aead(cipher, bytes(KEY_BYTES))
        sealed = tried.encrypt(bytes(12), b"frame", b"header")
        if tried.decrypt(bytes(12), sealed, b"header") != b"frame":
            raise NetnsError(f"the cipher {cipher.value} of this host's cryptography does not work")
    return ciphers
